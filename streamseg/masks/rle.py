"""COCO's compressed run-length encoding, from runs of pixels. Tested in tests/masks/test_frame_masks.py.

Tested by test_frame_masks and test_box_grids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from streamseg.masks.runs import Indices, Runs, gaps

__all__ = ["Rle", "rles_from_runs"]


class Rle(TypedDict):
    """COCO's compressed run-length encoding, column by column; what pycocotools decodes."""

    size: list[int]
    """Height and width of the frame."""
    counts: str


def rles_from_runs(instances: Sequence[Runs], frame_hw: tuple[int, int]) -> list[Rle]:
    """One RLE for each instance's runs."""
    strings = _coco_strings([_run_lengths(runs, frame_hw) for runs in instances])
    return [Rle(size=[frame_hw[0], frame_hw[1]], counts=counts) for counts in strings]


def _run_lengths(runs: Runs, frame_hw: tuple[int, int]) -> Indices:
    """Lengths of alternating runs of 0 and 1 down the columns of the frame, beginning with 0."""
    ends = runs.column * frame_hw[0] + runs.row
    if np.any(ends[1:] == ends[:-1]):
        # A run without a pixel, or one that goes on at the top of the next column.
        ends, times = np.unique(ends, return_counts=True)
        ends = ends[times % 2 == 1]
    lengths = gaps(ends, frame_hw[0] * frame_hw[1])
    return lengths if lengths[-1] else lengths[:-1]


def _coco_strings(lists: Sequence[Indices]) -> list[str]:
    """COCO's text form of run lengths (`rleToString` in cocoapi's maskApi.c), all lists at once.

    From the fourth on a length is stored as the difference from the one two before. Each number is
    split into groups of five bits, lowest first; bit 5 says that more follow, and the last group's
    bit 4 is the sign; 48 is added to stay printable.
    """
    if not lists:
        return []
    values = np.concatenate([part for c in lists for part in (c[:3], c[3:] - c[1:-2])])
    magnitude = values ^ (values >> 63)
    size = np.ones(len(values), np.int64)
    longer = [np.flatnonzero(magnitude >> 4)]
    while len(longer[-1]):
        size[longer[-1]] += 1
        longer.append(longer[-1][magnitude[longer[-1]] >> (5 * len(longer) + 4) > 0])
    end = np.cumsum(size)
    start = end - size
    text = np.empty(end[-1], np.uint8)
    text[start] = 48 + (values & 31)
    # Few numbers need another group: one pass per group over those that do.
    for group, which in enumerate(longer, start=1):
        text[start[which] + group - 1] += 32
        text[start[which] + group] = 48 + ((values[which] >> 5 * group) & 31)
    stops = end[np.cumsum([len(c) for c in lists]) - 1].tolist()
    chars = text.tobytes().decode("ascii")
    return [chars[i:j] for i, j in zip([0, *stops[:-1]], stops, strict=True)]
