"""255 colours that differ from their neighbours: one per track, or per class where nothing is tracked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Instances, Tracks

__all__ = ["PALETTE", "Colour", "colours_of"]

Colour = tuple[int, int, int]

# Lightness and chroma alternate while the hue steps around. The step is the best of a scan: any 20 in a
# row are at least 11 apart in CIELAB, any 4 in a row 48 (golden-ratio step: 9 and 31). All are light enough
# for black text, contrast above 5 : 1.
_TURN = 0.238
_LIGHTNESS = 0.72, 0.86, 0.62
_CHROMA = 0.22, 0.13, 0.22


def _srgb_from_oklch(lightness: float, chroma: float, turn: float) -> NDArray[np.float64]:
    """(3,) red, green, blue, 0…1, clipped; Ottosson 2020, "A perceptual color space for image processing"."""
    a, b = chroma * np.cos(2 * np.pi * turn), chroma * np.sin(2 * np.pi * turn)
    to_lms = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_rgb @ (to_lms @ [lightness, a, b]) ** 3, 0, 1)
    rgb: NDArray[np.float64] = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return rgb


def _made() -> tuple[Colour, ...]:
    rgb = (_srgb_from_oklch(_LIGHTNESS[n % 3], _CHROMA[n % 3], n * _TURN % 1) for n in range(255))
    return tuple((round(b * 255), round(g * 255), round(r * 255)) for r, g, b in rgb)


PALETTE: tuple[Colour, ...] = _made()
"""255 colours, BGR."""


def colours_of(instances: Instances, tracks: Tracks) -> list[Colour]:
    """One colour per instance: by track id, which starts at 1, and by class where there is none."""
    numbers = np.where(tracks.id >= 1, tracks.id - 1, instances.class_id)
    return [PALETTE[n % len(PALETTE)] for n in numbers.tolist()]
