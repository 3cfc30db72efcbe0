"""Results kept in memory, for tests and notebooks. Tested in tests/sinks/test_base.py."""

from __future__ import annotations

from streamseg.errors import SinkError
from streamseg.structures import Result

__all__ = ["ListSink"]


class ListSink:
    """Keeps every result in `results`, and can be told to fail."""

    def __init__(self, *, needs_canvas: bool = False, fail_at: int | None = None) -> None:
        """`fail_at`: how many results to take before `write` raises SinkError."""
        self.needs_canvas = needs_canvas
        self.results: list[Result] = []
        self.closed = 0
        """How often `close` was called."""
        self._fail_at = fail_at

    def write(self, result: Result) -> None:
        """Keep `result`. Raises SinkError when `fail_at` is reached, or after close."""
        if self.closed:
            raise SinkError("list: already closed")
        if len(self.results) == self._fail_at:
            raise SinkError(f"list: told to fail at {self._fail_at} results")
        self.results.append(result)

    def close(self) -> None:
        self.closed += 1
