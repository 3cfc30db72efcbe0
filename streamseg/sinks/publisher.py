"""The program behind PublishSink: empties an outbox into its destination, in order, until told to stop.
Tested in tests/sinks/test_publish_sink.py.

A process of its own, because a library that talks to a network can block for ever, and this one can be
killed: what it had not delivered is in the outbox.

In: a line with the outbox's path and the address (a secret, so not in the arguments), then any byte whenever
there is something new; the end of the input means that nothing more comes.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from pathlib import Path

from streamseg.sinks.delivery import Destination, Later, Refused
from streamseg.sinks.destinations import open_destination
from streamseg.sinks.outbox import Outbox

__all__ = ["DRAIN_SECONDS", "deliver"]

DRAIN_SECONDS = 5.0
"""After the end of the input; what is not delivered by then is delivered in the next run."""
LONGEST_PAUSE_SECONDS = 60.0
_LOOK_SECONDS = 60.0
"""Where nothing is new there is nothing to do; an outbox that a killed run filled was emptied at start."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that feeds this one
    with open(0, "rb", buffering=0) as orders:
        path, address = json.loads(orders.readline())
        outbox = Outbox(Path(path))
        destination = open_destination(address)
        try:
            deliver(outbox, destination, orders.fileno())
        finally:
            destination.close()
            outbox.close()


def deliver(outbox: Outbox, destination: Destination, orders: int) -> None:
    """Send until `orders`, a descriptor, has ended and the outbox is empty or DRAIN_SECONDS have passed."""
    failures, not_before = 0, 0.0
    give_up: float | None = None
    while True:
        message, now = outbox.first(), time.monotonic()
        if give_up is not None and (message is None or now >= give_up):
            return
        pause = max(not_before - now, 0.0) if message else _LOOK_SECONDS
        if give_up is not None:
            time.sleep(min(pause, give_up - now))
        elif _has_ended(orders, pause):
            give_up = now + DRAIN_SECONDS
        if message is None or pause:
            continue
        number, topic, body = message
        try:
            destination.send(topic, body)
        except Later as error:
            failures += 1
            not_before = time.monotonic() + max(error.pause_s, _pause(failures))
            outbox.say(str(error))
        except Refused as error:
            outbox.refuse(number, str(error))
        else:
            outbox.taken(number)
            if failures:
                outbox.say("")
            failures = 0


def _has_ended(orders: int, seconds: float) -> bool:
    """Waits so long for an order."""
    return bool(select.select([orders], [], [], seconds)[0]) and not os.read(orders, 4096)


def _pause(failures: int) -> float:
    """Doubles from half a second, with jitter, so that many programs do not come back at once."""
    return float(min(LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(failures, 10)) * random.uniform(0.75, 1.25))


if __name__ == "__main__":
    main()
