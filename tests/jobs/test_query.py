"""`streamseg query`: the events of a record are those of the run."""

import json
from dataclasses import replace

import pytest

from streamseg.errors import ConfigError, DatasetError, SinkError
from streamseg.events import Watch
from streamseg.jobs.query import query
from streamseg.records.header import RunHeader
from streamseg.records.store import RunRecord
from streamseg.sinks.events_sink import envelope
from streamseg.sinks.record_sink import RecordSink
from streamseg.streaming.config import load_config


def events_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_same_rules_tell_the_same_events(recorded_run, tmp_path):
    live = events_in(recorded_run.events)
    assert len(live) >= 12
    assert {event["data"]["kind"] for event in live} >= {"zone", "line", "occupancy", "count"}
    count = query(recorded_run.record, recorded_run.rules, str(tmp_path / "again.jsonl"))
    again = events_in(tmp_path / "again.jsonl")
    assert count == len(again)
    assert [event["data"] for event in again] == [event["data"] for event in live]
    assert [event["id"] for event in again] == [event["id"] for event in live]


def told_live(results, rules, source_id):
    """What a run's own rules make of results as they were live, soft masks and all."""
    watch = Watch(load_config(str(rules)).events, source_id, results[0].class_names)
    return [
        envelope(event, 0)["data"]
        for result in results
        for event in watch.update(result.frame, result.instances, result.tracks)
    ]


def test_new_rules_tell_what_the_run_would_have_told(recorded_run, tmp_path):
    rules = tmp_path / "new.yaml"
    rules.write_text(
        "events:\n  zones:\n    all: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], enter_after: 0.05}\n"
        "  lines:\n    slope: {points: [[0.1, 0.9], [0.9, 0.2]], after: 0.05}\n"
        "    wall: {points: [[0.5, 0], [0.5, 1]], after: 0.05, at: centre}\n"
        "  still:\n    calm: {after: 0.4, move: 0.5}\n"
        "  speeds:\n    road: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], metres: [4, 4, 4, 4]}\n"
    )
    query(recorded_run.record, rules, str(tmp_path / "again.jsonl"))
    expected = told_live(recorded_run.results, rules, "clip")
    assert {event["kind"] for event in expected} >= {"zone", "still", "speed"}
    again = [event["data"] for event in events_in(tmp_path / "again.jsonl")]
    # Only a run that ends ends what still goes on.
    assert [event for event in again if event["detail"].get("reason") != "stream ended"] == expected


def test_several_sources_in_one_record(recorded_run, tmp_path):
    path = tmp_path / "two.rec"
    sink = RecordSink(path)
    twin = [
        replace(result, frame=replace(result.frame, source_id="twin")) for result in recorded_run.results[:30]
    ]
    for result in (*recorded_run.results, *twin):
        sink.write(result)
    sink.close()
    with RunRecord(path) as recording:
        assert [take.source_id for take in recording.takes] == ["clip", "twin"]
        assert [sum(map(len, recording.blocks(take))) for take in recording.takes] == [45, 30]
    query(path, recorded_run.rules, str(tmp_path / "again.jsonl"))
    again = [event["data"] for event in events_in(tmp_path / "again.jsonl")]
    going_on = [event for event in again if event["detail"].get("reason") != "stream ended"]
    for name, results in (("clip", recorded_run.results), ("twin", twin)):
        expected = told_live(results, recorded_run.rules, name)
        assert [event for event in going_on if event["source"] == name] == expected
        assert expected


def test_a_record_cut_off_is_asked_up_to_the_cut(recorded_run, tmp_path, caplog):
    path = tmp_path / "cut.rec"
    content = recorded_run.record.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    count = query(path, recorded_run.rules, str(tmp_path / "again.jsonl"))
    assert count == len(events_in(tmp_path / "again.jsonl"))
    assert "cut off" in caplog.text


def test_what_cannot_be_asked(recorded_run, tmp_path, make_redacted):
    empty = tmp_path / "empty.yaml"
    empty.write_text("score: 0.5\n")
    with pytest.raises(ConfigError, match="has no rules under `events`"):
        query(recorded_run.record, empty)
    other = tmp_path / "other.yaml"
    other.write_text("events: {zones: {a: {polygon: [[0,0],[1,0],[1,1]], classes: [unicorn]}}}\n")
    with pytest.raises(ConfigError, match="no class 'unicorn'"):
        query(recorded_run.record, other)
    other.write_text("events: {zones: {a: {polygon: [[0,0],[1,0],[1,1]], sources: [gate]}}}\n")
    with pytest.raises(ConfigError, match="no source is called 'gate'"):
        query(recorded_run.record, other)
    with pytest.raises(ConfigError, match="would be overwritten"):
        query(recorded_run.record, recorded_run.rules, str(recorded_run.record))
    with pytest.raises(SinkError, match="does not exist"):
        query(recorded_run.record, recorded_run.rules, str(tmp_path / "none" / "x.jsonl"))
    with pytest.raises(DatasetError, match="is no record"):
        query(recorded_run.jsonl, recorded_run.rules)
    with pytest.raises(ConfigError, match="does not know where shape were"):
        query(make_redacted(recorded_run, tmp_path), recorded_run.rules)


@pytest.fixture
def make_redacted():
    def make(run, folder):
        path = folder / "redacted.rec"
        sink = RecordSink(path)
        sink.describe(RunHeader(run.results[0].class_names, redacted=("shape",)), lambda _: str(run.clip))
        for result in run.results:
            sink.write(result)
        sink.close()
        return path

    return make
