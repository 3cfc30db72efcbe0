"""Lines for a file, a pipe or standard output, each handed to the operating system whole.

Tested in tests/sinks/test_jsonl_sink.py.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from streamseg.addresses import printable
from streamseg.errors import SinkError
from streamseg.files import check_file_writable, is_pipe, write_failure

__all__ = ["LineFile"]

_READER_SECONDS, _LOOK_SECONDS = 2.0, 0.02
"""For a pipe: how long its reader may take to come, and how often to look."""


class LineFile:
    """Every line is written in one piece before `write` returns: a kill loses none, and a disk that fills up
    leaves no part of one. An existing file is replaced when the first line comes."""

    def __init__(self, path: str | Path) -> None:
        """`-` is standard output. Raises SinkError if the file cannot be written."""
        self.path = Path(path)
        self._to_stdout = str(path) == "-"
        self.name = Path("standard output") if self._to_stdout else self.path
        self._fd: int | None = None
        if not self._to_stdout:
            check_file_writable(self.path)
            self._fd = _open_pipe(self.path) if is_pipe(self.path) else None
        self.lines = 0
        """Lines written."""
        self._closed = False

    def write(self, line: bytes) -> None:
        """Write `line`, which ends in a newline. Raises SinkError; the file is closed then."""
        if self._closed:
            raise SinkError(f"{printable(self.name)}: already closed")
        try:
            self.open()
            assert self._fd is not None
            _write_whole(self._fd, line)
        except OSError as error:
            self.close()
            raise write_failure(self.name, error) from error
        self.lines += 1

    def open(self) -> None:
        """Make the file, empty, unless it is open. Raises OSError."""
        if self._fd is None:
            self._fd = os.dup(1) if self._to_stdout else os.open(self.path, _FLAGS, 0o666)

    def close(self) -> None:
        """Close it; every line is in it already."""
        self._closed = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _open_pipe(path: Path) -> int:
    """Open a named pipe for writing, once: to its reader, a close is the end. Raises SinkError.

    A plain open would wait for a reader for ever, and could not be interrupted.
    """
    until = time.monotonic() + _READER_SECONDS
    while True:
        try:
            number = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise write_failure(path, error) from error
            if time.monotonic() > until:
                name = printable(path)
                raise SinkError(f"{name}: nobody reads this pipe; start its reader first") from None
            time.sleep(_LOOK_SECONDS)
        else:
            os.set_blocking(number, True)
            return number


def _write_whole(fd: int, line: bytes) -> None:
    """Write `line` completely, or, in a regular file, not at all. Raises OSError."""
    done = os.write(fd, line)
    try:
        while done < len(line):  # a pipe takes what fits; a disk that is filling up does too
            done += os.write(fd, line[done:])
    except OSError:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            os.ftruncate(fd, status.st_size - done)
        raise
