"""SIGINT, SIGTERM and SIGHUP, sent to a real process by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from streamseg.pipeline import Pipeline, stop_on_signals

pytestmark = pytest.mark.timeout(120)

# An endless source, a sink that takes 5 ms an item (0.1 s with "slow"), and after each of the `sends`
# items a signal. Prints how it ended.
PROGRAM = """
import os, signal, sys, threading, time
from streamseg.pipeline import Pipeline, stop_on_signals

name, sends, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

class Endless:
    def __init__(self): self.ended = False
    def __iter__(self):
        n = 0
        while not self.ended:
            yield n
            n += 1
    def interrupt(self): self.ended = True
    def close(self): print("source closed", flush=True)

class File:
    count = 0
    def process(self, items):
        time.sleep(pause_s)
        self.count += len(items)
        if self.count <= sends:
            os.kill(os.getpid(), getattr(signal, name))
    def close(self): print("file closed", flush=True)

pipeline = Pipeline(grace_s=60)
pipeline.add_sink("file", File, [pipeline.add_source("camera", Endless, capacity=20, policy="block")])
with stop_on_signals(pipeline, deadline_s=60) as caught:
    pipeline.run()
ledger = pipeline.ledger()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert threading.active_count() == 1, threading.enumerate()
assert ledger.captured == ledger.delivered + sum(ledger.dropped.values()), ledger
print("dropped", ledger.dropped["abort"] > 0)
sys.exit(caught.exit_code)
"""


def run(name: str, sends: int, pause_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, name, str(sends), str(pause_s)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_first_signal_drains(name: str, code: int) -> None:
    ended = run(name, sends=1, pause_s=0.005)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert sorted(ended.stdout.splitlines()) == ["dropped False", "file closed", "source closed"]


def test_the_second_signal_aborts_and_still_closes() -> None:
    ended = run("SIGINT", sends=2, pause_s=0.1)
    assert (ended.returncode, ended.stderr) == (130, "")
    assert sorted(ended.stdout.splitlines()) == ["dropped True", "file closed", "source closed"]


def test_handlers_come_back_and_a_quiet_block_has_no_exit_code() -> None:
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(number) for number in numbers]
    with stop_on_signals(Pipeline(), deadline_s=1) as caught:
        assert not {signal.getsignal(number) for number in numbers} & set(before)
    assert [signal.getsignal(number) for number in numbers] == before
    assert caught.exit_code is None


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(Pipeline(), deadline_s=1) as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert caught.exit_code is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_wakes_a_main_thread_in_wait(parts: SimpleNamespace) -> None:
    source, sink = parts.made(parts.Blocked, 3), parts.made(parts.Collect)
    pipeline = Pipeline(grace_s=60)
    items = pipeline.add_source("camera", source, capacity=1, policy="block")
    pipeline.add_sink("file", sink, [items])
    with stop_on_signals(pipeline, deadline_s=60) as caught:
        parts.run_with_signal(pipeline, source, signal.SIGTERM)
    assert caught.exit_code == 143
    assert (sink.it.items, sink.it.closed) == ([0, 1, 2], 1)


def test_in_another_thread_the_block_runs_without_handlers() -> None:
    seen: list[object] = []

    def act() -> None:
        with stop_on_signals(Pipeline(), deadline_s=1) as caught:
            seen.append(caught.exit_code)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert seen == [None]
