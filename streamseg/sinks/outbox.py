"""Messages on disk until somebody has taken them. Tested in tests/sinks/test_outbox.py."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamseg.addresses import printable
from streamseg.errors import SinkError

__all__ = ["Message", "Outbox"]

MOST = 1_000_000
"""Messages kept; of more the oldest are lost, and counted. A million are 0.5 GB: weeks of a busy camera."""

_TABLES = """
CREATE TABLE IF NOT EXISTS message (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS refused (number INTEGER PRIMARY KEY, topic TEXT, body TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS said (key TEXT PRIMARY KEY, value TEXT);
"""

Message = tuple[int, str, str]
"""Its number, its topic and its body."""


class Outbox:
    """A SQLite file that one process fills and another empties, in order.

    What `put` has taken outlives a kill of either process. Used by one thread at a time.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        """Open or make it. Raises SinkError."""
        self.path = path
        self.lost = 0
        """Messages that had to go for newer ones."""
        self._most = most
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            os.chmod(path, 0o600)  # noqa: PTH101  what cameras saw is not for other users
            # Safe against a kill; a power cut may take the last few messages.
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(_TABLES)

    def put(self, messages: Sequence[tuple[str, str]]) -> None:
        """Add (topic, body) at the end, all or none. Raises SinkError."""
        with self._errors(), self._transaction():
            self._base.executemany("INSERT INTO message (topic, body) VALUES (?, ?)", messages)
            surplus = self._count("message") - self._most
            if surplus > 0:
                oldest = "SELECT number FROM message ORDER BY number LIMIT ?"
                self._base.execute(f"DELETE FROM message WHERE number IN ({oldest})", (surplus,))
                self.lost += surplus

    def first(self) -> Message | None:
        """The oldest message. Raises SinkError."""
        with self._errors():
            found: Message | None = self._base.execute(
                "SELECT number, topic, body FROM message ORDER BY number LIMIT 1"
            ).fetchone()
        return found

    def taken(self, number: int) -> None:
        """Forget a message. Raises SinkError."""
        with self._errors():
            self._base.execute("DELETE FROM message WHERE number = ?", (number,))

    def refuse(self, number: int, reason: str) -> None:
        """Put a message that nobody will ever take aside, with the reason. Raises SinkError."""
        with self._errors(), self._transaction():
            self._base.execute(
                "INSERT INTO refused SELECT number, topic, body, ? FROM message WHERE number = ?",
                (reason, number),
            )
            self._base.execute("DELETE FROM message WHERE number = ?", (number,))

    def say(self, trouble: str) -> None:
        """Why messages are not being taken; empty when they are. Raises SinkError."""
        with self._errors():
            self._base.execute("REPLACE INTO said VALUES ('trouble', ?)", (trouble,))

    def trouble(self) -> str:
        """What was last said. Raises SinkError."""
        with self._errors():
            found = self._base.execute("SELECT value FROM said WHERE key = 'trouble'").fetchone()
        return found[0] if found else ""

    def counts(self) -> dict[str, int]:
        """`waiting`, and `refused` in this and earlier runs. Raises SinkError."""
        with self._errors():
            return {"waiting": self._count("message"), "refused": self._count("refused")}

    def close(self) -> None:
        """Idempotent."""
        self._base.close()

    def _count(self, table: str) -> int:
        return int(self._base.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # a full disk, a folder that cannot be written
            raise SinkError(f"{printable(self.path)}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise SinkError(
                f"{printable(self.path)}: no outbox that can be read ({error}); move it away"
            ) from error
        except OSError as error:
            raise SinkError(f"{printable(self.path)}: {error.strerror}") from error
