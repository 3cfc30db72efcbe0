"""No output: for measuring what the rest costs. Tested in tests/sinks/test_base.py."""

from __future__ import annotations

from streamseg.structures import Result

__all__ = ["NullSink"]


class NullSink:
    """Takes results and drops them."""

    def __init__(self, *, needs_canvas: bool = False) -> None:
        """`needs_canvas`: whether the overlay is to be drawn, and so measured, all the same."""
        self.needs_canvas = needs_canvas
        self.frames = 0
        """Results received."""

    def write(self, result: Result) -> None:
        self.frames += 1

    def close(self) -> None:
        pass
