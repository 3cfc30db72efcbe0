"""Packets into segments and clips: real files of real packets, read by programs that are not ours."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from streamseg.sinks import reel
from streamseg.sinks.recorder import MOST_CLIPS, ClipSpan, Recorder
from streamseg.sinks.shelf import Shelf, utc_name
from tests.sinks.camera_packets import START_UTC_NS, encoded

SECOND = 1_000_000_000


def recorder_of(folder, *, segment_s=1.0, clips=None, span=(1.0, 1.0), days=None, gb=None):
    segments = Shelf(folder, days, gb) if folder else None
    return Recorder(
        segments, Shelf(clips, days, gb) if clips else None, segment_s=segment_s, span=ClipSpan(*span)
    )


def record(recorder, packets, source_id="cam", clip_at=None):
    """All of them, the clip ordered when the packet of that number has come."""
    for index, packet in enumerate(packets):
        recorder.put(source_id, packet)
        if index == clip_at:
            assert recorder.clip(source_id, "0123456789abcdef", packet.arrived_ns)
    recorder.interrupt()
    recorder.run()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.mp4"))


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_segments_begin_with_key_pictures_and_hold_every_packet(tmp_path, probe_video, codec):
    recorder = recorder_of(tmp_path)
    packets = encoded(100, codec=codec)
    record(recorder, packets)
    made = files(tmp_path / ".")
    assert [path.parent.name for path in made] == ["cam"] * 4
    assert [path.stem for path in made] == [utc_name(START_UTC_NS + k * SECOND) for k in range(4)]
    assert made[0].stem == "2026-11-21T22-40-15.250Z"
    videos = [probe_video(path) for path in made]
    assert [len(video.pts) for video in videos] == [30, 30, 30, 10]
    for video in videos:
        assert video.pts == [k * 3000 for k in range(len(video.pts))]
        assert video.keyframes[0] == 0
    assert [len(pictures(path)) for path in made] == [30, 30, 30, 10]
    assert recorder.counters("cam") == {"record_lost": 0, "segments": 4}


def test_nothing_is_encoded_again(tmp_path):
    packets = encoded(30)
    record(recorder_of(tmp_path, segment_s=60), packets)
    (path,) = files(tmp_path)
    decoder = av.CodecContext.create("h264", "r")
    sent = [f for p in packets for f in decoder.decode(av.Packet(p.data))] + decoder.decode(None)
    kept = pictures(path)
    assert len(kept) == len(sent) == 30
    assert all((a.to_ndarray() == b.to_ndarray()).all() for a, b in zip(kept, sent, strict=True))


def test_h265_bears_the_tag_that_players_of_apple_know(tmp_path):
    record(recorder_of(tmp_path), encoded(10, codec="hevc"))
    with av.open(str(files(tmp_path)[0])) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_camera_that_comes_back_another_one_begins_a_new_file(tmp_path):
    """Within a connection, after it broke, and with another codec."""
    parts = [
        encoded(20),
        encoded(20, hw=(64, 96), start_ns=SECOND),
        encoded(20, hw=(64, 96), start_ns=60 * SECOND, session=2),
        encoded(20, codec="hevc", hw=(64, 96), start_ns=90 * SECOND, session=3),
    ]
    record(recorder_of(tmp_path, segment_s=60), [packet for part in parts for packet in part])
    found = []
    for path in files(tmp_path):
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context
            found.append((codec.name, codec.height, sum(1 for _ in container.decode(video=0))))
    assert found == [("h264", 48, 20), ("h264", 64, 20), ("h264", 64, 20), ("hevc", 64, 20)]


def test_a_clock_that_jumps_begins_a_new_file_and_one_that_stumbles_does_not(tmp_path, probe_video):
    packets = encoded(60)
    packets[7] = replace(packets[7], decoded_s=packets[6].decoded_s, shown_s=packets[6].shown_s)
    packets[30:] = [replace(p, decoded_s=p.decoded_s + 9e4, shown_s=p.shown_s + 9e4) for p in packets[30:]]
    record(recorder_of(tmp_path, segment_s=60), packets)
    videos = [probe_video(path) for path in files(tmp_path)]
    assert [len(video.pts) for video in videos] == [30, 30]
    assert videos[0].pts[6:9] == [18_000, 18_001, 24_000]
    assert videos[1].pts[-1] == 29 * 3000


def test_the_oldest_go_when_there_are_too_many_bytes(tmp_path):
    (tmp_path / "cam").mkdir()
    mine = tmp_path / "cam" / "holiday.mp4"
    mine.write_bytes(bytes(100_000))
    recorder = recorder_of(tmp_path, gb=100_000 / 1e9)
    record(recorder, encoded(300))
    left = [path for path in files(tmp_path) if path != mine]
    assert sum(path.stat().st_size for path in left[:-1]) <= 100_000
    assert left[-1].stem == utc_name(START_UTC_NS + 9 * SECOND)
    assert 1 < len(left) < 10
    assert mine.exists()


def test_files_of_a_run_before_are_removed_when_they_are_too_old(tmp_path):
    folder = tmp_path / "gate"
    folder.mkdir()
    now_ns = round(datetime.now(UTC).timestamp() * 1e9)
    ages_h = [1, 23, 25, 240]
    for hours in ages_h:
        (folder / f"{utc_name(now_ns - hours * 3600 * SECOND)}.mp4").write_bytes(b"x")
    record(recorder_of(tmp_path, days=1.0), [])  # also where no camera sends anything
    assert [path.stem for path in files(tmp_path)] == [utc_name(now_ns - h * 3600 * SECOND) for h in (23, 1)]


def test_a_clip_has_what_was_before_its_moment_and_what_came_after(tmp_path, probe_video):
    packets = encoded(240, gop=20, start_ns=time.monotonic_ns())
    recorder = recorder_of(None, clips=tmp_path, span=(1.0, 2.0))
    record(recorder, packets, clip_at=130)
    (path,) = files(tmp_path)
    # One second before picture 130 is 100, itself a key picture.
    assert path.name == f"{utc_name(packets[100].utc_ns)}_0123456789abcdef.mp4"
    assert len(probe_video(path).pts) == 91
    assert probe_video(path).seconds == pytest.approx(91 / 30, abs=0.01)
    assert len(pictures(path)) == 91
    assert recorder.counters("cam")["clips"] == 1


def test_a_clip_of_a_camera_that_falls_silent_ends_with_the_run(tmp_path):
    recorder = recorder_of(None, clips=tmp_path, span=(1.0, 60.0))
    record(recorder, encoded(60, start_ns=time.monotonic_ns()), clip_at=50)
    assert len(pictures(files(tmp_path)[0])) == 45


def test_clips_at_a_time_are_bounded_and_clips_of_nothing_are_refused(tmp_path):
    recorder = recorder_of(None, clips=tmp_path, span=(1.0, 1.0))
    assert not recorder.clip("cam", "x", 0)
    packets = encoded(30, start_ns=time.monotonic_ns())
    for packet in packets:
        recorder.put("cam", packet)
    for k in range(MOST_CLIPS + 3):
        assert recorder.clip("cam", f"{k:016x}", packets[-1].arrived_ns)
    recorder.interrupt()
    recorder.run()
    assert len(files(tmp_path)) == MOST_CLIPS
    assert recorder.counters("cam")["clips_refused"] == 3


def test_a_disk_too_slow_costs_packets_and_begins_again_with_a_key_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("streamseg.sinks.recorder.MOST_WAITING_BYTES", 20_000)
    recorder = recorder_of(tmp_path, segment_s=60)
    packets = encoded(90)
    for packet in packets[:60]:  # nobody writes
        recorder.put("cam", packet)
    lost = recorder.counters("cam")["record_lost"]
    assert 0 < lost < 60
    recorder.interrupt()
    recorder.run()
    kept = sum(len(pictures(path)) for path in files(tmp_path))
    assert kept == 60 - lost


def test_a_damaged_key_picture_costs_no_more_than_its_group(tmp_path):
    packets = encoded(90)
    broken = packets[0].headers + b"\0\0\1" + bytes(range(1, 30))
    packets[0] = replace(packets[0], data=broken[:9], headers=b"")
    recorder = recorder_of(tmp_path, segment_s=60)
    record(recorder, packets)
    assert sum(len(pictures(path)) for path in files(tmp_path)) >= 75
    assert recorder.counters("cam")["record_lost"] <= 15


def test_a_full_disk_is_said_once_and_recording_goes_on_when_there_is_room(tiny_disk, monkeypatch, caplog):
    monkeypatch.setattr(reel, "PAUSE_SECONDS", 0.0)
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(180_000))
    recorder = recorder_of(tiny_disk, segment_s=60)
    packets = encoded(300)  # 30 kB a second
    for packet in packets[:150]:
        recorder.put("cam", packet)
    recorder._orders.put(filler.unlink)
    for packet in packets[150:]:
        recorder.put("cam", packet)
    recorder.interrupt()
    recorder.run()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "cam: is not recorded: " in said[0]
    assert "the disk is full" in said[0]
    assert said[1] == "cam: is recorded again"
    kept = [len(pictures(path)) for path in files(tiny_disk)]
    lost = recorder.counters("cam")["record_lost"]
    assert min(sum(kept[:1]), lost, kept[-1]) > 20
    assert 300 - 10 <= sum(kept) + lost <= 300
    assert recorder.trouble("cam") == ""


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.sinks.camera_packets import encoded
from tests.sinks.test_recorder import recorder_of
recorder = recorder_of(Path(sys.argv[1]))
for packet in encoded(105):
    recorder.put("cam", packet)
recorder._orders.put(lambda: os.kill(os.getpid(), signal.SIGKILL))
recorder.run()
"""


@pytest.mark.slow
def test_what_a_kill_leaves_plays(tmp_path, probe_video):
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, stderr=subprocess.PIPE)
    assert done.returncode == -9, done.stderr.decode()
    counts = [len(probe_video(path).pts) for path in files(tmp_path)]
    assert counts[:3] == [30, 30, 30]
    assert sum(counts) >= 90
    assert [len(pictures(path)) for path in files(tmp_path)] == counts


def test_names_of_sources_become_names_of_folders(tmp_path):
    record(recorder_of(tmp_path), encoded(5), source_id="../a b/ü")
    assert [path.parent.name for path in files(tmp_path)] == ["a_b"]
