"""One WebSocket viewer: gets the newest of each thing it watches, as fast as it takes it and no faster.

Every message is numbered and the viewer acknowledges it when it is drawn. Of one key (a source, `state`,
`events`) at most two are under way, so that neither the network's buffers nor the browser's queue fill with
old pictures. Tested in tests/serving/test_live.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamseg.serving.hub import Hub

__all__ = ["Viewer"]

UNDER_WAY = 2
"""Of one key: one on the wire while another is drawn."""
MOST_BYTES = 8 << 20
"""Under way to one viewer, whatever it watches."""
_NONSENSE = 1008  # policy violation, RFC 6455


@dataclass(slots=True)
class _Feed:
    """What a viewer has of one key."""

    sent: int = 0
    """Number of the newest it was sent."""
    under_way: int = 0


class Viewer:
    """For the server's loop."""

    def __init__(self, socket: WebSocket, hub: Hub, known: Callable[[str], bool]) -> None:
        """`known`: whether there is a source of this id."""
        self._socket = socket
        self._hub = hub
        self._known = known
        self._feeds: dict[str, _Feed] = {}
        self._news: dict[str, tuple[int, bytes]] = {}
        self._news_feeds: dict[str, _Feed] = {}
        self._under_way: dict[int, tuple[_Feed, int]] = {}
        self._number = 0
        self._bell = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._bell.set()

    def tell(self, key: str, news: bytes) -> None:
        """The newest message of a key, such as `state`, in the place of one that was not sent yet."""
        number, _ = self._news.get(key, (0, b""))
        self._news[key] = number + 1, news
        self._news_feeds.setdefault(key, _Feed())
        for source_id in [one for one in self._feeds if not self._known(one)]:
            self._unwatch(source_id)
        self.wake()

    async def serve(self) -> None:
        """Until the viewer leaves or talks nonsense."""
        sending = asyncio.create_task(self._send())
        receiving = asyncio.create_task(self._receive())
        try:
            done, _ = await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with suppress(WebSocketDisconnect):
                    task.result()
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
            for source_id in list(self._feeds):
                self._unwatch(source_id)

    # -- to the viewer -----------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            for feed, data in self._due():
                self._number += 1
                feed.under_way += 1
                self._under_way[self._number] = feed, len(data)
                self._bell.set()  # once more: asking in vain is what has the next one encoded
                await self._socket.send_bytes(self._number.to_bytes(4, "little") + data)

    def _due(self) -> Iterator[tuple[_Feed, bytes]]:
        """One of each key that has news and room, looked up when its turn comes."""
        for key, feed in list(self._news_feeds.items()):
            number, data = self._news[key]
            if number > feed.sent and feed.under_way < UNDER_WAY:
                feed.sent = number
                yield feed, data
        for source_id, feed in list(self._feeds.items()):
            if feed.under_way >= UNDER_WAY or self._is_full():
                continue
            news = self._hub.take(source_id, "live", feed.sent)
            if news:
                feed.sent = news.number
                yield feed, news.data

    def _is_full(self) -> bool:
        return sum(size for _, size in self._under_way.values()) >= MOST_BYTES

    # -- from the viewer ---------------------------------------------------------------------------

    async def _receive(self) -> None:
        while True:
            try:
                order = _order(await self._socket.receive_text())
                self._obey(order)
            except (KeyError, ValueError, RecursionError):
                await self._socket.close(_NONSENSE, 'expected {"ack": number} or {"watch": [ids]}')
                return

    def _obey(self, order: dict[str, Any]) -> None:
        if "ack" in order:
            feed, _ = self._under_way.pop(order["ack"])
            feed.under_way -= 1
        else:
            self._watch(order["watch"])
        self.wake()

    def _watch(self, wanted: list[str]) -> None:
        for source_id in [one for one in self._feeds if one not in wanted]:
            self._unwatch(source_id)
        for source_id in wanted:
            if source_id not in self._feeds and self._known(source_id):
                self._feeds[source_id] = _Feed()
                self._hub.join(source_id, self)

    def _unwatch(self, source_id: str) -> None:
        del self._feeds[source_id]
        self._hub.leave(source_id, self)


def _order(text: str) -> dict[str, Any]:
    """One order, checked. Raises ValueError, also for what is no JSON."""
    order = json.loads(text)
    match order:
        case {"ack": int(number), **rest} if not rest and not isinstance(number, bool):
            return order  # type: ignore[no-any-return]
        case {"watch": list(ids), **rest} if not rest and all(isinstance(one, str) for one in ids):
            return order  # type: ignore[no-any-return]
    raise ValueError("not an order")
