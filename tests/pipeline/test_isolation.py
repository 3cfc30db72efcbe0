"""One dead part among many: `on_error` of sources, stages and sinks; the log of failures."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from streamseg.errors import EngineError, SourceError
from streamseg.pipeline import Pipeline
from streamseg.pipeline.failures import FAILURES_KEPT

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestIsolatedSink:
    def test_it_is_shown_and_the_others_go_on(self, p) -> None:
        cameras = p.Cameras(stays_open=False)
        a, b = cameras.add("a", fail_at=2, on_error="isolate"), cameras.add("b", on_error="isolate")
        cameras.pipeline.start()
        a.push(*range(10))
        p.wait_for(lambda: cameras.pipeline.failures)
        shot = cameras.pipeline.snapshot()
        assert shot["failures"] == ["sink 'file a', running: OSError: [Errno 28] No space left on device"]
        assert (shot["failed"], shot["state"]) == (1, "running")
        for number in range(20):
            b.push(number)
            p.wait_for(lambda n=number: cameras.numbers("b")[-1:] == [n])
        b.finish()
        with pytest.raises(OSError, match="No space left"):
            cameras.pipeline.wait(DEADLINE_S)
        assert cameras.numbers("b") == list(range(20))
        assert (cameras.numbers("a"), cameras.files["a"].closed) == ([0, 1], 1)
        ledger = cameras.pipeline.ledger()
        assert ledger.balances
        assert ledger.in_flight == 0
        assert ledger.dropped["error"] >= 1

    def test_a_source_that_nobody_is_left_for_stops(self, p) -> None:
        cameras = p.Cameras()
        a, b = cameras.add("a", fail_at=0, on_error="isolate"), cameras.add("b")
        cameras.pipeline.start()
        a.push(1)
        p.wait_for(lambda: a.closed)
        assert b.closed == 0
        cameras.pipeline.stop()
        with pytest.raises(OSError, match="No space left"):
            cameras.pipeline.wait(DEADLINE_S)

    def test_a_source_with_another_reader_goes_on(self, p) -> None:
        broken, healthy = p.made(p.Collect, fail_at=1), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 30), capacity=1, policy="block")
        pipeline.add_sink("broken", broken, [items], on_error="isolate")
        pipeline.add_sink("healthy", healthy, [items])
        with pytest.raises(OSError, match="No space left"):
            p.run_within_deadline(pipeline)
        assert healthy.it.items == list(range(30))
        ledger = pipeline.ledger()
        assert (ledger.captured, ledger.delivered) == (30, 31)
        assert ledger.balances

    def test_all_dead_end_the_pipeline(self, p) -> None:
        source = p.made(p.Numbers, 10**9)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", source, capacity=1, policy="block")
        for name in ("one", "two"):
            pipeline.add_sink(name, p.made(p.Collect, fail_at=3), [items], on_error="isolate")
        with pytest.raises(OSError, match="No space left") as caught:
            p.run_within_deadline(pipeline)
        assert len(caught.value.__notes__) == 2
        assert source.it.closed == 1

    def test_a_factory_that_raises_is_isolated_too(self, p) -> None:
        def refuse():
            raise OSError("read-only")

        healthy, camera = p.made(p.Collect), p.Fed("a")
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=1, policy="block")
        pipeline.add_sink("broken", refuse, [items], on_error="isolate")
        pipeline.add_sink("healthy", healthy, [items])
        pipeline.start()
        camera.push(1, 2)
        camera.finish()
        with pytest.raises(OSError, match="read-only"):
            pipeline.wait(DEADLINE_S)
        assert healthy.it.items == [("a", 1), ("a", 2)]

    def test_a_dead_one_gets_no_new_input(self, p) -> None:
        cameras = p.Cameras()
        cameras.add("a", fail_at=0, on_error="isolate").push(1)
        cameras.pipeline.start()
        p.wait_for(lambda: "a" in cameras.files and cameras.files["a"].closed)
        with pytest.raises(RuntimeError, match="sink 'file a' has ended"):
            cameras.pipeline.attach("file a", [cameras.tracked.of("a")])
        cameras.pipeline.abort()
        with pytest.raises(OSError, match="No space left"):
            cameras.pipeline.wait(DEADLINE_S)

    def test_stop_drains_everyone_else(self, p) -> None:
        cameras = p.Cameras()
        a, b = cameras.add("a", fail_at=1, on_error="stop"), cameras.add("b")
        cameras.pipeline.start()
        b.push(0, 1, 2)
        p.wait_for(lambda: "b" in cameras.files and len(cameras.numbers("b")) == 3)
        a.push(0, 1)
        with pytest.raises(OSError, match="No space left"):
            cameras.pipeline.wait(DEADLINE_S)
        assert cameras.numbers("b") == [0, 1, 2]
        assert cameras.segment.calls[-2:] == ["drain", "close"]


def test_an_isolated_render_part_closes_its_file_properly(p) -> None:
    def change(item):
        if item[1] == 2:
            raise EngineError("no canvas")
        return [item]

    camera, sink = p.Fed("a"), p.made(p.Collect)
    pipeline = Pipeline(grace_s=DEADLINE_S)
    items = pipeline.add_source("a", camera, capacity=1, policy="block")
    rendered = pipeline.add_stage(
        "render", lambda: p.Work(change), [items], capacity=4, policy="block", on_error="isolate"
    )
    pipeline.add_sink("file", sink, [rendered])
    pipeline.start()
    camera.push(*range(5))
    with pytest.raises(EngineError, match="no canvas"):
        pipeline.wait(DEADLINE_S)
    assert (sink.it.items, sink.it.closed) == ([("a", 0), ("a", 1)], 1)
    assert pipeline.ledger().balances


def test_a_source_may_abort_everything(p) -> None:
    gate, camera = threading.Event(), p.Fed("a")
    pipeline = Pipeline(grace_s=DEADLINE_S)
    items = pipeline.add_source("a", camera, capacity=2, policy="block", on_error="abort")
    pipeline.add_sink("file", p.made(p.Collect, gate=gate), [items])
    pipeline.start()
    camera.push(0, 1, 2)
    camera.finish(SourceError("lost"))
    p.wait_for(lambda: pipeline.state == "aborting")
    gate.set()
    with pytest.raises(SourceError, match="lost"):
        pipeline.wait(DEADLINE_S)
    assert pipeline.ledger().dropped["abort"] == 2


@pytest.mark.slow
def test_failures_are_bounded_and_counted(p) -> None:
    cameras = p.Cameras()
    cameras.pipeline.start()
    for number in range(FAILURES_KEPT + 20):
        cameras.add("a").finish(SourceError(f"lost {number}"))
        p.wait_for(lambda: cameras.sources["a"].closed)
        assert cameras.pipeline.remove("a", timeout=DEADLINE_S)
        p.wait_for(lambda: "file a" not in cameras.pipeline)
    failures = cameras.pipeline.failures
    assert len(failures) == FAILURES_KEPT
    assert (str(failures[0].error), str(failures[-1].error)) == ("lost 0", f"lost {FAILURES_KEPT + 19}")
    assert cameras.pipeline.snapshot()["failed"] == FAILURES_KEPT + 20
    cameras.pipeline.stop()
    with pytest.raises(SourceError, match="lost 0") as caught:
        cameras.pipeline.wait(DEADLINE_S)
    assert len(caught.value.__notes__) == FAILURES_KEPT
