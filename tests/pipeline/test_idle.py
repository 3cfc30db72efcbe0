"""Batches, a stage that hands over early what it holds, and a part's wish to stop: consumer.py, parts.py."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from streamseg.pipeline import Pipeline, StopPipeline

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestBatches:
    def test_one_source_fills_a_batch_alone_and_shares_it_with_others(self, p) -> None:
        """The stage is held in its first batch until everything else waits."""
        entered, go_on = threading.Event(), threading.Event()

        class Held(p.Shared):
            def process(self, items):
                entered.set()
                go_on.wait()
                return super().process(items)

        stage, a, b = Held(), p.Fed("a"), p.Fed("b")
        pipeline = Pipeline(grace_s=DEADLINE_S)
        inputs = [pipeline.add_source(s.name, s, capacity=8, policy="block") for s in (a, b)]
        out = pipeline.add_stage("segment", lambda: stage, inputs, batch=8, capacity=8, policy="block")
        pipeline.add_sink("file", p.Collect, [out])
        pipeline.start()
        a.push(0)
        assert entered.wait(DEADLINE_S)
        a.push(*range(1, 8))
        b.push(0)
        p.wait_for(lambda: sum(s.depth for s in pipeline.channel_stats("segment").values()) == 8)
        go_on.set()
        for source in (a, b):
            source.finish()
        assert pipeline.wait(DEADLINE_S)
        assert stage.batches[0] == [("a", 0)]
        assert sorted(stage.batches[1]) == [*(("a", n) for n in range(1, 8)), ("b", 0)]
        assert ("b", 0) in stage.batches[1][:2], "in turns"
        assert len(stage.batches) == 2


class TestIdle:
    def test_what_is_under_way_is_handed_over_when_nothing_waits(self, p) -> None:
        cameras = p.Cameras(lag=True)
        a = cameras.add("a")
        cameras.pipeline.start()
        for number in range(3):
            a.push(number)
            p.wait_for(lambda n=number: "a" in cameras.files and cameras.numbers("a")[-1:] == [n])
        assert cameras.segment.calls == ["process", "idle"] * 3, "once each"
        cameras.pipeline.stop()
        assert cameras.pipeline.wait(DEADLINE_S)

    def test_while_more_waits_it_is_not_asked(self, p) -> None:
        stage = p.Shared(lag=True)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        entered, go_on = threading.Event(), threading.Event()
        camera = p.Fed("a")

        def change(items):
            entered.set()
            go_on.wait()
            return p.Shared.process(stage, items)

        stage.process = change
        items = pipeline.add_source("a", camera, capacity=8, policy="block")
        out = pipeline.add_stage("segment", lambda: stage, [items], capacity=8, policy="block")
        pipeline.add_sink("file", p.Collect, [out])
        pipeline.start()
        camera.push(*range(5))
        camera.finish()
        assert entered.wait(DEADLINE_S)
        p.wait_for(lambda: pipeline.part_stats("a")["phase"] == "ended")
        go_on.set()
        assert pipeline.wait(DEADLINE_S)
        # All five wait: none idles in between. Idle comes before forget, drain at the end.
        assert stage.calls == ["process"] * 5 + ["idle", "forget a", "drain", "close"]

    def test_what_idle_raises_is_the_stages_failure(self, p) -> None:
        class Broken(p.Shared):
            def idle(self):
                raise ValueError("collected nothing")

        camera = p.Fed("a")
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=8, policy="block")
        out = pipeline.add_stage("segment", Broken, [items], capacity=8, policy="block")
        pipeline.add_sink("file", p.Collect, [out])
        pipeline.start()
        camera.push(1)
        with pytest.raises(ValueError, match="collected nothing") as caught:
            pipeline.wait(DEADLINE_S)
        assert caught.value.__notes__ == ["raised in stage 'segment', running"]

    def test_a_held_back_source_counts_as_nothing_that_waits(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras(lag=True)
        cameras.add("a", gate=gate).push(*range(100))
        cameras.pipeline.start()

        def is_at_rest() -> bool:
            waiting = sum(stats.waiting for stats in cameras.pipeline.channel_stats("segment").values())
            return waiting == 1 and cameras.segment.calls[-1:] == ["idle"]

        p.wait_for(is_at_rest)
        cameras.pipeline.abort()
        gate.set()
        assert cameras.pipeline.wait(DEADLINE_S)


class TestStopPipeline:
    def test_a_sink_whose_window_is_closed(self, p) -> None:
        camera, other = p.Fed("a"), p.made(p.Collect)

        class Window(p.Collect):
            def process(self, items) -> None:
                super().process(items)
                raise StopPipeline(DEADLINE_S)

        window = p.made(Window)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=2, policy="block")
        pipeline.add_sink("window", window, [items])
        pipeline.add_sink("file", other, [items])
        pipeline.start()
        camera.push(1)
        assert pipeline.wait(DEADLINE_S)
        assert pipeline.failures == ()
        assert window.it.items == other.it.items == [("a", 1)]
        assert (window.it.closed, other.it.closed, camera.closed) == (1, 1, 1)
        p.assert_balanced(pipeline, captured=1, delivered=2)

    def test_also_when_the_callers_loop_is_the_outlet(self, p) -> None:
        camera = p.Fed("a")

        def render(item):
            yield item
            if item[1] == 2:
                raise StopPipeline

        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=1, policy="block")
        rendered = pipeline.add_stage("render", lambda: Lazy(render), [items], capacity=1, policy="block")
        results = pipeline.results([rendered])
        camera.push(0, 1, 2)
        assert list(results) == [("a", 0), ("a", 1), ("a", 2)]
        assert pipeline.failures == ()
        p.assert_balanced(pipeline, captured=3, delivered=3)

    def test_a_source_may_wish_it_too(self, p) -> None:
        first, second, sink = p.Fed("a"), p.Fed("b"), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        inputs = [pipeline.add_source(s.name, s, capacity=1, policy="block") for s in (first, second)]
        pipeline.add_sink("file", sink, inputs)
        pipeline.start()
        p.wait_for(lambda: second.opened)
        first.finish(StopPipeline())
        assert pipeline.wait(DEADLINE_S)
        assert (pipeline.failures, second.closed) == ((), 1)

    def test_its_deadline_turns_into_an_abort(self, p) -> None:
        gate, camera = threading.Event(), p.Fed("a")

        class Window(p.Collect):
            def process(self, items) -> None:
                raise StopPipeline(0.01)

        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=4, policy="block")
        pipeline.add_sink("stalled", p.made(p.Collect, gate=gate), [items])
        pipeline.add_sink("window", Window, [items])
        pipeline.start()
        camera.push(1, 2)
        p.wait_for(lambda: pipeline.state == "aborting")
        gate.set()
        assert pipeline.wait(DEADLINE_S)


class Lazy:
    """A stage of one generator."""

    def __init__(self, change) -> None:
        self.change = change

    def process(self, items):
        for item in items:
            yield from self.change(item)

    def drain(self):
        return ()

    def close(self) -> None:
        pass
