import dataclasses
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.sinks.video_sink import VideoSink

SUFFIXES = (".mp4", ".mkv")
TICKS_PER_SECOND = {".mp4": 90_000, ".mkv": 1000}


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"out{request.param}"


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def write_each(sink, results):
    for result in results:
        sink.write(result)


def write_all(path, results):
    sink = VideoSink(path)
    write_each(sink, results)
    sink.close()
    return sink


def test_as_many_frames_as_written_at_their_own_times(path, make_result, probe_video):
    # Media time does not begin at 0, and the rate varies.
    times = [7.0 + 0.04 * i + 0.011 * (i % 3) + (0.5 if i > 30 else 0) for i in range(60)]
    sink = write_all(path, [make_result(i, t) for i, t in enumerate(times)])
    video = probe_video(path)
    ticks = TICKS_PER_SECOND[path.suffix]
    assert sink.frames == 60
    assert video.time_base == 1 / ticks or video.time_base.denominator == ticks
    assert video.pts == [round((t - times[0]) * ticks) for t in times]
    assert len(decoded(path)) == 60


def test_durations_are_the_intervals_and_the_last_repeats_the_one_before(path, make_result, probe_video):
    times = [0.0, 0.04, 0.1, 0.2, 0.23, 0.33]
    write_all(path, [make_result(i, t) for i, t in enumerate(times)])
    video = probe_video(path)
    assert video.seconds == pytest.approx(0.43, abs=0.002)
    if path.suffix == ".mp4":
        assert video.durations == [3600, 5400, 9000, 2700, 9000, 9000]


def test_a_single_frame_lasts_a_thirtieth_of_a_second(path, make_result, probe_video):
    write_all(path, [make_result()])
    assert probe_video(path).seconds == pytest.approx(1 / 30, abs=0.001)


def test_the_header_announces_the_rate_of_the_frames(path, make_result):
    write_all(path, [make_result(i, 3 + i / 12.5) for i in range(5)])
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5, abs=0.01)


def test_ntsc_rates_are_exact(tmp_path, make_result, probe_video):
    write_all(tmp_path / "a.mp4", [make_result(i, i * 1001 / 30000) for i in range(40)])
    assert probe_video(tmp_path / "a.mp4").pts == [3003 * i for i in range(40)]


def test_a_long_wait_between_frames_is_kept(path, make_result, probe_video):
    write_all(path, [make_result(i, t) for i, t in enumerate([0, 5000, 5000.04])])
    ticks = TICKS_PER_SECOND[path.suffix]
    assert probe_video(path).pts == [0, 5000 * ticks, round(5000.04 * ticks)]


def test_two_times_on_one_tick_stay_apart(path, make_result, probe_video):
    write_all(path, [make_result(i, t) for i, t in enumerate([0, 1e-7, 2e-7, 1.0])])
    assert probe_video(path).pts == [0, 1, 2, TICKS_PER_SECOND[path.suffix]]


@pytest.mark.parametrize("fps", [5, 60])
def test_a_keyframe_at_least_every_second_of_media_time(path, make_result, probe_video, fps):
    write_all(path, [make_result(i, i / fps) for i in range(3 * fps)])
    ticks = TICKS_PER_SECOND[path.suffix]
    assert probe_video(path).keyframes == pytest.approx([0, ticks, 2 * ticks], abs=ticks / fps)


@pytest.mark.parametrize(
    "bgr", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (20, 20, 20), (60, 90, 200)]
)
def test_colours_survive(path, make_result, bgr):
    image = np.full((720, 1280, 3), bgr, np.uint8)
    write_all(path, [make_result(i, image=image) for i in range(3)])
    # FFmpeg's converter, which PyAV uses, follows the colour tags of the file.
    for frame in decoded(path):
        assert np.abs(frame.astype(int) - bgr).max() <= 4


def test_the_picture_is_the_canvas(path, make_result):
    y, x = np.mgrid[:96, :128].astype(np.uint8)
    image = np.stack([x + y // 2, 2 * y, 200 - x], axis=2)
    write_all(path, [make_result(i, image=image) for i in range(5)])
    assert min(cv2.PSNR(frame, image) for frame in decoded(path)) > 38


def test_odd_sizes_are_padded_by_repeating_the_edge(path, make_result):
    image = np.full((95, 127, 3), (40, 200, 90), np.uint8)
    sink = write_all(path, [make_result(i, image=image) for i in range(3)])
    frames = decoded(path)
    assert frames[0].shape == (96, 128, 3)
    assert np.abs(frames[0].astype(int) - image[0, 0]).max() <= 4
    assert sink.refitted == 0


@pytest.mark.parametrize("hw", [(1, 1), (2, 2), (1, 64), (64, 1), (2, 3)])
def test_tiny_pictures_are_padded_and_larger_ones_after_them_fitted(path, make_result, hw):
    sizes = [hw, hw, (96, 128), hw]
    sink = write_all(
        path, [make_result(i, image=np.full((*size, 3), 200, np.uint8)) for i, size in enumerate(sizes)]
    )
    frames = decoded(path)
    assert [frame.shape for frame in frames] == [(max(hw[0], 4), max(hw[1], 4), 3)] * 4
    assert np.abs(frames[0].astype(int) - 200).max() <= 4
    assert sink.refitted == 1


def test_another_size_in_mid_stream_is_fitted_into_the_first_and_counted(path, make_result):
    white = [np.full((*hw, 3), 255, np.uint8) for hw in [(96, 128), (48, 128), (480, 640)]]
    sink = write_all(path, [make_result(i, image=image) for i, image in enumerate(white)])
    first, wide, same_aspect = decoded(path)
    assert first.shape == wide.shape == same_aspect.shape == (96, 128, 3)
    assert sink.refitted == 2
    assert wide[:20].max() < 12
    assert wide[-20:].max() < 12
    assert wide[28:68].min() > 240
    assert same_aspect.min() > 240


def test_a_normal_close_leaves_a_plain_mp4(tmp_path, make_result):
    write_all(tmp_path / "a.mp4", [make_result(i) for i in range(60)])
    data = (tmp_path / "a.mp4").read_bytes()
    boxes, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append(data[at + 4 : at + 8].decode())
        at += size if size != 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    assert "moof" not in boxes
    assert boxes[-1] == "moov"


def test_an_existing_file_is_replaced_by_frames_and_not_before(path, make_result):
    path.write_bytes(b"precious")
    VideoSink(path).close()
    sink = VideoSink(path)
    assert path.read_bytes() == b"precious"
    sink.write(make_result())
    sink.close()
    assert len(decoded(path)) == 1


def test_without_frames_there_is_no_file(path):
    sink = VideoSink(path)
    sink.close()
    sink.close()
    assert not path.exists()


def test_closing_twice_is_closing_once_and_writing_afterwards_is_refused(path, make_result):
    sink = VideoSink(path)
    sink.write(make_result())
    sink.close()
    size = path.stat().st_size
    sink.close()
    assert path.stat().st_size == size
    with pytest.raises(SinkError, match="already closed"):
        sink.write(make_result(1))


def test_names_that_look_like_protocols_are_names(tmp_path, make_result, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_all("12:30 %d.mp4", [make_result()])
    assert len(decoded(tmp_path / "12:30 %d.mp4")) == 1


@pytest.mark.parametrize("name", ["out.avi", "out", "out.mp4.tmp"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"use \.mp4 or \.mkv"):
        VideoSink(tmp_path / name)


def test_a_missing_folder_is_reported_at_once_with_the_cure(tmp_path):
    with pytest.raises(SinkError, match=r"nowhere does not exist; create it: mkdir -p"):
        VideoSink(tmp_path / "nowhere" / "out.mp4")


def test_a_folder_that_cannot_be_written_is_reported_at_once(tmp_path):
    with pytest.raises(SinkError, match=r"/proc/out\.mp4"):
        VideoSink("/proc/out.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SinkError, match="is a folder"):
        VideoSink(tmp_path / "folder.mp4")


def test_a_pipe_is_refused_and_not_opened(path):
    os.mkfifo(path)
    with pytest.raises(SinkError, match="is a pipe; a video needs a file"):
        VideoSink(path)


def test_a_result_without_canvas_is_a_mistake_of_the_caller(path, make_result):
    with pytest.raises(ValueError, match="has no canvas"):
        VideoSink(path).write(dataclasses.replace(make_result(), canvas=None))


KILLED = """
import os, signal, sys, time
import numpy as np
from streamseg.sinks.video_sink import VideoSink
from streamseg.structures import Frame, Instances, Result, Tracks

sink = VideoSink(sys.argv[1])
none = Instances.empty((96, 128))
rng = np.random.default_rng(0)
for i in range(int(sys.argv[2])):
    image = rng.integers(0, 255, (96, 128, 3), np.uint8)
    frame = Frame(image.copy(), i, i / 30, time.monotonic_ns(), "cam")
    sink.write(Result(frame, none, Tracks.untracked(none), (), canvas=image))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 4, 7, 31, 315])
def test_a_kill_loses_a_tenth_of_a_second_at_most(path, probe_video, count):
    command = [sys.executable, "-c", KILLED, str(path), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    frames = decoded(path)
    # 30 frames a second, and of each frame the next one tells that it is whole.
    assert max(1, count - 4) <= len(frames) < count
    reader = cv2.VideoCapture(str(path))
    assert sum(1 for _ in iter(lambda: reader.read()[0], False)) == len(frames)
    video = probe_video(path)
    per_frame = TICKS_PER_SECOND[path.suffix] / 30
    assert video.pts == [round(i * per_frame) for i in range(len(frames))]


@pytest.fixture
def file_size_limit():
    """Files of this process may not grow beyond so many bytes: the kernel answers EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [40_000, 90_000, 260_000, 1_000_000])
def test_a_limit_on_the_file_is_one_line_and_what_was_written_plays(path, make_result, file_size_limit, room):
    sink = VideoSink(path)
    file_size_limit(room)
    with pytest.raises(SinkError, match=rf"{path}: too large"):
        write_each(sink, map(make_result, range(200)))
    file_size_limit(resource.RLIM_INFINITY)
    sink.close()
    # The fragment that did not fit is lost.
    assert max(1, sink.frames - 4) <= len(decoded(path)) <= sink.frames


def test_a_limit_hit_by_the_index_at_the_end_keeps_every_frame(tmp_path, make_result, file_size_limit):
    results = [make_result(i) for i in range(40)]
    write_all(tmp_path / "whole.mp4", results)
    sink = VideoSink(tmp_path / "cut.mp4")
    file_size_limit((tmp_path / "whole.mp4").stat().st_size - 100)
    for each in results:
        sink.write(each)
    with pytest.raises(SinkError, match=r"cut\.mp4: too large"):
        sink.close()
    file_size_limit(resource.RLIM_INFINITY)
    assert len(decoded(tmp_path / "cut.mp4")) == 40


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_line_and_what_was_written_plays(tiny_disk, make_result, suffix):
    path = tiny_disk / f"out{suffix}"
    sink = VideoSink(path)
    with pytest.raises(SinkError, match=rf"{path}: the disk is full") as caught:
        write_each(sink, map(make_result, range(200)))
    assert caught.value.__cause__.errno == errno.ENOSPC
    sink.close()
    assert sink.frames > 10
    assert len(decoded(path)) >= sink.frames - 4
