"""`--record`: what is in the file, and when."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.records.header import RunHeader
from streamseg.records.store import RunRecord
from streamseg.sinks.record_sink import RecordSink
from streamseg.structures import Event, Result

HEADER = RunHeader(("person", "café"), engine="fake", redacted=())


def filled(path, make_result, two_instances, frames=50, header=HEADER, **more):
    sink = RecordSink(path, **more)
    sink.describe(header, lambda source_id: f"rtsp://admin:geheim@{source_id}/stream")
    for k in range(frames):
        sink.write(make_result(k, instances=two_instances, ids=[3, -1]))
    sink.close()
    return sink


def results_of(path):
    with RunRecord(path) as recording:
        black = np.zeros((96, 128, 3), np.uint8)
        return [
            block.result(k, block.frame(k, take.source_id, black), take.header.classes)
            for take in recording.takes
            for block in recording.blocks(take)
            for k in range(len(block))
        ]  # fmt: skip


def test_every_frame_is_in_it(tmp_path, make_result, two_instances):
    sink = filled(tmp_path / "a.rec", make_result, two_instances)
    assert sink.frames == 50
    results = results_of(tmp_path / "a.rec")
    assert [result.frame.index for result in results] == list(range(50))
    assert results[7].tracks.id.tolist() == [3, -1]
    assert results[7].instances.pixels.rles == two_instances.pixels.rles
    assert [path.name for path in tmp_path.iterdir()] == ["a.rec"]


def test_secrets_are_masked(tmp_path, make_result, two_instances):
    filled(tmp_path / "a.rec", make_result, two_instances, 2)
    assert b"geheim" not in (tmp_path / "a.rec").read_bytes()
    with RunRecord(tmp_path / "a.rec") as recording:
        assert recording.takes[0].spec == "rtsp://admin:***@cam/stream"
        assert recording.takes[0].fingerprint == ""
        assert recording.takes[0].header == HEADER


def test_sightings_are_for_everybody(tmp_path, make_result, two_instances):
    """As docs/record.md has them, without a line of ours."""
    filled(tmp_path / "a.rec", make_result, two_instances)
    connection = sqlite3.connect(tmp_path / "a.rec")
    rows = connection.execute("SELECT track, class, frames, x, y FROM sightings ORDER BY track").fetchall()
    assert rows == [(None, "person", 50, None, None), (3, "café", 50, 0.3281, 0.4375)]
    connection.close()


def test_events_are_in_it(tmp_path, make_result):
    sink = RecordSink(tmp_path / "a.rec")
    event = Event("ab", "zone", "door", "started", "cam", 4, 0.16, 0.1, 3, "person", {"inside": 1})
    result = make_result(4)
    sink.write(Result(result.frame, result.instances, result.tracks, result.class_names, events=(event,)))
    sink.close()
    connection = sqlite3.connect(tmp_path / "a.rec")
    assert connection.execute("SELECT rule, phase, at, track, detail FROM events").fetchall() == [
        ("door", "started", 0.1, 3, '{"inside": 1}')
    ]
    connection.close()


def test_of_what_is_redacted_only_the_count_stays(tmp_path, make_result, two_instances):
    header = RunHeader(("person", "café"), redacted=("person",))
    filled(tmp_path / "a.rec", make_result, two_instances, 3, header)
    for result in results_of(tmp_path / "a.rec"):
        found = result.instances
        assert found.class_id.tolist() == [1, 0]
        assert not found.xyxy[1].any()
        assert not result.tracks.xyxy[1].any()
        assert found.pixels.areas == [two_instances.pixels.areas[0], 0]
        np.testing.assert_array_equal(found.xyxy[0], two_instances.xyxy[0])


def test_a_record_of_files_is_replaced_and_one_of_cameras_goes_on(tmp_path, make_result, two_instances):
    path = tmp_path / "a.rec"
    filled(path, make_result, two_instances, 5)
    filled(path, make_result, two_instances, 7)
    assert len(results_of(path)) == 7
    filled(path, make_result, two_instances, 4, continues=True)
    with RunRecord(path) as recording:
        assert [take.name for take in recording.takes] == ["cam", "cam@2"]
        assert [sum(map(len, recording.blocks(take))) for take in recording.takes] == [7, 4]


def test_a_run_without_a_frame_leaves_what_was_there(tmp_path):
    (tmp_path / "a.rec").write_bytes(b"something else")
    RecordSink(tmp_path / "a.rec").close()
    assert (tmp_path / "a.rec").read_bytes() == b"something else"
    with pytest.raises(ConfigError, match="is no record"):
        RecordSink(tmp_path / "a.rec", continues=True)
    with pytest.raises(SinkError, match="does not exist"):
        RecordSink(tmp_path / "none" / "a.rec")


def test_who_reads_does_not_hold_up_the_run(tmp_path, make_result, two_instances, monkeypatch):
    monkeypatch.setattr("streamseg.sinks.record_sink.FLUSH_SECONDS", 0.0)
    sink = RecordSink(tmp_path / "a.rec")
    sink.write(make_result(0, instances=two_instances))
    reader = sqlite3.connect(tmp_path / "a.rec", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM blocks").fetchone() == (1,)
    for k in range(1, 5):
        sink.write(make_result(k, instances=two_instances))
    assert reader.execute("SELECT count(*) FROM blocks").fetchone() == (1,)
    reader.execute("COMMIT")
    sink.write(make_result(5, instances=two_instances))
    assert reader.execute("SELECT sum(frames) FROM blocks").fetchone() == (6,)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM blocks").fetchone()
    monkeypatch.setattr("streamseg.sinks.record_sink.MOST_WAITING_SECONDS", -1.0)
    with pytest.raises(SinkError, match="kept it locked"):
        sink.write(make_result(6, instances=two_instances))
    reader.close()
    sink.close()


CHILD = """
import sys, time
from streamseg.sinks.record_sink import RecordSink
from streamseg.structures import Frame, Instances, Result, Tracks
import numpy as np
sink = RecordSink(sys.argv[1])
found = Instances.empty((8, 8))
for k in range(10**9):
    frame = Frame(np.zeros((8, 8, 3), np.uint8), k, k / 100, time.monotonic_ns(), "cam")
    sink.write(Result(frame, found, Tracks.untracked(found), ("a",)))
    print(k, time.monotonic(), flush=True)
    time.sleep(0.01)
"""


@pytest.mark.slow
def test_a_kill_loses_at_most_the_last_second(tmp_path):
    path = tmp_path / "a.rec"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        seen = [line.split() for line, _ in zip(child.stdout, range(260), strict=False)]
        child.send_signal(signal.SIGKILL)
        seen += [line.split() for line in child.stdout if len(line.split()) == 2]
    killed = float(seen[-1][1])
    with RunRecord(path) as recording:
        [take] = recording.takes
        index = np.concatenate([block.index for block in recording.blocks(take)])
        assert recording.damage == ""
    assert index.tolist() == list(range(len(index)))
    lost = [float(when) for k, when in seen if int(k) >= len(index)]
    # All of it came within the last second before the kill, and the frame that would have written it.
    assert not lost or killed - lost[0] <= 1.5
    assert len(index) > 100
    # A camera's next run goes on behind it.
    RecordSink(path, continues=True).close()


@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_leaves_a_sound_record(tmp_path):
    code = """
import resource, signal, sys, time
import numpy as np
from streamseg.errors import SinkError
from streamseg.sinks import record_sink
from streamseg.structures import Frame, Instances, Masks, Result, Tracks
record_sink.FLUSH_SECONDS = 0.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
sink = record_sink.RecordSink(sys.argv[1])
dice = np.random.default_rng(0)
try:
    for k in range(200):
        soft = dice.integers(0, 255, (1, 40, 40), np.uint8)
        box = np.array([[0, 0, 40, 40]], np.float32)
        masks = Masks(soft, (1.0, 1.0), (40, 40))
        found = Instances(box, np.ones(1, np.float32), np.zeros(1, np.int32), masks)
        frame = Frame(np.zeros((40, 40, 3), np.uint8), k, k / 100, time.monotonic_ns(), "cam")
        sink.write(Result(frame, found, Tracks.untracked(found), ("a",)))
except SinkError as error:
    print(error)
"""
    path = tmp_path / "a.rec"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 1, done.stderr
    assert str(path) in done.stdout
    with RunRecord(Path(path)) as recording:
        assert 5 < sum(map(len, recording.blocks(recording.takes[0]))) < 200
        assert recording.damage == ""


def test_the_clock_of_frames_is_kept(tmp_path, make_result):
    sink = RecordSink(tmp_path / "a.rec")
    before = time.time_ns()
    sink.write(make_result(0))
    sink.close()
    [result] = results_of(tmp_path / "a.rec")
    assert abs(result.frame.captured_ns - before) < 5e9
    assert result.frame.utc_ns is None
