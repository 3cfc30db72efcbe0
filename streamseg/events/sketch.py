"""Zones and lines that are being drawn with a mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from streamseg.events.shapes import MOST_POINTS, Point, fault_of_line, fault_of_polygon

__all__ = ["Drawn", "Sketch"]

Drawn = tuple[Literal["zones", "lines"], str, tuple[Point, ...]]
"""Kind, name and relative points."""


class Sketch:
    """What has been drawn, and the points that have not been made into anything yet."""

    def __init__(self) -> None:
        self.shapes: list[Drawn] = []
        self.points: list[Point] = []
        """Relative to the picture, 0…1, to a thousandth."""
        self.complaint = ""
        """What is wrong with what was asked last."""

    def add(self, x: float, y: float) -> None:
        """A point; outside the picture it is moved to its edge."""
        point = round(min(max(x, 0.0), 1.0), 3), round(min(max(y, 0.0), 1.0), 3)
        self.complaint = ""
        if len(self.points) < MOST_POINTS and self.points[-1:] != [point]:
            self.points.append(point)

    def undo(self) -> None:
        """Take back the last point, or, where there is none, the last shape, whose points come back."""
        self.complaint = ""
        if self.points:
            self.points.pop()
        elif self.shapes:
            self.points = list(self.shapes.pop()[2])

    def finish(self, kind: Literal["zones", "lines"]) -> bool:
        """Make a zone or line of the points; False, with a complaint, where they make none."""
        fault = fault_of_polygon(self.points) if kind == "zones" else fault_of_line(self.points)
        self.complaint = fault
        if fault:
            return False
        number = 1 + sum(shape[0] == kind for shape in self.shapes)
        self.shapes.append((kind, f"{kind[:-1]} {number}", tuple(self.points)))
        self.points = []
        return True

    def yaml(self) -> str:
        """The shapes as a configuration for `streamseg run --config`."""
        lines = ["# Names, shares and times: docs/events.md", "events:"]
        for kind, key in (("zones", "polygon"), ("lines", "points")):
            drawn = [(name, points) for k, name, points in self.shapes if k == kind]
            if drawn:
                lines.append(f"  {kind}:")
            lines += [f"    {name}: {{{key}: {_listed(points)}}}" for name, points in drawn]
        return "\n".join(lines) + "\n"


def _listed(points: Sequence[Point]) -> str:
    return "[" + ", ".join(f"[{x:g}, {y:g}]" for x, y in points) + "]"
