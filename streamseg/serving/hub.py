"""The newest result of every source, encoded when somebody can take it.

The pipeline's thread writes and never waits; everything else happens in the server's event loop. What one
side leaves for the other is a single reference, replaced whole, so no lock is needed.
Tested in tests/serving/test_live.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from streamseg.serving.contract import ResultView
from streamseg.serving.encoding import Encoder, Kind
from streamseg.structures import Result

__all__ = ["Encoded", "Hub", "Listener"]

MOST_EVENTS = 50
_STALE_SECONDS = 0.5
"""What is older than the newest by so much is not sent any more. A source from which nothing came for so long
is encoded by the loop: the pipeline's thread will not."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One message or picture of a source."""

    number: int
    """Of its result; grows within a source."""
    captured_ns: int
    data: bytes


class Listener(Protocol):
    """Who wants to hear that something was encoded."""

    def wake(self) -> None: ...


@dataclass(slots=True)
class _Slot:
    newest: tuple[int, Result] | None = None
    wanted: frozenset[Kind] = frozenset()
    encoded: dict[Kind, Encoded] = field(default_factory=dict)
    listeners: dict[Listener, None] = field(default_factory=dict)
    waking: bool = False


class Hub:
    """Between the pipeline's page sink and the viewers."""

    def __init__(self, make_view: Callable[[], ResultView]) -> None:
        """`make_view` is called once for each thread that uses it."""
        self._slots: dict[str, _Slot] = {}
        self._in_pipeline = Encoder(make_view())
        self._in_loop = Encoder(make_view())
        self._hearing = make_view()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.events: tuple[dict[str, Any], ...] = ()
        """The last ones of all sources, the newest first; CloudEvents."""
        self.on_events: Callable[[], None] = lambda: None
        """Called in the loop when there are others."""
        self._telling = False
        self.encodings = 0
        """How often something was encoded."""

    # -- the pipeline's thread ---------------------------------------------------------------------

    def write(self, result: Result) -> None:
        """Keep it as the newest of its source; encode it if a listener can take it."""
        slot = self._slot(result.frame.source_id)
        number = slot.newest[0] + 1 if slot.newest else 1
        slot.newest = number, result
        if slot.wanted:
            self._encode(self._in_pipeline, slot, number, result)
            self._announce(result.frame.source_id, slot)

    def hear(self, result: Result) -> None:
        """Keep its events, also of a frame that no viewer gets. For the thread in which events are made."""
        self.events = (*reversed(self._hearing.events(result)), *self.events)[:MOST_EVENTS]
        if self._loop is not None and not self._telling:
            self._telling = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._told)

    def forget(self, source_id: str) -> None:
        """The source has ended; its last picture stays."""
        slot = self._slots.get(source_id)
        if slot and slot.newest:
            number, result = slot.newest
            slot.newest = number, replace(result, canvas=None)

    def _encode(self, encoder: Encoder, slot: _Slot, number: int, result: Result) -> None:
        self.encodings += 1
        done = encoder.encode(result, slot.wanted)
        slot.encoded = slot.encoded | {
            kind: Encoded(number, result.frame.captured_ns, data) for kind, data in done.items()
        }

    def _announce(self, source_id: str, slot: _Slot) -> None:
        if self._loop is not None and not slot.waking:
            slot.waking = True
            with suppress(RuntimeError):  # the server has just ended
                self._loop.call_soon_threadsafe(self._wake, source_id)

    # -- the server's loop -------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Announce in this loop from now on; None: nobody is there to hear."""
        self._loop = loop

    def _told(self) -> None:
        self._telling = False
        self.on_events()

    def _wake(self, source_id: str) -> None:
        slot = self._slots.get(source_id)
        if slot is None:
            return
        slot.waking = False
        slot.wanted = frozenset()  # listeners that can take more say so again
        for listener in list(slot.listeners):
            listener.wake()

    def join(self, source_id: str, listener: Listener) -> None:
        """Wake `listener` when something of this source has been encoded."""
        self._slot(source_id).listeners[listener] = None

    def leave(self, source_id: str, listener: Listener) -> None:
        if source_id in self._slots:
            self._slots[source_id].listeners.pop(listener, None)

    def drop(self, source_id: str) -> None:
        """The source is gone, with its last picture."""
        slot = self._slots.pop(source_id, None)
        for listener in list(slot.listeners) if slot else ():
            listener.wake()

    def newest(self, source_id: str) -> Result | None:
        """The last result of a source."""
        slot = self._slots.get(source_id)
        return slot.newest[1] if slot and slot.newest else None

    def take(self, source_id: str, kind: Kind, after: int) -> Encoded | None:
        """What was encoded later than number `after`; None asks for the next to be encoded.

        For a source that the listener has joined; None for ever when it is gone.
        """
        slot = self._slots.get(source_id)
        if slot is None:
            return None
        found = slot.encoded.get(kind)
        if found and found.number > after and slot.newest and _is_news(found, slot.newest[1]):
            return found
        slot.wanted |= {kind}
        if slot.newest and slot.newest[0] > after and _silent(slot.newest[1]):
            self._encode(self._in_loop, slot, *slot.newest)
            return slot.encoded[kind]
        return None

    def picture(self, source_id: str, kind: Kind) -> bytes | None:
        """A JPEG of the newest result, whoever watches."""
        slot = self._slots.get(source_id)
        if slot is None or slot.newest is None:
            return None
        self.encodings += 1
        return self._in_loop.encode(slot.newest[1], {kind})[kind]

    def _slot(self, source_id: str) -> _Slot:
        return self._slots.setdefault(source_id, _Slot())


def _is_news(found: Encoded, newest: Result) -> bool:
    """Not from when somebody last watched."""
    return newest.frame.captured_ns - found.captured_ns < _STALE_SECONDS * 1e9


def _silent(result: Result) -> bool:
    return time.monotonic_ns() - result.frame.captured_ns > _STALE_SECONDS * 1e9
