"""How a source is doing, for run, page and metrics. Tested in tests/capture/test_live_source.py."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

__all__ = ["REASONS", "SourceReason", "SourceState", "StateName"]

StateName = Literal["connecting", "live", "stalled", "reconnecting", "ended"]
"""connecting: no frame has come yet. live: frames come. stalled: the connection stands, but no frame has come
for `capture.stall_s`. reconnecting: it was live, was lost and is tried again. ended: no frame will come."""

SourceReason = Literal[
    "connection", "auth", "certificate", "handshake", "timeout", "not_found", "codec", "end_of_stream"
]
"""connection: refused, reset, no route, no such host. auth: user or password refused. certificate: TLS, not
trusted. handshake: an answer that is not the protocol. timeout: no answer, or no frame. not_found: the server
has no such stream, the machine no such camera. codec: it cannot be decoded. end_of_stream: it ended."""

REASONS: tuple[SourceReason, ...] = SourceReason.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class SourceState:
    """One reading of a source's state, safe to keep and to hand to other threads."""

    state: StateName
    reason: SourceReason | None = None
    """Why it is not live; None when it is, before a first attempt has failed, and where no cause is known."""
    detail: str = ""
    """The same in one line for people, without secrets; empty when there is nothing to say."""
    since_ns: int = 0
    """time.monotonic_ns() when it came into this state; of `stalled`, when the last frame came."""
    reconnects: int = 0
    """How often it came back after it was lost."""

    def seconds(self, now_ns: int | None = None) -> float:
        """How long it has been in this state."""
        return max(0.0, ((time.monotonic_ns() if now_ns is None else now_ns) - self.since_ns) / 1e9)
