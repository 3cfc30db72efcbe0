"""What a sink is, and what every sink needs: its canvas, a writable path, an orderly end."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import SinkError
from streamseg.structures import Result

__all__ = ["Sink", "canvas_of", "check_file_writable", "close_all", "write_failure"]


class Sink(Protocol):
    """Somewhere results go. Used by one thread, which writes every result in order and then closes it.

    Constructing is cheap and reports, as SinkError or ConfigError, whatever can be known before the
    first frame: a folder that cannot be written, a format that does not exist, a missing display.
    """

    needs_canvas: bool
    """Whether `Result.canvas` has to be drawn for it."""

    def write(self, result: Result) -> None:
        """Put one result out. Raises SinkError, naming the output, which has then been closed already."""

    def close(self) -> None:
        """Finalise what was written; idempotent, and safe after an error. Raises SinkError if it cannot."""


def canvas_of(result: Result) -> NDArray[np.uint8]:
    """The annotated image, (H, W, 3) uint8 BGR. Raises ValueError if it was not drawn."""
    if result.canvas is None:
        raise ValueError(f"{result!r} has no canvas, and this sink has needs_canvas = True")
    return result.canvas


def check_file_writable(path: Path) -> None:
    """Raise SinkError unless `path` can be created or opened for writing; leaves no trace.

    It opens the file instead of reading permission bits, which say nothing of a read-only file
    system or of a user (root, containers) to whom they do not apply.
    """
    existed = path.exists()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))
        if not existed:
            path.unlink()
    except OSError as error:
        raise write_failure(path, error) from error


def write_failure(path: Path, error: Exception) -> SinkError:
    """One line for `error` while opening or writing `path`: what happened and the cure."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return SinkError(
            f"{path}: the folder {path.parent} does not exist; create it: mkdir -p {path.parent}"
        )
    if number == errno.EISDIR:
        return SinkError(f"{path}: is a folder; name a file inside it")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SinkError(
            f"{path}: cannot be written ({os.strerror(number)}); choose a folder you can write to"
        )
    if number in (errno.ENOSPC, errno.EDQUOT):
        return SinkError(f"{path}: the disk is full ({os.strerror(number)}); free some space")
    if number == errno.EFBIG:
        return SinkError(f"{path}: too large for this file system or for `ulimit -f`; split the recording")
    if number == errno.EPIPE:
        return SinkError(f"{path}: the program reading it has gone away")
    return SinkError(f"{path}: cannot be written: {error}")


def close_all(sinks: Iterable[Sink]) -> None:
    """Close every sink, also when some fail; then raise the first failure with the others as notes."""
    failures: list[Exception] = []
    for sink in sinks:
        try:
            sink.close()
        except Exception as error:
            failures.append(error)
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"also while closing: {other}")
        raise failures[0]
