"""Files on a disk: written whole or not at all, recognised by content and identity, refused in one line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamseg.addresses import printable
from streamseg.errors import SinkError, StreamsegError

__all__ = [
    "atomic_write",
    "check_file_replaceable",
    "check_file_writable",
    "file_sha256",
    "is_pipe",
    "remove_stale_parts",
    "replace_synced",
    "same_file",
    "user_cache_dir",
    "user_state_dir",
    "write_bytes",
    "write_failure",
    "write_json",
    "write_text",
]

_PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")
_NAME_ROOM = 200
"""Bytes of a name that its part repeats, so that the part's own fits into 255."""
_STALE_SECONDS = 60.0


# -- writing ---------------------------------------------------------------------------------------


@contextmanager
def atomic_write(path: Path, *, sync: bool = True, follow_links: bool = True) -> Iterator[Path]:
    """An empty file beside `path`, to be filled; it takes the place of `path` when the block ends well.

    A kill, a full disk and, with `sync`, a power cut leave either the old content or the new. When the block
    raises, the part is removed. A link is followed, unless told not to; a device or pipe is written to
    directly. Raises OSError.
    """
    if _is_special(path):
        yield path
        return
    target = Path(os.path.realpath(path)) if follow_links else path
    part = _new_part(target)
    try:
        yield part
        if sync:
            replace_synced(part, target)
        else:
            part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def replace_synced(part: Path, target: Path) -> None:
    """Put the finished file `part` in the place of `target`, durably. Raises OSError."""
    _sync(part, os.O_RDWR)
    part.replace(target)
    # So that a power cut does not undo the new name. Not every file system can; content is safe anyway.
    if os.name == "posix":
        with suppress(OSError):
            _sync(target.parent, os.O_RDONLY)


def write_bytes(
    path: Path, data: bytes | memoryview, *, sync: bool = True, follow_links: bool = True
) -> None:
    """`data` as the whole content of `path`; see `atomic_write`. Raises OSError."""
    with atomic_write(path, sync=sync, follow_links=follow_links) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """`text` in UTF-8 as the whole content of `path`; see `atomic_write`. Raises OSError."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """`value` as JSON with a line end; see `atomic_write`.

    Raises OSError; ValueError for what JSON cannot hold, infinite numbers among it.
    """
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def remove_stale_parts(folder: Path, names: re.Pattern[str], *, older_than_s: float = _STALE_SECONDS) -> None:
    """Remove what a killed `atomic_write` of files whose whole name matches left in `folder`.

    By default those younger than a minute stay: another process may be writing them.
    """
    with suppress(OSError):
        for entry in folder.iterdir():
            part = _PART.fullmatch(entry.name)
            if part and names.fullmatch(part[1]) and time.time() - entry.stat().st_mtime >= older_than_s:
                entry.unlink(missing_ok=True)


def _new_part(target: Path) -> Path:
    name = os.fsdecode(os.fsencode(target.name)[:_NAME_ROOM])
    part = target.with_name(f".{name}.{secrets.token_hex(4)}.part")
    # mkstemp's 0600 would stay on the finished file.
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    with suppress(FileNotFoundError):
        part.chmod(stat.S_IMODE(target.stat().st_mode))
    return part


def _sync(path: Path, flags: int) -> None:
    number = os.open(path, flags)
    try:
        os.fsync(number)
    finally:
        os.close(number)


# -- can it be written? ----------------------------------------------------------------------------


def check_file_writable(path: Path) -> None:
    """Raise SinkError unless `path` can be created or opened for writing; leaves no trace.

    It opens the file instead of reading permission bits, which say nothing of a read-only file system or of a
    user (root, containers) to whom they do not apply. Pipes and devices are not opened: readers would see it.
    """
    try:
        if _is_special(path):
            _check_special(path)
        elif path.exists():
            os.close(os.open(path, os.O_WRONLY))
        else:
            target = os.path.realpath(path)  # of a link, what it points to
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            os.unlink(target)  # noqa: PTH108
    except (OSError, ValueError) as error:
        raise write_failure(path, error) from error


def check_file_replaceable(path: Path) -> None:
    """Raise SinkError unless `atomic_write(path)` can write a file there; leaves no trace."""
    check_file_writable(path)
    if not _is_special(path):
        try:
            _new_part(Path(os.path.realpath(path))).unlink()
        except OSError as error:
            raise write_failure(path.parent, error) from error


def is_pipe(path: Path) -> bool:
    """Whether there is a named pipe at `path`."""
    return stat.S_ISFIFO(_mode(path))


def _is_special(path: Path) -> bool:
    mode = _mode(path)
    return bool(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _mode(path: Path) -> int:
    """Of what is there, links followed; 0 where there is nothing."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _check_special(path: Path) -> None:
    if stat.S_ISSOCK(_mode(path)):
        raise OSError(errno.ENXIO, "is a socket; name a file")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_failure(path: Path, error: Exception, kind: type[StreamsegError] = SinkError) -> StreamsegError:
    """One line for `error` while opening or writing `path`: what happened and the cure."""
    name, folder = printable(path), printable(path.parent)
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return kind(f"{name}: the folder {folder} does not exist; create it: mkdir -p {folder}")
    if number == errno.EISDIR:
        return kind(f"{name}: is a folder; name a file inside it")
    if number == errno.ENAMETOOLONG:
        short = f"{folder}/{printable(path.name)[:40]}…"
        return kind(f"{short}: the name is too long for the file system; choose a shorter one")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return kind(f"{name}: cannot be written ({os.strerror(number)}); choose a folder you can write to")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return kind(f"{name}: the disk is full ({os.strerror(number)}); free some space")
    if number == errno.EFBIG:
        return kind(f"{name}: too large for this file system or for `ulimit -f`; split the recording")
    if number == errno.EPIPE:
        return kind(f"{name}: the program reading it has gone away")
    return kind(f"{name}: cannot be written: {printable(getattr(error, 'strerror', None) or str(error))}")


# -- which file is it? -----------------------------------------------------------------------------


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether both paths are, or would become, one file: by links of both kinds, `..`, case where ignored."""
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        ours, theirs = os.path.realpath(one), os.path.realpath(other)
    if ours == theirs:
        return True
    return ours.casefold() == theirs.casefold() and _ignores_case(Path(ours).parent)


def _ignores_case(folder: Path) -> bool:
    other = folder.with_name(folder.name.swapcase())
    try:
        return other != folder and folder.samefile(other)
    except OSError:
        return False


def user_cache_dir() -> Path:
    """The user's cache folder for everything of streamseg."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "streamseg"


def user_state_dir() -> Path:
    """The user's folder for what must not get lost, as a cache may."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".local/state"
    return Path(base) / "streamseg"
