"""One HTTP download that survives broken connections and never passes off half a file as a whole one.

Tested in tests/zoo/test_pull.py.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamseg.errors import CheckpointError, MissingDependency
from streamseg.files import write_json
from streamseg.progress import Watcher
from streamseg.zoo.cache import unwritable

if TYPE_CHECKING:
    from requests import Response

__all__ = ["DownloadFailed", "Patience", "download", "part_path"]

MAX_BYTES = 1 << 30
"""Twice the largest weights file of the catalogue (102.7 million parameters, 411 MB)."""
CHUNK_BYTES = 1 << 16
"""What a break loses at most."""
GAIN_BYTES = 1 << 20
"""An attempt that fetched so much more before it broke does not count as failed."""
LONGEST_PAUSE_S = 60.0


class DownloadFailed(CheckpointError):
    """This address did not give the file; another one might."""


class _Interrupted(Exception):
    """An attempt ended early; the next one may succeed."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    attempts: int = 4
    backoff_s: float = 1.0
    """Before the second attempt; doubled before each further one."""
    connect_s: float = 10.0
    read_s: float = 30.0
    """Without a byte for so long the connection counts as broken."""


@dataclass(frozen=True, slots=True)
class _Validators:
    """By what a server tells that a file is still the same."""

    url: str
    etag: str
    modified: str
    total: int | None


def part_path(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def download(
    url: str,
    target: Path,
    watcher: Watcher,
    patience: Patience,
) -> Path:
    """Fetch `url` into a part file beside `target`, resuming what an earlier call left; return the part.

    The content is complete as far as the server said, and not verified. Raises DownloadFailed when the
    server cannot be reached, refuses, or breaks off time and again; CheckpointError when the disk is full
    or may not be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadFailed(f"{url}: only http and https addresses are fetched")
    part = part_path(target)
    failures, reached = 0, _size(part)
    while True:
        try:
            _attempt(url, part, watcher, patience)
            return part
        except _Interrupted as interruption:
            size = _size(part)
            failures = 0 if size >= reached + GAIN_BYTES else failures + 1
            reached = max(reached, size)
            if failures >= patience.attempts:
                raise DownloadFailed(f"{url}: {interruption}") from interruption
            pause = interruption.pause_s or patience.backoff_s * 2 ** max(failures - 1, 0)
            pause = min(pause, LONGEST_PAUSE_S)
            watcher.say(f"{interruption}; trying again in {pause:.0f} s")
            time.sleep(pause)


def _attempt(url: str, part: Path, watcher: Watcher, patience: Patience) -> None:
    known = _read_validators(part)
    start = _size(part) if known and known.url == url else 0
    if known and start and start == known.total:
        return
    with _opened(url, _headers(known, start), patience) as response:
        start = _agreed_start(response, known, start, part)
        validators = _validators(url, response, start)
        _check_size(validators.total, start, part, url)
        if not start:  # old bytes beside a new note would be resumed after a kill
            part.unlink(missing_ok=True)
        _write_validators(part, validators)
        _receive(response, part, start, validators.total, watcher)
    if validators.total is not None and _size(part) != validators.total:
        raise _Interrupted(f"the connection ended after {_size(part)} of {validators.total} bytes")


def _headers(known: _Validators | None, start: int) -> dict[str, str]:
    # A compressed answer could not be resumed by bytes of the file.
    headers = {"Accept-Encoding": "identity"}
    if known and start:
        headers["Range"] = f"bytes={start}-"
        # Weak tags promise no equal bytes and are not allowed here (RFC 9110, 13.1.5).
        strong = known.etag if known.etag and not known.etag.startswith("W/") else known.modified
        if strong:
            headers["If-Range"] = strong
    return headers


@contextmanager
def _opened(url: str, headers: dict[str, str], patience: Patience) -> Iterator[Response]:
    """The answer to a request. Raises _Interrupted and DownloadFailed, also for what breaks while reading."""
    try:
        import requests
    except ImportError as error:
        raise MissingDependency.of("requests", "models", "fetching published weights") from error
    try:
        with (
            requests.Session() as session,
            session.get(
                url, headers=headers, stream=True, timeout=(patience.connect_s, patience.read_s)
            ) as response,
        ):
            _check_answer(url, response)
            yield response
    except requests.exceptions.SSLError as error:
        raise DownloadFailed(f"{url}: its certificate is not trusted here ({_innermost(error)})") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _Interrupted("the connection broke off") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ContentDecodingError) as error:
        raise _Interrupted(_innermost(error)) from error
    except requests.RequestException as error:
        raise DownloadFailed(f"{url}: {_innermost(error)}") from error


def _innermost(error: BaseException) -> str:
    """Why, without the layers of the HTTP libraries around it."""
    while inner := (error.__cause__ or error.__context__):
        error = inner
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(reason).splitlines()[0]


def _check_answer(url: str, response: Response) -> None:
    status = response.status_code
    if urlsplit(url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise DownloadFailed(f"{url}: redirected to an unprotected address ({response.url})")
    if status in (200, 206, 416):
        return
    if status in (408, 425, 429) or status >= 500:
        pause = response.headers.get("Retry-After", "")
        raise _Interrupted(f"the server answered HTTP {status}", float(pause) if pause.isdigit() else None)
    said = {404: "is not there any more", 410: "is not there any more"}.get(status, "is refused")
    raise DownloadFailed(f"{url}: {said} (HTTP {status})")


def _agreed_start(response: Response, known: _Validators | None, start: int, part: Path) -> int:
    """From which byte the answer goes on; 0 when the server sends it all anew."""
    if response.status_code == 200:
        return 0
    sent, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    same = known is not None and (
        sent.partition("-")[0] == str(start)
        and (known.total is None or total in (str(known.total), "*"))
        and response.headers.get("ETag", "") == known.etag
    )
    if response.status_code == 206 and same:
        return start
    part.unlink(missing_ok=True)
    raise _Interrupted("the file has changed on the server since the download began; starting anew")


def _validators(url: str, response: Response, start: int) -> _Validators:
    headers = response.headers
    length = headers.get("Content-Length", "")
    encoded = headers.get("Content-Encoding", "identity") != "identity"
    if not length.isdigit() and "chunked" not in headers.get("Transfer-Encoding", ""):
        raise DownloadFailed(
            f"{url}: the server does not say how long the file is; half of it would look whole"
        )
    total = start + int(length) if length.isdigit() and not encoded else None
    return _Validators(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), total)


def _check_size(total: int | None, start: int, part: Path, url: str) -> None:
    if total is None:
        return
    if total > MAX_BYTES:
        raise DownloadFailed(f"{url}: {total} bytes, more than weights have ({MAX_BYTES})")
    free = shutil.disk_usage(part.parent).free
    # What the part holds beyond `start` is given up and its room reused.
    needed = total - max(start, _size(part))
    if needed > free:
        raise no_space(part.parent, f"{needed / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB free")


def _receive(response: Response, part: Path, start: int, total: int | None, watcher: Watcher) -> None:
    done = start
    with _disk_errors(part), part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            watcher.progress("downloading", done, total)
            if done > MAX_BYTES:
                raise DownloadFailed(f"{response.url}: does not end after {MAX_BYTES} bytes")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _disk_errors(part: Path) -> Iterator[None]:
    """A full disk is emptied again: it hurts everything else on the machine."""
    import requests

    try:
        yield
    except requests.RequestException:  # an OSError too, but of the network
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)
            raise no_space(part.parent, "the download was removed again") from error
        raise unwritable(part.parent, error) from error


def no_space(folder: Path, detail: str) -> CheckpointError:
    return CheckpointError(
        f"{folder}: no space left on the disk, {detail}; free some, or choose another with --cache FOLDER"
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_validators(part: Path) -> _Validators | None:
    """None when there is no note or it cannot be read: then the download starts anew."""
    try:
        return _Validators(**json.loads(_note_path(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write_validators(part: Path, validators: _Validators) -> None:
    with _disk_errors(part):
        write_json(_note_path(part), asdict(validators), indent=None)
