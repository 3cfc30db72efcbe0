"""Video files of many kinds, whole and broken."""

from __future__ import annotations

import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.capture.file_source import FileSource
from streamseg.errors import CorruptSource, SourceError
from streamseg.structures import Frame


def display_matrix(a: int, b: int, c: int, d: int) -> bytes:
    """As mp4 writes it: 16.16 fixed point, the last column 2.30."""
    one = 1 << 16
    return struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)


UPRIGHT = display_matrix(1, 0, 0, 1)
TURNED = {
    90: display_matrix(0, 1, -1, 0),
    180: display_matrix(-1, 0, 0, -1),
    270: display_matrix(0, -1, 1, 0),
}


def read(path: Path) -> list[Frame]:
    with FileSource(path, "f") as source:
        return list(source)


def read_until_error(path: Path) -> tuple[list[Frame], SourceError]:
    frames: list[Frame] = []
    with FileSource(path, "f") as source, pytest.raises(SourceError) as caught:
        frames.extend(source)
    return frames, caught.value


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx264", "a.mp4"),
        ("libx264", "a.mkv"),
        ("libx264", "a.ts"),
        ("mpeg4", "a.mp4"),
        ("libvpx-vp9", "a.webm"),
        ("mjpeg", "a.avi"),
        ("libx265", "a.mp4"),
    ],
)
def test_every_frame_comes_once_in_order(codec: str, name: str, clip, number_of: Callable[..., int]) -> None:
    options = {
        "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
        "libx265": {"x265-params": "log-level=none"},
    }
    frames = read(clip(name, frames=30, codec=codec, options=options.get(codec)))
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.index for frame in frames] == list(range(30))
    assert all(frame.source_id == "f" for frame in frames)
    steps = np.diff([frame.pts_seconds for frame in frames])
    np.testing.assert_allclose(steps, 1 / 30, atol=1.1e-3)


def test_what_is_known_on_opening(clip) -> None:
    with FileSource(clip(frames=12), "f") as source:
        assert (source.size_hw, source.fps, source.frame_count, source.live) == ((96, 160), 30.0, 12, False)


def test_frames_are_read_only_contiguous_and_stay_as_they_are(clip) -> None:
    frames = read(clip(frames=5))
    kept = frames[0].image.copy()
    assert frames[0].image.flags.c_contiguous
    assert not frames[0].image.flags.writeable
    np.testing.assert_array_equal(frames[0].image, kept)
    assert len({frame.image.ctypes.data for frame in frames}) == 5


def test_variable_frame_rate_keeps_the_true_times(clip) -> None:
    pts = [0, 40, 50, 250, 260, 1000]
    path = clip(frames=6, pts=pts, time_base=Fraction(1, 1000))
    assert [round(frame.pts_seconds * 1000) for frame in read(path)] == pts


def test_times_that_do_not_increase_are_repaired_and_counted(clip) -> None:
    # Matroska counts milliseconds: three frames within one fall together.
    path = clip("a.mkv", frames=6, pts=[0, 330, 331, 332, 660, 990], time_base=Fraction(1, 10000))
    with FileSource(path, "f") as source:
        times = [frame.pts_seconds for frame in source]
        assert source.repaired_pts == 2
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(times, [0, 0.033, 0.034, 0.035, 0.066, 0.099], atol=1e-9)


@pytest.mark.parametrize(("degrees", "bright_side"), [(90, "top"), (180, "right"), (270, "bottom")])
def test_rotated_recordings_stand_upright(degrees: int, bright_side: str, clip) -> None:
    picture = np.full((96, 160, 3), 30, np.uint8)
    picture[:, :80] = 220
    path = clip(pictures=[picture] * 3)
    data = path.read_bytes()
    track = data.index(UPRIGHT, data.index(b"tkhd"))
    path.write_bytes(data[:track] + TURNED[degrees] + data[track + len(UPRIGHT) :])
    with FileSource(path, "f") as source:
        frame = next(iter(source))
        assert source.size_hw == frame.size_hw == ((96, 160) if degrees == 180 else (160, 96))
    h, w = frame.size_hw
    sides = {
        "top": frame.image[: h // 3],
        "bottom": frame.image[-(h // 3) :],
        "left": frame.image[:, : w // 3],
        "right": frame.image[:, -(w // 3) :],
    }
    assert max(sides, key=lambda side: sides[side].mean()) == bright_side
    assert frame.image.flags.c_contiguous


@pytest.mark.parametrize("colorspace", [1, 6], ids=["bt709", "bt601"])
def test_colours_are_those_that_the_stream_declares(colorspace: int, clip) -> None:
    bgr = [(40, 200, 60), (220, 60, 50), (50, 70, 210), (128, 128, 128)]
    picture = np.concatenate([np.full((96, 40, 3), colour, np.uint8) for colour in bgr], axis=1)
    tags = {"colorspace": colorspace, "color_range": 1}
    image = read(clip(pictures=[picture] * 2, tags=tags, options={"qp": "0"}))[0].image
    for k, colour in enumerate(bgr):
        # swscale rounds down on the way there and back; the wrong matrix would be off by 20 and more.
        np.testing.assert_allclose(image[20:70, 40 * k + 10 : 40 * k + 30].mean(axis=(0, 1)), colour, atol=6)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cut_off_recording_gives_what_there_is_and_says_so(name: str, clip, number_of) -> None:
    path = clip(name, frames=60, container={"movflags": "+faststart"} if name == "a.mp4" else None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, error = read_until_error(path)
    assert 20 < len(frames) < 50
    assert [number_of(f.image) for f in frames[:20]] == list(range(20))
    assert isinstance(error, CorruptSource)
    assert f"{path}: cut off: {len(frames)} frames decoded, the last " in str(error)


def test_damage_in_the_middle_is_skipped_and_reported_at_the_end(clip) -> None:
    path = clip(frames=60, container={"movflags": "+faststart"}, options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\x55" * 4000
    path.write_bytes(data)
    frames, error = read_until_error(path)
    assert 45 < len(frames) <= 60
    assert frames[-1].pts_seconds == pytest.approx(59 / 30)
    assert isinstance(error, CorruptSource)
    assert f"{len(frames)} frames decoded" in str(error)


def test_a_recording_without_its_index_is_named(clip) -> None:
    path = clip(frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"clip\.mp4: cannot be read .*cut off before its index"):
        FileSource(path, "f")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4: no such file"):
        FileSource(tmp_path / "none.mp4", "f")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder, not a video file"):
        FileSource(tmp_path, "f")


@pytest.mark.parametrize("content", [b"", b"not a video at all, but text\n" * 50], ids=["empty", "text"])
def test_a_text_file_named_mp4(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"text\.mp4: cannot be read"):
        FileSource(path, "f")


@pytest.mark.parametrize("name", ["none.mp4", "none.mkv", "none.avi"])
def test_no_frame_in_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=30)
        stream.width, stream.height = 160, 96
        output.start_encoding()
    with pytest.raises(SourceError, match=r"none\.\w+: (no frame in it|no video in it|cannot be read)"):
        FileSource(path, "f")


def test_a_codec_that_nobody_knows(clip) -> None:
    path = clip()
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceError, match="FFmpeg has no decoder for its video codec"):
        FileSource(path, "f")


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    with pytest.raises(SourceError, match="no video in it, only audio"):
        FileSource(path, "f")


def test_a_name_with_a_colon_is_a_name(clip) -> None:
    assert len(read(clip("concat:a%02d.mp4", frames=3))) == 3


def test_interrupt_ends_the_iteration(clip) -> None:
    with FileSource(clip(frames=30), "f") as source:
        frames = iter(source)
        next(frames)
        source.interrupt()
        assert list(frames) == []
    source.close()


def test_over_http(clip, file_server: str, number_of) -> None:
    clip("a b.mp4", frames=20, container={"movflags": "+faststart"})
    with FileSource(f"{file_server}/a%20b.mp4", "f") as source:
        assert [number_of(frame.image) for frame in source] == list(range(20))


def test_not_there_over_http(file_server: str) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4: cannot be opened .*404"):
        FileSource(f"{file_server}/none.mp4", "f")


def test_ffmpeg_itself_stays_quiet(clip) -> None:
    path = clip(frames=60, container={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    program = (
        "import sys; from streamseg.capture.file_source import FileSource; from streamseg.errors import *\n"
        "try: print(len(list(FileSource(sys.argv[1], 'f'))))\n"
        "except CorruptSource as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "cut off" in done.stdout
