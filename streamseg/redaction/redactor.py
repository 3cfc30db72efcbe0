"""The redactor of one source: keeps frames until what comes after them is known, covers, releases."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ConfigError
from streamseg.redaction.cells import CellGrid, patches
from streamseg.redaction.covers import Covers, Hidden
from streamseg.redaction.release import Redacted, Unreleased, released
from streamseg.redaction.trust import Trust
from streamseg.structures import Instances, Redaction, TrackState

__all__ = ["LOW_SCORE", "Redactor"]

LOW_SCORE = 0.1
"""What the engine finds at this score is covered, whatever is shown."""
_RECENT_SECONDS = 0.5
"""When objects were seen of which not all may vanish at once."""
_LEAST_AHEAD_S = 0.4
"""Of what came after a frame must be known for it to be shown: at the end of a source less is."""
_TICK_S = 1e-6
_HALF = 0.5
"""An instance of another class, of which so much is covered, may be the covered object under another name."""
_REMEMBERED_IDS = 10_000

Indices = NDArray[np.intp]


@dataclass(slots=True, eq=False)
class _Waiting:
    item: Unreleased
    covers: Covers
    sensitive: Indices
    """Rows of the result's instances that are to be covered."""
    counts: dict[str, int]
    filled: str | None
    seen_until: list[float]
    """Media time of the newest frame that goes on from this one without a break; one number."""


class Redactor:
    """Frames of one source in order, each out `delay_s` of media time after it came, redacted. One thread.

    Covered is what was found of the classes asked for, down to the lowest score, believed or not; where it
    may have been before it was first found and between; where it may have gone since it was last found; and
    the whole frame where the engine's word cannot be relied on.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        delay_s: float,
        reveal: Sequence[int] = (),
        memory_bytes: int = 1 << 30,
        fps: float | None = None,
    ) -> None:
        """`classes` are names of the engine's; `reveal` are ids of tracks. `fps`: the nominal rate, if
        known."""
        self._classes = frozenset(classes)
        self._delay_s = delay_s
        self._reveal = frozenset(reveal)
        self._memory_bytes = memory_bytes
        self._fps = fps
        self._waiting: deque[_Waiting] = deque()
        self._held_bytes = 0
        self._trust = Trust()
        self._covers: Covers | None = None
        self._seen_until = [-math.inf]
        self._hot: dict[int, None] = {}
        self.unseen_reveals = set(self._reveal)
        """Ids to reveal that no object has had so far."""

    def take(self, item: Unreleased) -> Iterator[Redacted]:
        """The next frame; those whose time has come. Raises ConfigError for a first frame whose like cannot
        be kept for so long."""
        frame = item.result.frame
        if self._covers is None:
            self._check_memory(frame.image.nbytes)
        covers = self._covers_of(item)
        filled = self._trust.filled(item, covers.there(frame.pts_seconds, _RECENT_SECONDS))
        if self._trust.new_scene:
            covers.break_off(frame.pts_seconds)
            self._seen_until = [-math.inf]
        self._fill_silence()
        self._waiting.append(self._seen(item, covers, filled))
        self._held_bytes += frame.image.nbytes
        yield from self._due(frame.pts_seconds)

    def finish(self) -> Iterator[Redacted]:
        """What is still kept, when nothing more comes."""
        while self._waiting:
            yield self._next()

    def _fill_silence(self) -> None:
        """Of frames in which nothing was found at all it is known only later that this cannot be."""
        since = self._trust.silent_since
        for waiting in self._waiting:
            if since is not None and waiting.item.result.frame.pts_seconds >= since:
                waiting.filled = waiting.filled or "all vanished"

    def _covers_of(self, item: Unreleased) -> Covers:
        if self._covers is None or self._covers.grid.frame_hw != item.result.frame.size_hw:
            self._covers = Covers(
                CellGrid(item.result.frame.size_hw), self._delay_s, tells_apart=bool(self._reveal)
            )
        return self._covers

    def _check_memory(self, frame_bytes: int) -> None:
        frames = self._delay_s * (self._fps or 0) + 2
        if frames * frame_bytes > self._memory_bytes:
            raise ConfigError(
                f"redact.delay_s {self._delay_s:g}: {frames:.0f} frames of {frame_bytes / 1e6:.1f} MB are "
                f"more than redact.memory_mb {self._memory_bytes >> 20}; shorten the one or raise the other"
            )

    def _seen(self, item: Unreleased, covers: Covers, filled: str | None) -> _Waiting:
        """Take in what was found."""
        sensitive, boxes, ids = self._sensitive(item)
        names = [item.result.class_names[k] for k in item.result.instances.class_id[sensitive].tolist()]
        if not item.result.coasted:
            t = item.result.frame.pts_seconds
            self._seen_until[0] = t
            covers.see(
                t, boxes.xyxy.astype(np.float64), patches(boxes, covers.grid), ids, boxes.score.tolist()
            )
            names = [item.result.class_names[k] for k in boxes.class_id.tolist()]
        return _Waiting(item, covers, sensitive, dict(Counter(names)), filled, self._seen_until)

    def _sensitive(self, item: Unreleased) -> tuple[Indices, Instances, list[int]]:
        """Rows of the result that are to be covered; everything found that is; and the ids of the latter."""
        result, found = item.result, item.found
        by_name = np.array([name in self._classes for name in result.class_names], np.bool_)
        ids = result.tracks.id
        self._note_ids(result.tracks.state, ids)
        # What was a person once is one for good, whatever its class by vote or of this frame.
        own = by_name[result.instances.class_id]
        places = {box.tobytes(): row for row, box in enumerate(result.instances.xyxy)}
        row_of = np.array([places.get(box.tobytes(), -1) for box in found.xyxy], np.intp)
        hot = by_name[found.class_id]
        own[row_of[hot & (row_of >= 0)]] = True
        for track in ids[own & (ids > 0)].tolist():
            self._hot[track] = None
        own |= np.array([track in self._hot for track in ids.tolist()], np.bool_)
        hot |= (row_of >= 0) & own[row_of] if len(own) else False
        while len(self._hot) > _REMEMBERED_IDS:
            del self._hot[next(iter(self._hot))]
        rows = np.flatnonzero(hot)
        chosen = row_of[rows]
        named = np.where(chosen >= 0, ids[chosen], -1) if len(ids) else np.full(len(rows), -1)
        return np.flatnonzero(own), found.select(rows), named.tolist()

    def _note_ids(self, state: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        if self.unseen_reveals:
            self.unseen_reveals -= set(ids[state == TrackState.CONFIRMED].tolist())

    def _due(self, now: float) -> Iterator[Redacted]:
        while self._waiting:
            first = self._waiting[0].item.result.frame
            if self._held_bytes > self._memory_bytes:
                # What may come into sight a moment later is not known yet.
                yield self._next("too little memory")
            elif now - first.pts_seconds >= self._delay_s - _TICK_S or now < first.pts_seconds:
                yield self._next()
            else:
                return

    def _next(self, filled: str | None = None) -> Redacted:
        waiting = self._waiting.popleft()
        item = waiting.item
        frame = item.result.frame
        self._held_bytes -= frame.image.nbytes
        filled = filled or waiting.filled
        if waiting.seen_until[0] - frame.pts_seconds < min(self._delay_s, _LEAST_AHEAD_S) - _TICK_S:
            filled = filled or "nothing known after it"
        waiting.covers.forget_before(frame.pts_seconds)
        if filled:
            hidden = Hidden(np.ones(waiting.covers.grid.hw, np.uint8), 0, ())
            shown = np.zeros(0, np.intp)
        else:
            hidden = waiting.covers.hide(frame.pts_seconds, self._reveal)
            shown = self._shown(waiting, hidden)
        what = Redaction(waiting.counts, hidden.remembered, hidden.revealed, filled)
        return released(item, hidden.bits, waiting.covers.grid.side, shown, what)

    def _shown(self, waiting: _Waiting, hidden: Hidden) -> Indices:
        """Rows of the result's instances that may be told of."""
        result, grid = waiting.item.result, waiting.covers.grid
        ids = result.tracks.id
        free = np.ones(len(result.instances), np.bool_)
        free[waiting.sensitive] = np.isin(ids[waiting.sensitive], hidden.revealed)
        others = np.flatnonzero(free & ~np.isin(ids, hidden.revealed))
        if hidden.bits.any():
            for row, patch in zip(others, patches(result.instances.select(others), grid), strict=True):
                h, w = patch.bits.shape
                under = hidden.bits[patch.y0 : patch.y0 + h, patch.x0 : patch.x0 + w] & patch.bits
                free[row] = np.count_nonzero(under) < _HALF * np.count_nonzero(patch.bits)
        return np.flatnonzero(free)
