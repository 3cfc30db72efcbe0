"""Work beside a pipeline: it is interrupted, waited for, and what it raises is heard."""

from __future__ import annotations

import threading

import pytest

from streamseg.pipeline import StuckStage
from streamseg.pipeline.side_thread import SideThread


def test_it_runs_until_it_is_interrupted() -> None:
    asked, ran_in = threading.Event(), []

    def body() -> None:
        ran_in.append(threading.current_thread().name)
        asked.wait()

    thread = SideThread("server", body, asked.set)
    thread.start()
    thread.stop()
    thread.stop()
    assert ran_in == ["streamseg server"]


def test_what_it_raises_is_raised_once_at_its_end() -> None:
    def body() -> None:
        raise OSError("no port")

    thread = SideThread("server", body, lambda: None)
    thread.start()
    with pytest.raises(OSError, match="no port"):
        thread.stop()
    thread.stop()


def test_one_that_was_never_started_is_stopped_without_a_word() -> None:
    SideThread("server", lambda: None, lambda: pytest.fail("nobody is there")).stop()


def test_one_that_is_stuck_is_named() -> None:
    gate = threading.Event()
    thread = SideThread("deaf", gate.wait, lambda: None)  # type: ignore[arg-type]
    thread.start()
    with pytest.raises(StuckStage, match=r"stuck 0\.05 s after the end: streamseg deaf"):
        thread.stop(0.05)
    gate.set()
    thread.stop()
