"""Which part reads which: attaching, detaching, dropping what has ended, and the ways of one source's items.
Tested in tests/pipeline/test_changes.py.

Tested in test_changes.py, test_random_changes.py and test_readers.py.

Every method wants its caller to hold the supervision's lock; none waits, none calls a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from streamseg.pipeline.channel import ChannelStats, LossCause
from streamseg.pipeline.consumer import Consumer, SinkWorker
from streamseg.pipeline.ledger import Ledger, PartEnd, read_accounts
from streamseg.pipeline.output import Output, Tap
from streamseg.pipeline.worker import Link, SourceWorker, Worker

__all__ = ["Graph"]


class Graph:
    """The parts of a pipeline by name, and the channels between them."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.started = False
        self._past = Ledger()
        """The accounts of what is gone."""

    @property
    def sources(self) -> list[SourceWorker]:
        return [worker for worker in self.workers.values() if isinstance(worker, SourceWorker)]

    def links(self) -> Iterator[Link]:
        """Every channel, once."""
        for worker in self.workers.values():
            yield from worker.inputs

    # -- adding ------------------------------------------------------------------------------------

    def add(self, worker: Worker, taps: Sequence[Tap[Any]]) -> None:
        """Add `worker` with its inputs. Raises ValueError and leaves everything as it was."""
        other = self.workers.get(worker.name)
        if other is not None:
            doing = "is still removing a part" if other.leaving else "already has a part"
            raise ValueError(f"the pipeline {doing} named {worker.name!r}")
        for tap in taps:
            self._producer(tap)
        self.workers[worker.name] = worker
        for tap in taps:
            self.attach(worker, tap)
        self._hold_back()

    def attach(self, worker: Worker, tap: Tap[Any]) -> Link:
        """Let `worker` read `tap` from now on. Raises ValueError, or RuntimeError when it has ended."""
        if not isinstance(worker, Consumer):
            raise ValueError(f"{worker} has no inputs")
        if worker.outcome is not None:
            raise RuntimeError(f"{worker} has ended: it reads nothing more")
        producer = self._producer(tap)
        if worker is producer or producer in self._behind(worker):
            raise ValueError(f"{worker} cannot read {tap.output.name!r}, which is made from what it hands on")
        link = Link(tap, producer, worker)
        worker.reader.attach(link)
        worker.inputs.append(link)
        producer.outputs.append(link)
        for source in [source.name for source in self.sources if self._carries(link, source.name)]:
            if source in producer.passed:
                link.end_of(source)
                continue
            for behind in (worker, *self._behind(worker)):
                behind.passed.discard(source)
        if tap.source in producer.passed:
            link.close()
        tap.output.attach(link, tap.source)
        self._hold_back()
        return link

    def _producer(self, tap: Tap[Any]) -> Worker:
        worker = self.workers.get(tap.output.name)
        if worker is None or worker.output is not tap.output:
            raise ValueError(f"the output of {tap.output.name!r} is not, or no longer, of this pipeline")
        return worker

    def check_complete(self) -> None:
        """Raises ValueError when there is nothing to run, or a part has no reader or no input.

        One that stays open, or tells sources apart, may find them later.
        """
        if not any(worker.output for worker in self.workers.values()):
            raise ValueError("the pipeline has no source")
        for worker in self.workers.values():
            output: Output[Any] | None = worker.output
            if output is not None and not worker.outputs and not output.tells_sources_apart:
                raise ValueError(f"nobody reads the output of {worker.name!r}")
            if isinstance(worker, Consumer) and not worker.inputs and not worker.reader.stays_open:
                raise ValueError(f"{worker} reads nothing")

    # -- removing ----------------------------------------------------------------------------------

    def detach(self, link: Link) -> None:
        """Hand nothing more to `link`; it goes when it has drained."""
        for source in self.sources:
            if self._carries(link, source.name):
                link.end_of(source.name)
        link.leaving = True
        self._cut(link)

    def cut_off(self, worker: Worker, cause: LossCause) -> None:
        """Drop what waits for `worker`, and hand it nothing more."""
        for link in worker.inputs:
            link.abort(cause)
            self._cut(link)
        self._hold_back()

    @staticmethod
    def _cut(link: Link) -> None:
        output = link.producer.output
        assert output is not None
        output.detach(link)
        link.close()

    def reap(self) -> list[Worker]:
        """Drop the channels and parts that are leaving and have ended; gives the parts."""
        gone: list[Worker] = []
        count = -1
        while count != len(gone):
            count = len(gone)
            for source in self.sources:
                if source.leaving and self._has_ended(source) and self._is_through(source):
                    self._let_go(source)
            for link in list(self.links()):
                if link.leaving and self._is_settled(link):
                    self._retire_link(link)
            for worker in list(self.workers.values()):
                if worker.leaving and self._has_ended(worker) and not (worker.inputs or worker.outputs):
                    self._retire(worker)
                    gone.append(worker)
        return gone

    def leave(self, worker: Worker) -> None:
        """`worker` goes when it has ended, and so do the channels behind it."""
        worker.leaving = True
        if isinstance(worker, SourceWorker):
            return
        for link in list(worker.inputs):
            self.detach(link)
        for link in worker.outputs:
            link.leaving = True
        if isinstance(worker, Consumer):
            worker.reader.seal()
        self._hold_back()

    def _is_through(self, source: SourceWorker) -> bool:
        """Every part that its items reach has handed on the last of them, or has ended."""
        return not self.started or all(
            source.name in worker.passed or worker.outcome is not None
            for worker in self._behind(source, source.name)
        )

    def _let_go(self, source: SourceWorker) -> None:
        name = source.name
        for link in source.outputs:
            link.leaving = True
        for link in self.links():
            if link.source == name and not link.leaving:
                link.leaving = True
                self._cut(link)
            link.over.discard(name)
        for worker in self.workers.values():
            worker.passed.discard(name)

    def _has_ended(self, worker: Worker) -> bool:
        return worker.phase == "ended" or not self.started

    def _is_settled(self, link: Link) -> bool:
        return not self.started or (link.final and (link.consumer.outcome is not None or not link.unheard))

    def _retire_link(self, link: Link) -> None:
        link.close()
        stats = link.stats()
        self._past.add_channel(stats, link.loss_cause)
        producer, consumer = link.producer, link.consumer
        producer.past_offered += stats.offered
        consumer.past_taken += stats.taken
        producer.outputs.remove(link)
        consumer.inputs.remove(link)
        link.hold_back(())
        self._cut(link)
        if isinstance(consumer, Consumer):
            consumer.reader.leave(link)
            if not consumer.inputs and not consumer.reader.stays_open:
                self.leave(consumer)

    def _retire(self, worker: Worker) -> None:
        self._past.add_part(PartEnd.of(worker), worker.past_taken, worker.past_offered)
        del self.workers[worker.name]

    # -- the ways of items -------------------------------------------------------------------------

    def is_over(self, worker: Worker, source: str) -> bool:
        """Every input of `worker` that brings items of `source` has brought the last."""
        return all(source in link.over for link in worker.inputs if self._carries(link, source))

    def feeding(self, worker: Worker) -> list[SourceWorker]:
        """Sources whose items reach `worker`."""
        return [source for source in self.sources if worker in self._behind(source, source.name)]

    def reaches_a_sink(self, source: SourceWorker) -> bool:
        """Whether anyone is left for whom it captures."""
        return any(
            isinstance(worker, SinkWorker) and worker.outcome is None
            for worker in self._behind(source, source.name, alive=True)
        )

    def _carries(self, link: Link, source: str) -> bool:
        if link.source is not None:
            return link.source == source
        producer = link.producer
        if isinstance(producer, SourceWorker):
            return producer.name == source
        return any(self._carries(above, source) for above in producer.inputs)

    def _behind(self, worker: Worker, source: str | None = None, *, alive: bool = False) -> set[Worker]:
        """The parts that items of `worker` reach, or, of these, items of `source`, through parts `alive`."""
        found: set[Worker] = set()
        ahead = [worker]
        while ahead:
            for link in ahead.pop().outputs:
                follows = source is None or link.source in (None, source)
                if follows and link.consumer not in found and not (alive and link.consumer.outcome):
                    found.add(link.consumer)
                    ahead.append(link.consumer)
        return found

    def _hold_back(self) -> None:
        """Let each channel of one source that blocks hold back that source where it enters."""
        for link in self.links():
            if link.source is not None:
                blocks = link.policy == "block" and not link.leaving
                link.hold_back(list(self._entries(link.producer, link.source)) if blocks else ())

    def _entries(self, worker: Worker, source: str) -> Iterator[Link]:
        for link in worker.inputs:
            if isinstance(link.producer, SourceWorker):
                if link.producer.name == source:
                    yield link
            elif link.source in (None, source):
                yield from self._entries(link.producer, source)

    # -- looking -----------------------------------------------------------------------------------

    def accounts(self) -> tuple[Ledger, dict[Link, ChannelStats]]:
        """The ledger and every channel's reading."""
        return read_accounts(self._consumers_first(), self._past)

    def _consumers_first(self) -> list[Worker]:
        order: dict[Worker, None] = {}

        def visit(worker: Worker) -> None:
            for link in worker.outputs:
                if link.consumer not in order:
                    visit(link.consumer)
            order.setdefault(worker)

        for worker in self.workers.values():
            if worker not in order:
                visit(worker)
        return list(order)
