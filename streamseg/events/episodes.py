"""Things that begin, last and end: evidence for and against, made patient. The heart of every rule but lines.

One column for each rule, one row for each subject: a track, a pair of tracks or the whole picture. Something
begins when the evidence for it held without a break for the rule's patience, and ends the same way: what
flickers for less changes nothing. The clock is media time; frames are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Phase

__all__ = ["Episodes", "Turn", "Waits"]

Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

CLOCK_SLACK = 1e-6
"""Seconds: sums of frame times round."""


class Waits(NamedTuple):
    """How long evidence must hold, seconds, each (R,)."""

    begin: Floats
    end: Floats
    update: Floats
    """After so long it is said once that it still lasts; infinite: never."""


class Turn(NamedTuple):
    """Something began, was long, or ended."""

    row: int
    rule: int
    phase: Phase
    at: float
    """When the evidence turned, or was last seen; seconds."""
    began: float
    subject: int
    """The row's name when it began."""
    lost: bool
    """Whether it ended because its subject was not seen any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """The state: R rules, S rows. Steps make new ones."""

    on: Bits
    """(S, R) whether it goes on."""
    since: Floats
    """(S, R) since when evidence speaks against `on`; NaN: it does not."""
    began: Floats
    """(S, R) when what goes on began; NaN else."""
    updated: Bits
    """(S, R) whether it was said that it still lasts."""
    subject: NDArray[np.int64]
    """(S, R) name of the row when what goes on began."""

    @classmethod
    def none(cls, rows: int, rules: int) -> Episodes:
        shape = rows, rules
        return cls(
            np.zeros(shape, np.bool_),
            np.full(shape, np.nan),
            np.full(shape, np.nan),
            np.zeros(shape, np.bool_),
            np.zeros(shape, np.int64),
        )

    def step(
        self, rows: Rows, names: NDArray[np.int64], rise: Bits, fall: Bits, patience: Waits, now: float
    ) -> tuple[Episodes, list[Turn]]:
        """The state at `now`, when `rows` (n,), called `names`, were seen with evidence `rise` and `fall`
        (n, R) for and against."""
        on, since = self.on[rows], self.since[rows]
        against = np.where(on, fall, rise)
        since = np.where(against, np.where(np.isnan(since), now, since), np.nan)
        waited = now - since + CLOCK_SLACK
        flips = against & (waited >= np.where(on, patience.end, patience.begin))
        long = on & ~flips & ~self.updated[rows] & (now - self.began[rows] + CLOCK_SLACK >= patience.update)
        after = self._with(since=(rows, np.where(flips, np.nan, since)))
        if not (flips.any() or long.any()):
            return after, []
        turns = [after._turn(int(rows[k]), int(r), "updated", now) for k, r in np.argwhere(long)]
        ends, begins = flips & on, flips & ~on
        turns += [
            after._turn(int(rows[k]), int(r), "ended", float(since[k, r])) for k, r in np.argwhere(ends)
        ]
        subject = np.where(begins, names[:, None], self.subject[rows])
        after = after._with(
            on=(rows, on ^ flips),
            began=(rows, np.where(begins, since, np.where(ends, np.nan, self.began[rows]))),
            updated=(rows, (self.updated[rows] | long) & ~flips),
            subject=(rows, subject),
        )
        starts = np.argwhere(begins)
        turns += [after._turn(int(rows[k]), int(r), "started", float(since[k, r])) for k, r in starts]
        return after, turns

    def endings(self, rows: Rows, at: Floats) -> list[Turn]:
        """What ends because `rows` (n,), last seen `at` (n,), are not seen again; they stay as they are."""
        return [
            self._turn(int(rows[k]), int(r), "ended", float(at[k]), lost=True)
            for k, r in np.argwhere(self.on[rows])
        ]

    def _turn(self, row: int, rule: int, phase: Phase, at: float, *, lost: bool = False) -> Turn:
        began, subject = float(self.began[row, rule]), int(self.subject[row, rule])
        return Turn(row, rule, phase, at, began, subject, lost)

    def _with(self, **changed: tuple[Rows, NDArray[Any]]) -> Episodes:
        made = {}
        for name, (rows, values) in changed.items():
            made[name] = getattr(self, name).copy()
            made[name][rows] = values
        return replace(self, **made)
