"""Published weights → a verified file in the cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from streamseg.errors import CheckpointError, ConfigError
from streamseg.files import file_sha256, replace_synced
from streamseg.progress import LogWatcher, Watcher
from streamseg.zoo.cache import Record, locked, read_record, unwritable, weights_path, write_record
from streamseg.zoo.download import DownloadFailed, Patience, download
from streamseg.zoo.objections import objection
from streamseg.zoo.published import PublishedWeights

__all__ = ["Weights", "existing", "pull", "pulled"]

BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Weights:
    """A verified weights file."""

    path: Path
    sha256: str


class _Unfit(Exception):
    """The content of a file is not what was published."""


def pulled(entry: PublishedWeights, cache_dir: str | Path | None = None) -> Weights | None:
    """The weights as an earlier pull left them, told by name and size; None when there are none."""
    path = weights_path(entry, cache_dir)
    record = read_record(path)
    if record is None or not path.is_file() or path.stat().st_size != record.size_bytes:
        return None
    return Weights(path, record.sha256) if record.sha256.startswith(entry.sha256) else None


def existing(entry: PublishedWeights, cache_dir: str | Path | None = None) -> Weights:
    """Like `pulled`, but raises CheckpointError, with the way to have them, when there are none."""
    weights = pulled(entry, cache_dir)
    if weights is None:
        raise CheckpointError(
            f"{weights_path(entry, cache_dir)}: not pulled yet; "
            f"fetch it with: streamseg models pull {entry.name}"
        )
    return weights


def pull(
    entry: PublishedWeights,
    cache_dir: str | Path | None = None,
    *,
    accept_non_commercial: bool = False,
    watcher: Watcher | None = None,
    patience: Patience | None = None,
) -> Weights:
    """The weights' file in the cache, downloaded if need be, its content verified in any case.

    A file that the user put in its place counts like a download. `cache_dir` is the user's cache folder
    when left out. Raises ConfigError when the licence forbids commercial use and that was not accepted,
    CheckpointError when the file cannot be had, kept or verified.
    """
    watcher = watcher or LogWatcher()
    path = weights_path(entry, cache_dir)
    accepted = _check_licence(entry, read_record(path), accept_non_commercial)
    try:
        if path.is_file():
            return _adopted(entry, path, accepted, watcher)
    except _Unfit as problem:
        watcher.say(f"{path}: {problem}; it is put aside and fetched again")
    with locked(path, watcher):
        if path.is_file():  # the one waited for has made it, or it is the unfit one
            try:
                return _adopted(entry, path, accepted, watcher)
            except _Unfit:
                _put_aside(path, path)
        return _fetched(entry, path, accepted, watcher, patience or Patience())


def _check_licence(entry: PublishedWeights, record: Record | None, accepts: bool) -> bool:
    accepted = accepts or (record is not None and record.licence_accepted)
    if not entry.commercial_use and not accepted:
        raise ConfigError(
            f"{entry.name}: its licence ({entry.licence}) allows no commercial use of these weights nor of "
            f"what is made of them; if that suits you: "
            f"streamseg models pull {entry.name} --accept-non-commercial"
        )
    return accepted


def _adopted(entry: PublishedWeights, path: Path, accepted: bool, watcher: Watcher) -> Weights:
    """A file that is in its place already, verified. Raises _Unfit, CheckpointError."""
    known = read_record(path)
    digest = _verified(entry, path, known)
    record = known or Record(BY_HAND, digest, path.stat().st_size)
    record = replace(record, size_bytes=path.stat().st_size, licence_accepted=accepted)
    if record != known:
        try:
            write_record(path, record)
        except CheckpointError as error:  # a read-only cache can be used as it is
            watcher.say(f"{error}; {path.name} is used without a record")
    return Weights(path, digest)


def _fetched(
    entry: PublishedWeights, path: Path, accepted: bool, watcher: Watcher, patience: Patience
) -> Weights:
    failures = []
    for url in entry.urls:
        try:
            return _fetched_from(url, entry, path, accepted, watcher, patience)
        except DownloadFailed as failure:
            failures.append(str(failure))
            watcher.say(str(failure))
    raise CheckpointError(
        f"{entry.name}: {'; '.join(failures)}. Where there is a network fetch {entry.urls[0]} "
        f"(or find {entry.file_name} through {entry.project}) and put it at {path}"
    )


def _fetched_from(
    url: str, entry: PublishedWeights, path: Path, accepted: bool, watcher: Watcher, patience: Patience
) -> Weights:
    """Raises DownloadFailed when the address gives other content twice."""
    problem = ""
    for _ in range(2):
        watcher.say(f"{entry.name}: downloading {url}")
        part = download(url, path, watcher, patience)
        try:
            digest = _verified(entry, part, read_record(path))
        except _Unfit as unfit:
            problem = f"{unfit}; kept apart as {_put_aside(part, path)}"
            watcher.say(f"{url}: {problem}")
            continue
        # The record comes first: there is no moment with an unrecorded file of that name.
        write_record(path, Record(url, digest, part.stat().st_size, accepted))
        replace_synced(part, path)
        part.with_name(part.name + ".json").unlink(missing_ok=True)
        return Weights(path, digest)
    raise DownloadFailed(f"{url}: {problem}")


def _verified(entry: PublishedWeights, path: Path, known: Record | None) -> str:
    """The file's SHA-256 in hex. Raises _Unfit unless it is what was published, and what came before."""
    try:
        digest = file_sha256(path)
        problem = objection(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if not digest.startswith(entry.sha256):
        raise _Unfit(f"not the published file, its SHA-256 is {digest} and should begin with {entry.sha256}")
    if known and digest != known.sha256:
        raise _Unfit(
            f"not the file that was first downloaded, its SHA-256 is {digest} and {path.name}.json has "
            f"{known.sha256}; if the publisher replaced it, delete that record"
        )
    if problem:
        raise _Unfit(f"{path.name}: {problem}")
    return digest


def _put_aside(file: Path, target: Path) -> Path:
    """Where the rejected content is now; only the last one is kept."""
    aside = target.with_name(target.name + ".corrupt")
    try:
        return file.replace(aside)
    except OSError as error:
        raise unwritable(target.parent, error) from error
