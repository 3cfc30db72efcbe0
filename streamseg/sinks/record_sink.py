"""The sink of `--record`: everything that a run knows of every frame, but no picture."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from streamseg.addresses import without_secrets
from streamseg.errors import SinkError
from streamseg.masks import Runs
from streamseg.records.block import MOST_FRAMES_OF_A_BLOCK, Row, block_of
from streamseg.records.header import RunHeader, clip_fingerprint
from streamseg.records.sightings import sightings_of
from streamseg.records.store import EventRow, RecordWriter, SightingRow, StoredBlock, StoredSource
from streamseg.sinks.jsonl_sink import iso_utc
from streamseg.structures import Event, Result

__all__ = ["RecordSink"]

FLUSH_SECONDS = 1.0
"""So much may be lost by a kill."""
MOST_WAITING_SECONDS = 60.0
"""While somebody reads the record and keeps it locked."""
_NO_RUNS = Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(slots=True)
class _Waiting:
    """What is not in the file yet."""

    sources: list[StoredSource] = field(default_factory=list)
    blocks: list[StoredBlock] = field(default_factory=list)
    sightings: list[SightingRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)


class RecordSink:
    """Appends about a second of every source at a time, as one transaction.

    An existing record is replaced when the first frame arrives, unless `continues`.
    """

    needs_canvas = False
    misses_nothing = True

    def __init__(self, path: str | Path, *, continues: bool = False) -> None:
        """`continues`: the run is added to a record that is there. Raises SinkError, ConfigError."""
        self.path = Path(path)
        self.frames = 0
        self._writer = RecordWriter(self.path, continues=continues)
        self._header: RunHeader | None = None
        self._spec_of: Callable[[str], str] = str
        self._keys: dict[str, int] = {}
        self._rows: dict[str, list[Row]] = {}
        self._waiting = _Waiting()
        self._flushed_s = 0.0
        self._refused_s: float | None = None
        self._begun = self._closed = False
        self._classes: tuple[str, ...] = ()
        self._redacted: frozenset[int] = frozenset()
        # Kept: times of one record keep their order when the clock is set back.
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()

    def describe(self, header: RunHeader, spec_of: Callable[[str], str]) -> None:
        """Before the first frame: what the record says of the run, and of a source by its id."""
        self._header, self._spec_of = header, spec_of

    def write(self, result: Result) -> None:
        """Take one frame; once a second all that came is written. Raises SinkError."""
        if self._closed:
            raise SinkError(f"{self.path}: already closed")
        now_s = time.monotonic()
        if not self._begun:
            self._begin(result, now_s)
        frame = result.frame
        if frame.source_id not in self._keys:
            self._add_source(frame.source_id)
        rows = self._rows.setdefault(frame.source_id, [])
        rows.append(self._row(result))
        captured_ns = rows[-1].captured_ns
        self._waiting.events += (self._event(event, captured_ns) for event in result.events)
        self.frames += 1
        if len(rows) == MOST_FRAMES_OF_A_BLOCK:
            self._pack(frame.source_id)
        if now_s - self._flushed_s >= FLUSH_SECONDS:
            self._flush(now_s)

    def close(self) -> None:
        """Write what is left, and close the file. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._begun:
                self._flush(time.monotonic(), waits=True)
        finally:
            self._writer.close()

    def _begin(self, result: Result, now_s: float) -> None:
        header = self._header or RunHeader(result.class_names)
        self._classes = result.class_names
        self._redacted = frozenset(k for k, name in enumerate(self._classes) if name in header.redacted)
        self._writer.begin(header)
        self._next_key = self._writer.next_source()
        self._begun, self._flushed_s = True, now_s

    def _add_source(self, source_id: str) -> None:
        spec = self._spec_of(source_id)
        try:
            fingerprint = clip_fingerprint(spec)
        except OSError:  # gone already, or a folder that may not be read: no clip to draw on later
            fingerprint = ""
        key = self._keys[source_id] = self._next_key
        self._next_key += 1
        self._waiting.sources.append(
            StoredSource(key, self._writer.run, source_id, without_secrets(spec), fingerprint)
        )

    def _row(self, result: Result) -> Row:
        frame, found = result.frame, result.instances
        stamps = result.stamps.segment, result.stamps.track, time.monotonic_ns()
        ages = [-1 if stamp is None else (stamp - frame.captured_ns) // 1000 for stamp in stamps]
        arrived_ns = frame.captured_ns + self._wall_minus_monotonic_ns
        row = Row(
            frame.index,
            frame.pts_seconds,
            arrived_ns if frame.utc_ns is None else frame.utc_ns,
            frame.utc_from if frame.utc_ns is not None else None,
            (ages[0], ages[1], ages[2]),
            result.coasted,
            frame.size_hw,
            found.class_id,
            found.score,
            found.xyxy,
            result.tracks,
            found.pixels.runs,
        )
        return self._covered(row) if self._redacted else row

    def _covered(self, row: Row) -> Row:
        """Without place and shape of what is redacted; that it was there stays."""
        hidden = np.isin(row.class_id, list(self._redacted))
        seen = (~hidden[:, None]).astype(np.float32)
        tracks = replace(row.tracks, xyxy=row.tracks.xyxy * seen)
        runs = [_NO_RUNS if gone else of for gone, of in zip(hidden.tolist(), row.runs, strict=True)]
        return replace(row, xyxy=row.xyxy * seen, tracks=tracks, runs=runs)

    def _event(self, event: Event, captured_ns: int) -> EventRow:
        at_ns = captured_ns - round((event.pts_seconds - event.at_seconds) * 1e9)
        return EventRow(
            self._writer.run,
            event.source_id,
            iso_utc(at_ns),
            event.at_seconds,
            event.pts_seconds,
            event.kind,
            event.rule,
            event.phase,
            event.id,
            event.track,
            event.class_name,
            json.dumps(dict(event.data), ensure_ascii=False),
        )

    def _pack(self, source_id: str) -> None:
        rows = self._rows.pop(source_id)
        first, last = rows[0].pts_seconds, rows[-1].pts_seconds
        block = StoredBlock(self._keys[source_id], first, last, len(rows), block_of(rows))
        self._waiting.blocks.append(block)
        sighted = sightings_of(rows, self._classes, self._writer.run, source_id, iso_utc(rows[0].captured_ns))
        self._waiting.sightings += sighted

    def _flush(self, now_s: float, *, waits: bool = False) -> None:
        for source_id in list(self._rows):
            self._pack(source_id)
        waiting = self._waiting
        self._flushed_s = now_s
        if self._writer.write(
            waiting.sources, waiting.blocks, waiting.sightings, waiting.events, waits=waits
        ):
            self._waiting, self._refused_s = _Waiting(), None
            return
        self._refused_s = self._refused_s or now_s
        if waits or now_s - self._refused_s > MOST_WAITING_SECONDS:
            raise SinkError(
                f"{self.path}: another program has kept it locked for too long; read a copy of it instead"
            )
