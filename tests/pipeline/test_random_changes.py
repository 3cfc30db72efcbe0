"""Two hundred random lives of a pipeline: the ledger holds at every moment, and nothing stays."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from contextlib import suppress
from types import SimpleNamespace

import pytest

from streamseg.errors import SourceError

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class RandomChanges:
    """Random adds, removals, items, ends, failures and stalls; every second run ends in an abort."""

    def __init__(self, p: SimpleNamespace, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.aborts = bool(seed % 2)
        self.cameras = p.Cameras(
            batch=rng.choice([1, 3]), capacity=rng.choice([1, 4]), lag=rng.random() < 0.5
        )
        self.pipeline = self.cameras.pipeline
        self.gates: list[threading.Event] = []
        self.workers: list[weakref.ref] = []

    def run(self) -> None:
        self.pipeline.start()
        for _ in range(self.rng.randrange(5, 25)):
            self.change()
            ledger = self.pipeline.ledger()
            assert ledger.balances
            assert ledger.created == 0, "nothing here makes two of one"
        if self.aborts:
            self.pipeline.abort()
        else:
            self.pipeline.stop()
        for gate in self.gates:
            gate.set()
        with suppress(SourceError, OSError):
            assert self.pipeline.wait(DEADLINE_S), self.pipeline.snapshot()
        ledger = self.pipeline.ledger()
        assert ledger.balances
        assert ledger.in_flight == ledger.created == ledger.dropped["absorbed"] == 0
        assert ledger.delivered == sum(len(file.items) for file in self.cameras.ever_opened)
        assert {file.closed for file in self.cameras.ever_opened} <= {1}
        assert not [t for t in threading.enumerate() if t.name.startswith("streamseg")]
        for name in list(self.pipeline.snapshot()["parts"]):
            with suppress(ValueError):  # it left with another
                self.pipeline.remove(name)
        assert self.pipeline.snapshot()["parts"] == {}
        assert self.pipeline.ledger() == ledger, "what is gone stays in the accounts"

    def change(self) -> None:
        act = self.rng.choice(["add", "add", "push", "push", "push", "remove", "file", "finish", "gate"])
        name = self.rng.choice("abc")
        parts = [name, f"render {name}", f"file {name}"]
        if act == "add":
            if not any(part in self.pipeline for part in parts):
                self.add(name)
        elif act == "gate" and self.gates:
            self.rng.choice(self.gates).set()
        elif act in ("remove", "file"):
            with suppress(ValueError):  # not there, or gone already
                part = name if act == "remove" else self.rng.choice(parts[1:])
                self.pipeline.remove(part, drain=self.rng.random() < 0.7)
        elif act == "push" and name in self.cameras.sources:
            self.cameras.sources[name].push(*range(self.rng.randrange(6)))
        elif act == "finish" and name in self.cameras.sources:
            self.cameras.sources[name].finish(self.rng.choice([None, SourceError("lost")]))

    def add(self, name: str) -> None:
        self.gates.append(threading.Event())
        if self.rng.random() < 0.7:
            self.gates[-1].set()
        self.cameras.add(
            name,
            policy=self.rng.choice(["block", "drop_oldest"]),
            capacity=self.rng.randrange(1, 4),
            gate=self.gates[-1],
            on_error="isolate",
            fail_at=self.rng.choice([None, None, 5]),
        )
        self.workers += [weakref.ref(w) for w in list(self.pipeline._supervision.graph.workers.values())]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 10))
def test_after_random_changes_the_accounts_balance_and_nothing_stays(p, first) -> None:
    """Ten runs each: two hundred together."""
    runs = [RandomChanges(p, seed) for seed in range(first, first + 10)]
    for run in runs:
        run.run()
    gc.collect()
    workers = [worker for run in runs for worker in run.workers]
    assert len(workers) > 20
    assert not [worker() for worker in workers if worker() is not None], "held by a pipeline that still is"
