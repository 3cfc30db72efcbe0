"""Where every captured item went. Tested in tests/pipeline/test_endings.py.

Items are counted where they pass a channel, so that a stage needs no book-keeping of its own:

- captured: handed over by sources, each once,
- delivered: the sink's `process` returned for its batch,
- dropped, by cause: `overrun` (a `drop_oldest` channel was full), `abort` (in a channel or inside a stage
  when it was aborted), `error` (inside the part that raised, or in a channel before it), `removed` (in a
  channel of a part removed without draining), `absorbed` (taken
  by a stage that drained normally and yielded fewer items than it took, a filter), `unread` (no reader
  wanted it),
- created: yielded by a stage beyond what it took, or copied: an item that k readers get is k items from
  there on, of which k - 1 were created,
- in_flight: in channels and inside parts that still run.

    captured + created == delivered + sum(dropped) + in_flight

What parts and channels that have been removed had counted stays in it.

For a stage it is only known how many items it took and yielded, so one that filters and multiplies
shows the difference; and one that filters, and is aborted, counts what it filtered under `abort`.

Tested in test_endings.py and test_random_changes.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from streamseg.pipeline.channel import ChannelStats
from streamseg.pipeline.output import OutputCounts
from streamseg.pipeline.worker import Link, Outcome, SourceWorker, Worker

__all__ = ["Ledger", "read_accounts"]

_CAUSES = ("overrun", "abort", "error", "removed", "absorbed", "unread")
_CAUSE_OF_OUTCOME = {"abort": "abort", "error": "error", "drained": "absorbed"}


@dataclass(slots=True)
class Ledger:
    """One reading of the accounts; the equation above always holds."""

    captured: int = 0
    created: int = 0
    delivered: int = 0
    in_flight: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_CAUSES, 0))

    @property
    def balances(self) -> bool:
        """Whether the equation holds."""
        return self.captured + self.created == self.delivered + sum(self.dropped.values()) + self.in_flight

    def add_channel(self, stats: ChannelStats, loss_cause: str) -> None:
        """What one channel has dropped and holds."""
        self.dropped["overrun"] += stats.overrun
        self.dropped[loss_cause] += stats.aborted
        self.in_flight += stats.depth + stats.waiting

    def add_part(self, end: PartEnd, taken: int, offered: int) -> None:
        """What one part has captured, delivered, created and lost: it has `taken` so many from its inputs,
        and its own channels were `offered` so many."""
        copied = offered + end.unread - end.yielded
        self.dropped["unread"] += end.unread
        self.created += max(copied, 0)
        self.in_flight += max(-copied, 0)
        if end.is_source:
            self.captured += end.yielded
            return
        self.delivered += end.delivered
        held = taken - end.yielded - end.delivered
        if held < 0:
            self.created -= held
        elif end.outcome is None:
            self.in_flight += held
        else:
            self.dropped[_CAUSE_OF_OUTCOME[end.outcome]] += held


@dataclass(frozen=True, slots=True)
class PartEnd:
    """What has come out at the end of one part."""

    is_source: bool
    outcome: Outcome | None
    delivered: int
    yielded: int
    unread: int

    @classmethod
    def of(cls, worker: Worker) -> PartEnd:
        outcome, delivered = worker.outcome, worker.delivered_count  # in this order: the end is said last
        counts = worker.output.counts() if worker.output else OutputCounts(0, 0)
        return cls(isinstance(worker, SourceWorker), outcome, delivered, counts.yielded, counts.unread)


def read_accounts(consumers_first: Iterable[Worker], past: Ledger) -> tuple[Ledger, dict[Link, ChannelStats]]:
    """The accounts, and the readings of the channels that they come from; `past` is what is gone.

    Each part is read from its end to its start: while items move on, it can have taken more than was
    seen of what it handed on, never less.
    """
    ledger = replace(past, dropped=dict(past.dropped))
    readings: dict[Link, ChannelStats] = {}
    offered: Counter[Worker] = Counter()
    for worker in consumers_first:
        end = PartEnd.of(worker)
        taken = worker.past_taken
        for link in worker.inputs:
            stats = readings[link] = link.stats()
            taken += stats.taken
            offered[link.producer] += stats.offered
            ledger.add_channel(stats, link.loss_cause)
        ledger.add_part(end, taken, offered[worker] + worker.past_offered)
    return ledger, readings
