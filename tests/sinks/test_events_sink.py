import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from streamseg.errors import SinkError
from streamseg.sinks.events_sink import EventsSink, envelope
from streamseg.structures import Event

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text())
EVENT = Event("0123456789abcdef", "zone", "door", "started", "cam 1", 3, 0.12, 0.02, 7, "café", {"inside": 1})


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_envelope_conforms_and_tells_when_it_happened():
    made = envelope(EVENT, 1_700_000_000_500_000_000)
    jsonschema.validate(made, SCHEMA)
    assert made["time"] == "2023-11-14T22:13:20.400Z"  # a tenth of a second before the frame of the decision
    assert (made["source"], made["subject"]) == ("/streamseg/cam%201", "door")
    assert made["type"] == "streamseg.zone.started"
    assert made["id"] == "0123456789abcdef-started"
    assert made["data"]["event"] == EVENT.id
    assert made["data"]["class"] == "café"


def test_what_goes_on_is_ended_at_the_last_frame(make_result, tmp_path):
    sink = EventsSink(tmp_path / "events.jsonl")
    crossed = replace(EVENT, id="f" * 16, kind="line", phase="happened")
    over = [replace(EVENT, id="a" * 16), replace(EVENT, id="a" * 16, phase="ended")]
    sink.write(replace(make_result(3, 0.12, source_id="cam 1"), events=(EVENT, crossed, *over)))
    sink.write(make_result(9, 0.52, source_id="cam 1"))
    sink.close()
    lines = lines_of(tmp_path / "events.jsonl")
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    assert [line["data"]["phase"] for line in lines] == ["started", "happened", "started", "ended", "ended"]
    last = lines[-1]["data"]
    assert (last["event"], last["frame"], last["at"]) == (EVENT.id, 9, 0.52)
    assert last["detail"] == {"seconds": 0.5, "reason": "stream ended"}
    assert sink.counters() == {"events": 5}


def test_a_run_without_events_leaves_an_empty_file(make_result, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("of another run\n")
    sink = EventsSink(path)
    assert path.read_text() == "of another run\n"  # a run that fails before its first frame leaves it alone
    sink.write(make_result())
    sink.close()
    sink.close()
    assert path.read_bytes() == b""


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(SinkError, match="events.jsonl"):
        EventsSink(tmp_path / "no" / "events.jsonl")
