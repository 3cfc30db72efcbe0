"""The annotated stream for others to watch: to an RTSP server, or as HLS in a folder."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from streamseg.addresses import is_address, shown, split_address
from streamseg.errors import ConfigError
from streamseg.files import check_file_writable
from streamseg.sinks.base import canvas_of
from streamseg.sinks.broadcaster import HEADER, Said, is_playlist_file
from streamseg.structures import Result

__all__ = ["BroadcastSink", "is_broadcast"]

_log = logging.getLogger(__name__)

STUCK_SECONDS = 10
"""A call of FFmpeg's may take so long, until the program ends itself."""
RESTART_SECONDS = 1.0
"""At least so long between two starts of the program."""
_END_SECONDS = 5.0


def is_broadcast(video: str) -> bool:
    """Whether an annotated video goes to a server or a playlist: `rtsp://…`, `….m3u8`."""
    return is_address(video) or is_playlist_file(video)


class BroadcastSink:
    """H.264 to `rtsp://…`, which is announced there (RECORD), or to `folder/live.m3u8` (HLS).

    The work is done in a process of its own (`broadcaster.py`). When the server goes away, or stops reading,
    pictures are lost, counted in `lost`, and it is tried again. When no picture of a live source comes, the
    last one goes on, darkened, with `no signal` on it: counted in `stubs`. Pictures of another size than the
    first are fitted into that.
    """

    needs_canvas = True

    def __init__(self, address: str, source_id: str) -> None:
        """`source_id` stands on the stub. Starts the program, which asks a server with the first picture.
        Raises ConfigError and SinkError."""
        if is_address(address):
            parts = split_address(address)
            if parts.scheme != "rtsp" or not parts.host:
                raise ConfigError(
                    f"-o {shown(address)}: a stream goes to rtsp://HOST/PATH, or to a .m3u8 file"
                )
            try:
                parts.check()
            except ValueError as error:
                raise ConfigError(f"-o {shown(address)}: {error}") from error
        else:
            check_file_writable(Path(address))
        self.path = None if is_address(address) else Path(address)
        self.frames = 0
        """Pictures handed over."""
        self.address = address
        self._source_id = source_id
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._said = Said()
        self._before = Said()
        """Of programs that have ended."""
        self._heard = b""
        self._closed = False
        self._start()

    def write(self, result: Result) -> None:
        """Hand over one picture; waits while the program is busy, at most STUCK_SECONDS."""
        self.frames += 1
        if self._process is None and not self._start():
            return
        assert self._process
        assert self._process.stdin
        canvas = np.ascontiguousarray(canvas_of(result))
        # What has no capture time in UTC is a file: nobody would watch it at the speed of the engine.
        paced = result.frame.utc_ns is None
        header = HEADER.pack(result.frame.pts_seconds, *canvas.shape[:2], paced)
        try:
            self._process.stdin.write(header)
            self._process.stdin.write(canvas.data)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._bury(f"nothing was taken for {STUCK_SECONDS} s")
            return
        self._listen()

    def counters(self) -> dict[str, int]:
        sent = self._before.sent + self._said.sent
        return {"lost": max(self.frames - sent, 0), "stubs": self._before.stubs + self._said.stubs}

    def close(self) -> None:
        """Send what is on its way, and take leave of the server."""
        if self._closed:
            return
        self._closed = True
        if self._process:
            self._end(self._process)

    def _start(self) -> bool:
        if self._closed or time.monotonic() < self._not_before:
            return False
        self._not_before = time.monotonic() + RESTART_SECONDS
        command = [sys.executable, "-P", "-m", "streamseg.sinks.broadcaster"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)
        # An address may hold a password, and arguments can be seen by everyone.
        order = json.dumps([self.address, self._source_id, STUCK_SECONDS])
        self._process.stdin.write(order.encode() + b"\n")
        self._process.stdin.flush()
        return True

    def _listen(self) -> None:
        """Take in what the program has told, and say what is new of it."""
        assert self._process
        assert self._process.stdout
        with suppress(BlockingIOError):
            while told := os.read(self._process.stdout.fileno(), 65536):
                self._heard += told
        *lines, self._heard = self._heard.split(b"\n")
        if not lines:
            return
        trouble, self._said = self._said.trouble, Said(**json.loads(lines[-1]))
        if self._said.trouble != trouble:
            self._warn(self._said.trouble)

    def _warn(self, trouble: str) -> None:
        place = shown(self.address)
        said = f"{trouble}; pictures are lost until it is back" if trouble else "pictures are taken again"
        _log.warning("%s: %s", place, said)

    def _bury(self, trouble: str) -> None:
        """The program has ended, by its alarm; the next picture starts another."""
        assert self._process
        self._listen()
        self._end(self._process)
        self._process = None
        if trouble != self._said.trouble:
            self._warn(trouble)
        self._before = Said(self._before.sent + self._said.sent, self._before.stubs + self._said.stubs)
        self._said, self._heard = Said(trouble=trouble), b""

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process is self._process:
            self._listen()
        process.stdout.close()
