"""The program behind BroadcastSink: pictures → H.264 → an RTSP server or an HLS playlist, until told to stop.
Tested in tests/sinks/test_broadcast_sink.py.

A process of its own, because FFmpeg's muxers can block for ever (a server that stops reading: longer than
20 s, whatever timeout was set). It ends itself by an alarm when one call takes too long, whoever is blocked.

In: a line of JSON: address, name of the source, how many seconds a call may take; then again and again
HEADER and the pixels, (H, W, 3) uint8 BGR. Out: lines of JSON, `sent`, `stubs` and `trouble`, counted from
the start.
"""

from __future__ import annotations

import io
import json
import os
import random
import select
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.logging
import numpy as np
from av.container import OutputContainer

from streamseg.addresses import for_ffmpeg
from streamseg.sinks.h264_writer import H264Writer, Shot
from streamseg.sinks.stub_picture import stub_picture

__all__ = ["HEADER", "STUB_AFTER_SECONDS", "Said", "is_playlist_file"]

HEADER = struct.Struct("<dII?")
"""Media time in seconds, height, width, and whether it is given out at the pace of its media time."""
STUB_AFTER_SECONDS = 2.0
_STUB_SECONDS = 0.2
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0
_SAID_FPS = 30.0
"""Of the header; times are the pictures' own."""
_TICK = Fraction(1, 90_000)
_SEGMENT_SECONDS = 2
_LISTED = 6
_END_SECONDS = 3
_LONGEST_WAIT_SECONDS = 1.0
_CHECK_SECONDS = 1.0
_PROBE = bytes(65536)


@dataclass(slots=True)
class Said:
    """What the program tells: counts since its start, and what is wrong, if anything is."""

    sent: int = 0
    stubs: int = 0
    trouble: str = ""


def is_playlist_file(address: str) -> bool:
    """Whether it is HLS that is written, and not a server's address."""
    return address.lower().endswith(".m3u8")


def open_output(address: str) -> OutputContainer:
    """Raises av.error.FFmpegError."""
    if not is_playlist_file(address):
        options = {"rtsp_transport": "tcp"}
        return av.open(for_ffmpeg(address), "w", format="rtsp", container_options=options)
    stem = Path(address).with_suffix("")
    options = {
        "hls_time": str(_SEGMENT_SECONDS),
        "hls_list_size": str(_LISTED),
        "hls_segment_filename": f"{stem}-%d.ts",
        # Playlist and segments appear under their names when they are whole; what has left the list is
        # deleted; a run that follows goes on with the list.
        "hls_flags": "delete_segments+temp_file+append_list+independent_segments+program_date_time",
    }
    return av.open(f"file:{address}", "w", format="hls", container_options=options)


class Broadcast:
    """One output that is opened again when it breaks; pictures that come meanwhile are lost."""

    def __init__(self, address: str, name: str, stuck_s: int) -> None:
        self.said = Said()
        self._stuck_s = stuck_s
        self._address = address
        self._name = name
        self._writer: H264Writer | None = None
        self._last: Shot | None = None
        self._last_at = self._began = 0.0
        self._last_wall = 0.0
        self._failures = 0
        self._not_before = self._check_at = 0.0
        self._stub_at: float | None = None

    def show(self, shot: Shot, *, paced: bool) -> None:
        """Send one picture."""
        if paced:
            self._keep_pace(shot)
        self._last, self._last_at, self._last_wall = shot, time.monotonic(), time.time()
        # A file that is slow is not away.
        self._stub_at = None if paced else self._last_at + STUB_AFTER_SECONDS
        self.said.sent += self._send(shot)

    def wait_s(self) -> float | None:
        """How long nothing has to be done; None: until the next picture."""
        return None if self._stub_at is None else max(0.0, self._stub_at - time.monotonic())

    def show_stub(self) -> None:
        """Go on though no picture has come."""
        assert self._last is not None
        now = time.monotonic()
        self._stub_at = now + _STUB_SECONDS
        image = stub_picture(self._last.image, self._name, self._last_wall, time.time())
        shot = Shot(image, self._last.pts_seconds + now - self._last_at)
        self.said.stubs += self._send(shot)

    def close(self) -> None:
        if self._writer:
            with suppress(av.error.FFmpegError, OSError), _alarm(_END_SECONDS):
                self._writer.finish()

    def _keep_pace(self, shot: Shot) -> None:
        if self._last is None:
            self._began = time.monotonic() - shot.pts_seconds
        ahead = self._began + shot.pts_seconds - time.monotonic()
        time.sleep(min(max(ahead, 0.0), _LONGEST_WAIT_SECONDS))

    def _send(self, shot: Shot) -> bool:
        if time.monotonic() < self._not_before:
            return False
        try:
            with _alarm(self._stuck_s):
                if is_playlist_file(self._address):
                    self._check_disk(Path(self._address))
                if self._writer is None:
                    # One slice: RTSP servers took several for as many pictures (measured: 239 of 226).
                    container = open_output(self._address)
                    self._writer = H264Writer(container, shot, _SAID_FPS, _TICK, threads=1)
                else:
                    self._writer.write(shot)
        except (av.error.FFmpegError, OSError) as error:
            self._fail(error)
            return False
        self._failures, self.said.trouble = 0, ""
        return True

    def _check_disk(self, playlist: Path) -> None:
        """FFmpeg's HLS muxer says nothing of a disk that is full. Raises OSError."""
        now = time.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + _CHECK_SECONDS
        probe = playlist.with_name(f".{playlist.name}.probe")
        try:
            probe.write_bytes(_PROBE)
        finally:
            probe.unlink(missing_ok=True)

    def _fail(self, error: Exception) -> None:
        writer, self._writer = self._writer, None
        if writer:
            with suppress(av.error.FFmpegError, OSError), _alarm(_END_SECONDS):
                writer.container.close()
        self.said.trouble = getattr(error, "strerror", None) or type(error).__name__
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10), _LONGEST_PAUSE_SECONDS)
        self._failures += 1
        self._not_before = time.monotonic() + pause * random.uniform(0.5, 1.0)


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """End the process when the block takes longer: nothing else gets out of a call that does not return."""
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _tell(said: Said) -> None:
    # Nobody reads while the source is away; counts are from the start, so that a line may be left out.
    with suppress(BlockingIOError, BrokenPipeError):
        os.write(1, json.dumps(asdict(said)).encode() + b"\n")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that feeds this one
    av.logging.set_libav_level(av.logging.PANIC)
    os.set_blocking(1, False)
    with open(0, "rb", buffering=0) as pictures:
        address, name, stuck_s = json.loads(pictures.readline())
        broadcast = Broadcast(address, name, stuck_s)
        try:
            while _go_on(broadcast, pictures):
                _tell(broadcast.said)
        finally:
            broadcast.close()
            _tell(broadcast.said)


def _go_on(broadcast: Broadcast, pictures: io.FileIO) -> bool:
    """Send the next picture, or a stub; False at the end of the input."""
    if not select.select([pictures], [], [], broadcast.wait_s())[0]:
        broadcast.show_stub()
        return True
    header = _read(pictures, HEADER.size)
    if header is None:
        return False
    pts_seconds, height, width, paced = HEADER.unpack(header)
    pixels = _read(pictures, height * width * 3)
    if pixels is None:
        return False
    image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    broadcast.show(Shot(image, pts_seconds), paced=paced)
    return True


def _read(pictures: io.FileIO, count: int) -> bytearray | None:
    """So many bytes; None where the input ends before."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = pictures.readinto(view)
        if not got:
            return None
        view = view[got:]
    return data


if __name__ == "__main__":
    main()
