"""The file of a record, read: whole, cut off, damaged, of somebody else."""

import json
import logging
import sqlite3
import time

import numpy as np
import pytest

from streamseg.errors import DatasetError
from streamseg.records.header import RunHeader, clip_fingerprint
from streamseg.records.store import RecordReader, is_record
from streamseg.sinks.record_sink import RecordSink
from streamseg.structures import Frame, Instances, Masks, Result, Tracks


def write_record(path, frames=300, sources=("cam",)):
    """With a block for every ten frames, as of a slow camera."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamseg.sinks.record_sink.MOST_FRAMES_OF_A_BLOCK", 10)
        return _written(path, frames, sources)


def _written(path, frames, sources):
    sink = RecordSink(path)
    sink.describe(RunHeader(("a",)), lambda source_id: source_id)
    dice = np.random.default_rng(0)
    for k in range(frames):
        for source in sources:
            soft = dice.integers(0, 255, (1, 24, 24), np.uint8)
            found = Instances(
                np.array([[0, 0, 24, 24]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32),
                Masks(soft, (1.0, 1.0), (24, 24)),
            )  # fmt: skip
            frame = Frame(np.zeros((24, 24, 3), np.uint8), k, k / 25, time.monotonic_ns(), source)
            sink.write(Result(frame, found, Tracks.untracked(found), ("a",)))
    sink.close()
    return path


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_record(tmp_path_factory.mktemp("record") / "a.rec", sources=("cam", "gate"))


def test_sources_are_told_apart_and_any_time_is_found(record):
    with RecordReader(record) as recording:
        assert [take.source_id for take in recording.takes] == ["cam", "gate"]
        gate = recording.takes[1]
        assert np.concatenate([b.index for b in recording.blocks(gate)]).tolist() == list(range(300))
        found = list(recording.blocks(gate, 6.0, 6.5))
        assert 2 <= len(found) <= 3
        assert found[0].pts_seconds[0] <= 6.0 <= found[-1].pts_seconds[-1]
        assert list(recording.blocks(gate, 100.0)) == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_record_cut_off_is_read_up_to_the_cut(record, tmp_path, share, caplog):
    path = tmp_path / "cut.rec"
    content = record.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    with caplog.at_level(logging.WARNING), RecordReader(path) as recording:
        read = [sum(map(len, recording.blocks(take))) for take in recording.takes]
        assert recording.damage
    assert 600 * share - 80 <= sum(read) <= 600 * share + 20  # tables and the index come first
    lines = [line for line in caplog.messages if "cut" in line]
    assert lines
    assert all(str(path) in line and "\n" not in line for line in lines)


def test_a_damaged_block_ends_the_reading_there(record, tmp_path, caplog):
    path = tmp_path / "bad.rec"
    path.write_bytes(record.read_bytes())
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE blocks SET masks = x'00' WHERE id = 5")
    connection.close()
    with RecordReader(path) as recording:
        assert sum(map(len, recording.blocks(recording.takes[0]))) == 20
        assert "after 0.8 s of cam" in recording.damage
        assert sum(map(len, recording.blocks(recording.takes[1]))) == 300


def test_what_is_no_record_is_refused(record, tmp_path):
    path = tmp_path / "x.rec"
    for content in (b"", b"SQLite format 3\x00", b"{}\n", record.read_bytes()[:900]):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"x\.rec"):
            RecordReader(path)
    with pytest.raises(DatasetError, match="no such file"):
        RecordReader(tmp_path / "none.rec")
    other = sqlite3.connect(tmp_path / "other.rec")
    other.execute("CREATE TABLE t (a)")
    other.close()
    assert not is_record(tmp_path / "other.rec")
    with pytest.raises(DatasetError, match="is no record"):
        RecordReader(tmp_path / "other.rec")


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 7",
        "DROP TABLE events",
        "UPDATE runs SET header = '[]'",
        "UPDATE runs SET header = '{\"classes\": []}'",
        "UPDATE runs SET header = '{\"classes\": [1]}'",
        "DELETE FROM runs",
        # A view would run what its maker wrote.
        "ALTER TABLE blocks RENAME TO b; CREATE VIEW blocks AS SELECT * FROM b",
    ],
)
def test_a_record_of_another_make_is_refused(record, tmp_path, statement):
    path = tmp_path / "x.rec"
    path.write_bytes(record.read_bytes())
    connection = sqlite3.connect(path)
    connection.executescript(statement)
    connection.close()
    with pytest.raises(DatasetError, match=r"x\.rec: a (damaged )?record"):
        RecordReader(path)


def test_a_header_says_what_it_was_told():
    header = RunHeader(("a", "b"), engine_sha256="ff", redacted=("a",))
    assert RunHeader.from_json(header.to_json()) == header
    newer = json.dumps({**json.loads(header.to_json()), "later": 3})
    assert RunHeader.from_json(newer) == header


def test_a_clip_is_known_by_its_content(tmp_path):
    one, other, copy = (tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4"))
    content = np.random.default_rng(0).bytes(3_000_000)
    one.write_bytes(content)
    copy.write_bytes(content)
    other.write_bytes(content[:-1] + b"x")
    assert clip_fingerprint(str(one)) == clip_fingerprint(str(copy)) == clip_fingerprint(f"file://{copy}")
    assert clip_fingerprint(str(one)) != clip_fingerprint(str(other))
    assert [clip_fingerprint(spec) for spec in ("rtsp://cam", "0", str(tmp_path), "synthetic")] == [""] * 4
