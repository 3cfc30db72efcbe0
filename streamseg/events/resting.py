"""Objects that stay where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.events.episodes import CLOCK_SLACK

__all__ = ["SETTLE_SECONDS", "Resting"]

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
Rows = NDArray[np.intp]

SETTLE_SECONDS = 0.5
"""An object that is elsewhere for so long has moved; for less it flickered."""


@dataclass(frozen=True, slots=True, eq=False)
class Resting:
    """The state: S objects, R rules, each with the place at which the object rests."""

    anchor: Floats
    """(S, R, 2) frame pixels; NaN: none yet."""
    away: Floats
    """(S, R) since when it is elsewhere; NaN: it is there."""

    @classmethod
    def none(cls, rows: int, rules: int) -> Resting:
        return cls(np.full((rows, rules, 2), np.nan), np.full((rows, rules), np.nan))

    def step(self, rows: Rows, point: Floats, reach: Floats, now: float) -> tuple[Resting, Bits, Bits]:
        """The state at `now` with `rows` (n,) at `point` (n, 2), of which one within `reach` (n, R) pixels of
        its anchor is there; and whether each rests and whether each is elsewhere, (n, R)."""
        anchor, away = self.anchor[rows], self.away[rows]
        here = np.broadcast_to(point[:, None], anchor.shape)
        anchor = np.where(np.isnan(anchor), here, anchor)
        elsewhere = np.linalg.norm(here - anchor, axis=2) > reach
        away = np.where(elsewhere, np.where(np.isnan(away), now, away), np.nan)
        moved = elsewhere & (now - away + CLOCK_SLACK >= SETTLE_SECONDS)
        after = Resting(self.anchor.copy(), self.away.copy())
        after.anchor[rows] = np.where(moved[..., None], here, anchor)
        after.away[rows] = np.where(moved, np.nan, away)
        return after, ~moved, elsewhere
