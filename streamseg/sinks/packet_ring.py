"""The last seconds of a stream as it was encoded, in memory."""

from __future__ import annotations

from collections import deque

from streamseg.encoded import EncodedPacket

__all__ = ["PacketRing"]


class PacketRing:
    """Packets of at least the last `seconds`, beginning with a key picture, in at most `most_bytes`.

    Whole groups of pictures are kept: where key pictures are further apart than `seconds`, a group is kept
    until the next one is old enough, so that there is always a place to begin. What does not fit into
    `most_bytes` is given up by groups, the oldest first, and counted in `overflows`.
    """

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self.overflows = 0
        self._span_ns = round(seconds * 1e9)
        self._most = most_bytes
        self._groups: deque[list[EncodedPacket]] = deque()
        self._bytes = 0

    def add(self, packet: EncodedPacket) -> None:
        if packet.is_key:
            self._groups.append([])
        elif not self._groups:
            return
        self._groups[-1].append(packet)
        self._bytes += len(packet.data)
        while len(self._groups) > 1 and self._groups[1][0].arrived_ns <= packet.arrived_ns - self._span_ns:
            self._drop()
        while self._bytes > self._most:
            self._drop()
            self.overflows += 1

    def since(self, at_ns: int) -> list[EncodedPacket]:
        """From the last key picture that had arrived at `at_ns` (monotonic), else from the oldest; empty
        before the first."""
        groups = list(self._groups)
        first = max((k for k, group in enumerate(groups) if group[0].arrived_ns <= at_ns), default=0)
        return [packet for group in groups[first:] for packet in group]

    def _drop(self) -> None:
        self._bytes -= sum(len(packet.data) for packet in self._groups.popleft())
