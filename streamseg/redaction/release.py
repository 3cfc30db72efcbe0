"""The two sides of the choke point: what has not been redacted, and what has.

Tested in tests/redaction/test_release.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Instances, Redaction, Result

__all__ = ["FILL", "Redacted", "Unreleased", "released"]

FILL = 40
"""What covers: one grey, in which nothing of what was there is left."""

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Unreleased:
    """A frame with all that was found in it, as it is between tracker and redactor. It is no `Result`:
    nothing that shows, writes or sends results takes it."""

    result: Result
    """As it would go out without redaction."""
    found: Instances
    """All that the engine found, down to the low score, of every class."""
    refused: int
    """Rows of the engine's outputs that cannot be."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seal:
    """Says that a picture was redacted."""

    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Redacted(Result):
    """A result whose picture was redacted; only `released` makes one. `dataclasses.replace` may change
    everything but the frame."""

    seal: _Seal | None = None

    def __post_init__(self) -> None:
        Result.__post_init__(self)
        if not isinstance(self.seal, _Seal) or self.seal.image is not self.frame.image:
            raise TypeError("Redacted: only the redactor makes one, and its frame is not to be replaced")


def released(item: Unreleased, hidden: Bits, side: int, shown: NDArray[np.intp], what: Redaction) -> Redacted:
    """The frame of `item` with the cells of `hidden` (h, w) uint8, 0 or 1, filled, and of its instances
    those at `shown`.

    A cell is `side` × `side` pixels, the first begins in the frame's corner. Nothing is left of what a
    panoptic engine says of the frame: it has the shape of what was covered.
    """
    result = item.result
    frame = replace(result.frame, image=_filled(result.frame.image, hidden, side))
    few = len(shown) < len(result.instances)
    return Redacted(
        frame,
        result.instances.select(shown) if few else result.instances,
        result.tracks.select(shown) if few else result.tracks,
        result.class_names,
        stamps=result.stamps,
        events=result.events,
        marks=result.marks,
        coasted=result.coasted,
        redaction=what,
        seal=_Seal(frame.image),
    )


def _filled(image: NDArray[np.uint8], hidden: Bits, side: int) -> NDArray[np.uint8]:
    filled = image.copy()
    # Run by run along the rows of cells: half the time of painting through a mask of pixels.
    edges = np.diff(hidden.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        filled[row * side : (row + 1) * side, start * side : end * side] = FILL
    return filled
