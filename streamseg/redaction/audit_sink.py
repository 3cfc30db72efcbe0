"""What redaction did, second by second, as a hash-chained file; docs/redaction.md describes it.

Tested in tests/redaction/test_audit.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamseg.redaction.audit import AUDIT_SCHEMA, Chain
from streamseg.sinks.line_file import LineFile
from streamseg.structures import Result

__all__ = ["AuditSink"]

_EVERY_SECONDS = 1.0


class _Span:
    """What was done to the frames of one source since the last line about it."""

    def __init__(self, first: Result) -> None:
        self.first = self.last = first
        self.frames = self.coasted = 0
        self.filled: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.remembered = 0
        self.revealed: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        what = result.redaction
        if what is None:
            raise ValueError(f"{result!r} was not redacted")
        self.last = result
        self.frames += 1
        self.coasted += result.coasted
        if what.filled:
            self.filled[what.filled] += 1
        for name, count in what.covered.items():
            self.most[name] = max(self.most[name], count)
        self.remembered = max(self.remembered, what.remembered)
        self.revealed.update(str(track) for track in what.revealed)

    def values(self) -> dict[str, Any]:
        first, last = self.first.frame, self.last.frame
        return {
            "source": first.source_id,
            "frames": self.frames,
            "index": [first.index, last.index],
            "pts": [round(first.pts_seconds, 6), round(last.pts_seconds, 6)],
            "coasted": self.coasted,
            "filled": dict(self.filled),
            "most_covered": dict(self.most),
            "most_remembered": self.remembered,
            "revealed": dict(self.revealed),
        }


class AuditSink:
    """A line a second for each source, and totals at the end. Holds counts and times, nothing of what was
    seen.

    It misses nothing; a run whose account cannot be written must end, so that nothing is shown that is not
    accounted for.
    """

    needs_canvas = False
    misses_nothing = True

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        """`about`: what the first line says of configuration, engine and certificate. Raises SinkError."""
        self._file = LineFile(path)
        self.path = self._file.path
        self._about = about
        self._chain = Chain()
        self._spans: dict[str, _Span] = {}
        self._totals: dict[str, Counter[str]] = {}
        self._closed = False

    @property
    def frames(self) -> int:
        """Frames accounted for."""
        return sum(total["frames"] for total in self._totals.values())

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self._chain.head

    def write(self, result: Result) -> None:
        """Take one result into account. Raises SinkError."""
        source_id = result.frame.source_id
        if not self._chain.lines:
            self._put("start", self._about)
        span = self._spans.get(source_id)
        if span and abs(result.frame.pts_seconds - span.first.frame.pts_seconds) >= _EVERY_SECONDS:
            self._put("frames", self._spans.pop(source_id).values())
        self._spans.setdefault(source_id, _Span(result)).add(result)
        what, total = result.redaction, self._totals.setdefault(source_id, Counter())
        total["frames"] += 1
        if what:
            total["filled"] += what.filled is not None
            total["with_something_covered"] += bool(what.covered or what.remembered)
            total["with_something_revealed"] += bool(what.revealed)

    def close(self) -> None:
        """Write the end. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._chain.lines:
                for span in self._spans.values():
                    self._put("frames", span.values())
                self._put("end", {"totals": {name: dict(total) for name, total in self._totals.items()}})
        finally:
            self._file.close()

    def _put(self, kind: str, values: Mapping[str, Any]) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        schema = {"schema": AUDIT_SCHEMA} if kind == "start" else {}
        self._file.write(self._chain.line(kind, {**schema, "written": stamp, **values}))
