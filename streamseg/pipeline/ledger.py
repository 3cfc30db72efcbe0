"""Where every captured item went.

Items are counted where they pass a channel, so that a stage needs no book-keeping of its own:

- captured: offered to the channels of sources,
- delivered: the sink's `process` returned for its batch,
- dropped, by cause: `overrun` (a `drop_oldest` channel was full), `abort` (in a channel or inside a stage
  when the pipeline was aborted), `error` (inside the stage or sink that raised), `absorbed` (taken by a
  stage that drained normally and yielded fewer items than it took, a filter),
- created: yielded by a stage beyond what it took,
- in_flight: in channels and inside stages that still run.

    captured + created == delivered + sum(dropped) + in_flight

For a stage it is only known how many items it took and yielded, so one that filters and multiplies
shows the difference; and one that filters, and is aborted, counts what it filtered under `abort`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streamseg.pipeline.channel import Channel, ChannelStats
from streamseg.pipeline.worker import Consumer, SinkWorker, Worker

__all__ = ["Ledger"]

_CAUSES = ("overrun", "abort", "error", "absorbed")
_CAUSE_OF_OUTCOME = {"abort": "abort", "error": "error", "drained": "absorbed"}


@dataclass(slots=True)
class Ledger:
    """One reading of the accounts; the equation above always holds."""

    captured: int = 0
    created: int = 0
    delivered: int = 0
    in_flight: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_CAUSES, 0))

    @classmethod
    def read(
        cls, workers: Sequence[Worker], channels: Sequence[Channel[Any]]
    ) -> tuple[Ledger, dict[str, ChannelStats]]:
        """The accounts, and the reading of each channel, by name, that they come from.

        `channels` in the order of the flow: read from the end to the start, while items move on, a
        part can have taken more than was seen of what it handed on, never less.
        """
        ends = [(worker, worker.outcome, _delivered(worker)) for worker in workers]
        stats = {channel.name: channel.stats() for channel in reversed(channels)}
        ledger = cls()
        for reading in stats.values():
            ledger.dropped["overrun"] += reading.overrun
            ledger.dropped["abort"] += reading.aborted
            ledger.in_flight += reading.depth + reading.waiting
        for worker, outcome, delivered in ends:
            ledger._add(worker, outcome, delivered, stats)
        return ledger, stats

    def _add(
        self, worker: Worker, outcome: str | None, delivered: int, stats: dict[str, ChannelStats]
    ) -> None:
        offered = stats[worker.output.name].offered if worker.output else 0
        if not isinstance(worker, Consumer):
            self.captured += offered
            return
        self.delivered += delivered
        held = sum(stats[channel.name].taken for channel in worker.reader.channels) - offered - delivered
        if held < 0:
            self.created -= held
        elif outcome is None:
            self.in_flight += held
        else:
            self.dropped[_CAUSE_OF_OUTCOME[outcome]] += held


def _delivered(worker: Worker) -> int:
    return worker.delivered.value if isinstance(worker, SinkWorker) else 0
