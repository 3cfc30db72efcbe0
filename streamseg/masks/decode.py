"""From COCO's RLE, and from pixels, back to runs."""

from __future__ import annotations

import numpy as np

from streamseg.masks.regions import Region, region_from_runs
from streamseg.masks.rle import Rle
from streamseg.masks.runs import Runs

__all__ = ["region_of_rle", "run_lengths", "runs_from_region", "runs_from_rle"]


def runs_from_rle(rle: Rle) -> Runs:
    """The runs of COCO's compressed text, cut where a run goes on at the top of the next column.

    Raises ValueError for a text that is not one, or not of that size.
    """
    height, width = rle["size"]
    lengths = run_lengths(rle["counts"])
    if any(n < 0 for n in lengths) or sum(lengths) > height * width:
        raise ValueError(f"an RLE of more than {height}×{width} pixels, or of negative lengths")
    ends = np.cumsum(np.array(lengths, np.int64))
    edges = ends[: len(ends) - len(ends) % 2].tolist()  # of an odd number the last is outside
    column, row = [], []
    for start, stop in zip(edges[0::2], edges[1::2], strict=True):
        while start < stop:
            x = start // height
            end = min(stop, (x + 1) * height)
            column += [x, x]
            row += [start - x * height, end - x * height]
            start = end
    return Runs(np.array(column, np.int64), np.array(row, np.int64))


def region_of_rle(rle: Rle) -> Region:
    """The pixels. Raises ValueError as `runs_from_rle` does."""
    return region_from_runs(runs_from_rle(rle))


def runs_from_region(region: Region) -> Runs:
    """The runs of `region`, from its pixels."""
    (x0, y0), bits = region
    if not bits.size:
        return Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    padded = np.zeros((bits.shape[1], bits.shape[0] + 2), np.int8)
    padded[:, 1:-1] = bits.T
    column, row = np.nonzero(np.diff(padded, axis=1))
    return Runs(column.astype(np.int64) + x0, row.astype(np.int64) + y0)


def run_lengths(counts: str) -> list[int]:
    """Run lengths in pixels from COCO's text (`rleFrString` of cocoapi's maskApi.c), of any size and sign.

    Five bits a character from 48 on, the lowest first; the sixth says that more follow, the fifth of the last
    one is the sign. From the fourth length on, minus the one before the last. Raises ValueError for a text
    that is none.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"run lengths are not COCO's RLE: {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths are not COCO's RLE: they break off")
    return lengths
