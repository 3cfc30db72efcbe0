"""Pictures that an engine with a mistake in its preprocessing would have seen instead.
Tested in tests/certification/test_planted_faults.py.

A candidate that takes every picture for one that is 10 levels brighter finds nearly what its reference finds:
on five clips its masks and scores differed from the reference's as little as those of BF16 do. But it finds
exactly what the reference finds in the brighter picture, and that can be asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from streamseg.structures import Frame

__all__ = ["PROBES", "Nearer", "Probe"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One way in which a picture may reach a network changed."""

    name: str
    gain: float = 1.0
    levels: float = 0.0
    """Of 255, added to every channel."""
    exchanged: bool = False
    """Whether red and blue have changed places."""

    def altered(self, frame: Frame) -> Frame:
        """The frame as it would look, values beyond 0…255 cut off."""
        seen = frame.image[..., ::-1].copy() if self.exchanged else frame.image
        image = cv2.addWeighted(seen, self.gain, seen, 0.0, self.levels)
        return replace(frame, image=np.ascontiguousarray(image, np.uint8))


PROBES = (
    Probe("brighter by 8 levels", levels=8),
    Probe("darker by 8 levels", levels=-8),
    Probe("of 1.25 times the contrast", gain=1.25),
    Probe("of 0.8 times the contrast", gain=0.8),
    Probe("with red and blue exchanged", exchanged=True),
)
"""An error of the mean is seen from about half of 8 levels on, one of the scale from about 12 %; those twice
as large as the probe lie nearer to it than to the picture as well."""


@dataclass(frozen=True, slots=True)
class Nearer:
    """In how many frames the candidate lay nearer to what the reference finds in the altered picture."""

    name: str
    """Of the probe."""
    frames: int
    """Compared; those equally far from both are left out."""
    nearer: int
