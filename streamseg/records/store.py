"""The file of a record: SQLite, so that every tool opens it, a kill loses nothing that was written, and any
second of it is found at once. docs/record.md has the tables.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from streamseg.addresses import printable
from streamseg.errors import ConfigError, DatasetError, SinkError, StreamsegError
from streamseg.files import check_file_writable, write_failure
from streamseg.records.block import FrameBlock, PackedBlock, unpacked_block
from streamseg.records.header import RunHeader, Take

__all__ = ["EventRow", "RecordWriter", "RunRecord", "SightingRow", "StoredBlock", "StoredSource", "is_record"]

_log = logging.getLogger(__name__)

APPLICATION_ID = 0x53534547
"""`SSEG`, in SQLite's place for what a file is of."""
VERSION = 1
MAGIC = b"SQLite format 3\x00"
_MOST_BYTES = 128 * 1024 * 1024
_READER_SECONDS = 5.0

_TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, header TEXT NOT NULL);
CREATE TABLE sources (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, source TEXT NOT NULL, spec TEXT NOT NULL,
  fingerprint TEXT NOT NULL);
CREATE TABLE blocks (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
  frames INTEGER NOT NULL, numbers BLOB NOT NULL, masks BLOB NOT NULL);
CREATE INDEX blocks_by_time ON blocks (source, last);
CREATE TABLE sightings (run INTEGER, source TEXT, time TEXT, first REAL, last REAL, track INTEGER, class TEXT,
  frames INTEGER, score REAL, x REAL, y REAL, width REAL, height REAL);
CREATE TABLE events (run INTEGER, source TEXT, time TEXT, at REAL, pts REAL, kind TEXT, rule TEXT, phase TEXT,
  id TEXT, track INTEGER, class TEXT, detail TEXT);
"""
_NAMES = {"runs", "sources", "blocks", "sightings", "events"}


class StoredBlock(NamedTuple):
    """A row of `blocks`."""

    source: int
    first: float
    last: float
    frames: int
    packed: PackedBlock


class StoredSource(NamedTuple):
    """A row of `sources`."""

    key: int
    run: int
    source_id: str
    spec: str
    fingerprint: str


class SightingRow(NamedTuple):
    """A row of `sightings`: one track in one block. Places and sizes are shares of the picture."""

    run: int
    source: str
    time: str
    first: float
    last: float
    track: int | None
    class_name: str
    frames: int
    score: float
    x: float | None
    y: float | None
    width: float | None
    height: float | None


class EventRow(NamedTuple):
    """A row of `events`."""

    run: int
    source: str
    time: str
    at: float
    pts: float
    kind: str
    rule: str
    phase: str
    id: str
    track: int | None
    class_name: str | None
    detail: str


class RecordWriter:
    """Writes one run. Used by one thread at a time; what `write` says it has written outlives the process."""

    def __init__(self, path: Path, *, continues: bool) -> None:
        """`continues`: a record that is there stays, and the run comes after it; else it is replaced by
        `begin`. Raises SinkError, and ConfigError where what is there is no record and is not to be replaced.
        """
        self.path = path
        self.run = 0
        check_file_writable(path)
        self._continues = continues and path.exists() and path.stat().st_size > 0
        self._connection: sqlite3.Connection | None = None
        if self._continues and not is_record(path):
            raise ConfigError(
                f"{printable(path)}: is there and is no record; choose another name for --record"
            )

    def begin(self, header: RunHeader) -> None:
        """Make the file, or go on with it. Raises SinkError."""
        try:
            if not self._continues:
                for ending in ("", "-journal"):
                    Path(f"{self.path}{ending}").unlink(missing_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=_READER_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Pages of 1 KiB waste 2 % of a block, those of 4 KiB 9 %.
            self._connection.execute("PRAGMA page_size=1024")
            self._connection.execute("PRAGMA journal_mode=DELETE")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            with _transaction(self._connection):
                self._prepare(self._connection)
                added = self._connection.execute("INSERT INTO runs (header) VALUES (?)", [header.to_json()])
                self.run = int(added.lastrowid or 0)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise _failure(self.path, error) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            return
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)

    def write(
        self,
        sources: Sequence[StoredSource],
        blocks: Sequence[StoredBlock],
        sightings: Sequence[SightingRow],
        events: Sequence[EventRow],
        *,
        waits: bool = False,
    ) -> bool:
        """All of it, or nothing and False while somebody reads; `waits` some seconds for its end. Raises
        SinkError."""
        if self._connection is None:
            raise SinkError(f"{printable(self.path)}: already closed")
        try:
            self._connection.execute(f"PRAGMA busy_timeout={round(1e3 * _READER_SECONDS) if waits else 0}")
            with _transaction(self._connection):
                for table, rows in (("sources", sources), ("sightings", sightings), ("events", events)):
                    if rows:
                        places = ", ".join("?" * len(rows[0]))
                        self._connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
                self._connection.executemany(
                    "INSERT INTO blocks (source, first, last, frames, numbers, masks) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [(*block[:4], *block.packed) for block in blocks],
                )
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise _failure(self.path, error) from error
        return True

    def next_source(self) -> int:
        """The first key that no source of the record has. Raises SinkError."""
        assert self._connection
        try:
            return int(self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM sources").fetchone()[0])
        except sqlite3.Error as error:
            raise _failure(self.path, error) from error

    def close(self) -> None:
        """Idempotent."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # where the disk was full, SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        raise


def _failure(path: Path, error: Exception) -> StreamsegError:
    if isinstance(error, OSError):
        return write_failure(path, error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    number = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EACCES}.get(code)
    if code == sqlite3.SQLITE_BUSY:
        return SinkError(f"{printable(path)}: another program is writing it; one run to a record at a time")
    return write_failure(path, OSError(number, os.strerror(number)) if number else error)


# -- reading ---------------------------------------------------------------------------------------


def is_record(path: Path) -> bool:
    """Whether the file says that it is a record; opens nothing else. False for what cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(MAGIC) and head[68:72] == APPLICATION_ID.to_bytes(4, "big")


class RunRecord:
    """A record, read. What is cut off or damaged ends the reading there, with one line in the log."""

    def __init__(self, path: Path) -> None:
        """Raises DatasetError for a file that cannot be read or is no record."""
        self.path = path
        self.damage = ""
        """What is wrong with it, as far as it was read; empty: nothing."""
        if not is_record(path):
            what = "is no record of streamseg run --record" if path.is_file() else "no such file"
            raise DatasetError(f"{printable(path)}: {what}")
        self._whole = True
        self._connection = self._opened()
        try:
            self.takes = tuple(self._read_takes())
        except (sqlite3.Error, ValueError) as error:
            self.close()
            raise DatasetError(f"{printable(path)}: a damaged record ({error})") from error
        if not self._whole:
            self._note("cut off")

    def _opened(self) -> sqlite3.Connection:
        # A run that was killed while it wrote left a journal, which is undone by whoever may write.
        mode = "rw" if os.access(self.path, os.W_OK) else "ro"
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(self.path.absolute()))}?mode={mode}", uri=True, timeout=_READER_SECONDS,
                isolation_level=None, check_same_thread=False,
            )  # fmt: skip
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            try:
                tables = self._tables(connection)
            except sqlite3.DatabaseError:
                # Shorter than its first page says: this makes SQLite look at what there is.
                connection.execute("PRAGMA writable_schema=ON")
                connection.execute("PRAGMA query_only=ON")
                tables = self._tables(connection)
                self._whole = False
        except sqlite3.Error as error:
            raise DatasetError(f"{printable(self.path)}: cannot be read ({error})") from error
        version = int.from_bytes(self.path.read_bytes()[60:64], "big")
        if not tables >= _NAMES or version != VERSION:
            connection.close()
            raise DatasetError(
                f"{printable(self.path)}: a record of version {version}; this streamseg reads {VERSION}"
            )
        return connection

    @staticmethod
    def _tables(connection: sqlite3.Connection) -> set[str]:
        # A view or a virtual table would run what its maker wrote.
        rows = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
        )
        return {name for (name,) in rows}

    def _read_takes(self) -> Iterator[Take]:
        headers = {run: RunHeader.from_json(text) for run, text in self._rows("SELECT id, header FROM runs")}
        seen: Counter[str] = Counter()
        for key, run, source_id, spec, fingerprint in self._rows(
            "SELECT id, run, source, spec, fingerprint FROM sources ORDER BY id"
        ):
            if run not in headers:
                raise ValueError(f"source {key} belongs to no run")
            seen[source_id] += 1
            name = source_id if seen[source_id] == 1 else f"{source_id}@{seen[source_id]}"
            yield Take(key, name, source_id, spec, fingerprint, headers[run])

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        return iter(self._connection.execute(query, values))

    def blocks(
        self, take: Take, first: float = -math.inf, last: float = math.inf, *, with_masks: bool = True
    ) -> Iterator[FrameBlock]:
        """Those with frames from `first` to `last`, media seconds, in order; up to where it is damaged."""
        masks = "masks" if with_masks else "x''"
        # The index of a record that is cut off has lost its end; and nothing may be sorted, which reads all.
        way, order = ("INDEXED BY blocks_by_time", "last") if self._whole else ("NOT INDEXED", "id")
        query = f"SELECT numbers, {masks} FROM blocks {way} WHERE source = ? AND last >= ? AND first <= ? "
        query += f"ORDER BY {order}"
        classes = len(take.header.classes)
        reached = "at the beginning"
        try:
            for numbers, masks in self._rows(query, (take.key, first, last)):
                block = unpacked_block(PackedBlock(numbers, masks), classes, with_masks=with_masks)
                yield block
                reached = f"after {block.pts_seconds[-1]:.1f} s"
        except (sqlite3.Error, ValueError, TypeError, MemoryError) as error:
            self._note(f"cut off or damaged {reached} of {printable(take.name)} ({error})")

    def _note(self, what: str) -> None:
        self.damage = what
        _log.warning("%s: %s; read up to there", printable(self.path), what)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
