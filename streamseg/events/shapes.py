"""Polygons and lines in relative coordinates: their faults, and where they lie on columns of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Columns",
    "Point",
    "crosses_gate",
    "fault_of_line",
    "fault_of_polygon",
    "polygon_columns",
    "side_polygon",
]

Point = tuple[float, float]
"""x y; relative to the picture, 0…1, or in pixels."""

MOST_POINTS = 64
_FAR = 64.0
"""Radius, in pictures, within which a line divides the plane."""
_ARC_STEPS = 32
_LEAST_AREA = 1e-6
"""Of a polygon, as a share of the picture: a pixel of a 1000×1000 one."""


class Columns(NamedTuple):
    """Polygons as intervals down the columns of the picture; x is a pixel's column, y is continuous."""

    low: NDArray[np.float32]
    """(K, W, Z) float32: upper end of the k-th interval of polygon z at the centre of column x, pixels."""
    high: NDArray[np.float32]
    """(K, W, Z) float32: lower end; not above `low` where there is none."""


def polygon_columns(polygons: Sequence[Sequence[Point]], frame_hw: tuple[int, int]) -> Columns:
    """Where `polygons`, relative, lie in a picture of `frame_hw`; inside is by the even-odd rule."""
    height, width = frame_hw
    crossings = [_crossings(np.array(p, np.float64) * [width, height], width) for p in polygons]
    most = max((len(c) // 2 for c in crossings), default=0)
    ends = np.zeros((2, max(most, 1), width, len(polygons)), np.float32)
    for z, rows in enumerate(crossings):
        ends[0, : len(rows) // 2, :, z] = rows[0::2]
        ends[1, : len(rows) // 2, :, z] = rows[1::2]
    ends = np.clip(ends, 0, height)
    return Columns(ends[0], ends[1])


def _crossings(points: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """(2k, W) y at which each column's centre enters and leaves the polygon, by turns; spare ones are 0."""
    x = np.arange(width) + 0.5
    rows = np.full((len(points), width), np.inf)
    for edge, ((x1, y1), (x2, y2)) in enumerate(zip(points, np.roll(points, -1, axis=0), strict=True)):
        over = (x >= min(x1, x2)) & (x < max(x1, x2))
        rows[edge, over] = y1 + (x[over] - x1) * (y2 - y1) / (x2 - x1) if x1 != x2 else np.inf
    rows.sort(axis=0)
    used = rows[np.isfinite(rows).any(axis=1)]
    return np.where(np.isfinite(used), used, 0.0)


def fault_of_polygon(points: Sequence[Point]) -> str:
    """What is wrong with a polygon in relative coordinates, in words; nothing where it is sound."""
    if len(points) < 3:
        return f"a polygon needs three points or more, this has {len(points)}"
    if fault := _fault_of_points(points):
        return fault
    edges = [(points[k], points[(k + 1) % len(points)]) for k in range(len(points))]
    for (i, one), (j, other) in combinations(enumerate(edges), 2):
        neighbours = j - i == 1 or (i == 0 and j == len(edges) - 1)
        if (not neighbours and _meet(*one, *other)) or (neighbours and _fold(one, other)):
            return f"edges {i + 1} and {j + 1} cross each other; give the corners in order around the polygon"
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in edges) / 2
    if abs(area) < _LEAST_AREA:
        return "the polygon has no area"
    return ""


def fault_of_line(points: Sequence[Point]) -> str:
    """What is wrong with a line in relative coordinates, in words; nothing where it is sound."""
    if len(points) < 2:
        return f"a line needs two points or more, this has {len(points)}"
    if fault := _fault_of_points(points):
        return fault
    parts = list(pairwise(_extended(points)))
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        if (j - i > 1 and _meet(*one, *other)) or (j - i == 1 and _fold(one, other)):
            return "the line, made longer at both ends, crosses itself; make it straighter, or use a zone"
    return ""


def _fault_of_points(points: Sequence[Point]) -> str:
    if len(points) > MOST_POINTS:
        return f"more than {MOST_POINTS} points"
    for k, (x, y) in enumerate(points):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return (
                f"point {k + 1} ({x:g}, {y:g}) lies outside the picture; "
                "coordinates are shares of its width and height, 0 to 1"
            )
    if any(one == other for one, other in pairwise(points)):
        return "a point stands twice in a row"
    return ""


def side_polygon(points: Sequence[Point]) -> list[Point]:
    """A polygon over all that lies to the left of a line, looking from its first point to its last.

    The line goes on straight at both ends. Relative coordinates; left as one sees it on the screen.
    """
    line = _extended(points)
    (x0, y0), (x1, y1) = line[0], line[-1]
    # The screen's y points down: what is left of the way is on the counter-clockwise arc from end to start.
    begin, end = math.atan2(-(y1 - 0.5), x1 - 0.5), math.atan2(-(y0 - 0.5), x0 - 0.5)
    turn = (end - begin) % (2 * math.pi)
    radius = 2 * _FAR
    angles = (begin + turn * k / _ARC_STEPS for k in range(_ARC_STEPS + 1))
    return line + [(0.5 + radius * math.cos(a), 0.5 - radius * math.sin(a)) for a in angles]


def crosses_gate(points: NDArray[np.float64], start: Point, end: Point) -> bool:
    """Whether the way from `start` to `end` leads through the line itself an odd number of times."""
    parts = pairwise([(float(x), float(y)) for x, y in points])
    return sum(_meet(start, end, a, b) for a, b in parts) % 2 == 1


def _extended(points: Sequence[Point]) -> list[Point]:
    """The line with a far point before the first and after the last."""
    return [_beyond(points[1], points[0]), *points, _beyond(points[-2], points[-1])]


def _beyond(inner: Point, outer: Point) -> Point:
    dx, dy = outer[0] - inner[0], outer[1] - inner[1]
    length = math.hypot(dx, dy)
    return outer[0] + dx / length * _FAR, outer[1] + dy / length * _FAR


def _turn(a: Point, b: Point, c: Point) -> float:
    """Above 0 where c is on one side of a → b, below on the other."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether a–b and c–d cross; a point on a line belongs to one side of it, so that none counts twice."""
    one, other = _turn(a, b, c) >= 0, _turn(a, b, d) >= 0
    return one != other and (_turn(c, d, a) >= 0) != (_turn(c, d, b) >= 0)


def _fold(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether the second of two edges that share a point runs back over the first."""
    shared = one[1] if one[1] in other else one[0]
    p = one[0] if shared == one[1] else one[1]
    q = other[0] if shared == other[1] else other[1]
    along = (p[0] - shared[0]) * (q[0] - shared[0]) + (p[1] - shared[1]) * (q[1] - shared[1])
    return abs(_turn(p, shared, q)) < 1e-12 and along > 0
