"""Adding and removing parts while the pipeline runs: graph.py, supervision.py."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest

from streamseg.pipeline import Pipeline

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


def threads_of_parts() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("streamseg")}


def end(pipeline: Pipeline) -> None:
    pipeline.stop()
    assert pipeline.wait(DEADLINE_S)
    ledger = pipeline.ledger()
    assert ledger.balances
    assert ledger.in_flight == 0


class TestAdding:
    def test_a_pipeline_may_begin_without_a_source(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        assert not cameras.pipeline.wait(0.01)
        cameras.add("late").push(1, 2, 3)
        p.wait_for(lambda: "late" in cameras.files and cameras.numbers("late") == [1, 2, 3])
        end(cameras.pipeline)
        assert cameras.files["late"].closed == 1
        assert cameras.segment.calls[-1] == "close"

    def test_a_source_joins_the_batches_of_a_running_stage(self, p) -> None:
        cameras = p.Cameras(stays_open=False)
        a = cameras.add("a")
        cameras.pipeline.start()
        a.push(0)
        p.wait_for(lambda: "a" in cameras.files and cameras.numbers("a") == [0])
        b = cameras.add("b")
        b.push(1)
        p.wait_for(lambda: "b" in cameras.files and cameras.numbers("b") == [1])
        a.finish()
        b.finish()
        assert cameras.pipeline.wait(DEADLINE_S)
        p.assert_balanced(cameras.pipeline, captured=2, delivered=2)

    def test_a_source_is_opened_when_it_has_a_reader(self, p) -> None:
        cameras, source = p.Cameras(), p.Fed("a")
        cameras.pipeline.start()
        frames = cameras.pipeline.add_source("a", source, capacity=1, policy="block")
        assert not cameras.pipeline.wait(0.02)
        assert source.opened == 0
        cameras.pipeline.attach("segment", [frames])
        p.wait_for(lambda: source.opened == 1)
        end(cameras.pipeline)

    def test_a_new_reader_gets_what_comes_from_then_on(self, p) -> None:
        camera, first, second = p.Fed("a"), p.made(p.Collect), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=4, policy="block")
        pipeline.add_sink("first", first, [items])
        pipeline.start()
        camera.push(0)
        p.wait_for(lambda: first.it is not None and len(first.it.items) == 1)
        pipeline.add_sink("second", second, [items])
        camera.push(1)
        camera.finish()
        assert pipeline.wait(DEADLINE_S)
        assert (first.it.items, second.it.items) == ([("a", 0), ("a", 1)], [("a", 1)])

    def test_a_reader_of_what_has_ended_ends(self, p) -> None:
        camera, late = p.Fed("a"), p.made(p.Collect)
        cameras = p.Cameras()
        cameras.add("a", source=camera).finish()
        cameras.pipeline.start()
        p.wait_for(lambda: "a" in cameras.files and cameras.files["a"].closed)
        cameras.pipeline.add_sink("late", late, [cameras.tracked.of("a")])
        p.wait_for(lambda: late.it is not None and late.it.closed)
        end(cameras.pipeline)

    def test_the_loop_gets_a_new_source(self, p) -> None:
        pipeline = Pipeline(grace_s=DEADLINE_S)
        a, b = p.Fed("a"), p.Fed("b")
        results = pipeline.results([pipeline.add_source("a", a, capacity=1, policy="block")])
        a.push(0)
        assert next(results) == ("a", 0)
        pipeline.attach("results", [pipeline.add_source("b", b, capacity=1, policy="block")])
        b.push(1)
        assert next(results) == ("b", 1)
        a.finish()
        b.finish()
        assert list(results) == []

    def test_a_circle_is_refused(self, p) -> None:
        cameras = p.Cameras()
        with pytest.raises(ValueError, match="stage 'segment' cannot read 'track'"):
            cameras.pipeline.attach("segment", [cameras.tracked])
        assert cameras.pipeline.channel_stats("segment") == {}

    def test_names_that_are_not_there_or_not_free(self, p) -> None:
        cameras = p.Cameras()
        cameras.add("a")
        with pytest.raises(ValueError, match="already has a part named 'a'"):
            cameras.pipeline.add_source("a", p.Fed("a"), capacity=1, policy="block")
        with pytest.raises(ValueError, match="no part named 'b'"):
            cameras.pipeline.remove("b")
        with pytest.raises(ValueError, match="no part named 'b'"):
            cameras.pipeline.part_stats("b")
        with pytest.raises(ValueError, match="source 'a' has no inputs"):
            cameras.pipeline.attach("a", [cameras.tracked])

    def test_after_the_end_nothing_can_be_added(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        end(cameras.pipeline)
        with pytest.raises(RuntimeError, match="nothing can be added"):
            cameras.add("a")

    def test_a_stop_during_an_add(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        opening, go_on = threading.Event(), threading.Event()

        def slow_file():
            opening.set()
            go_on.wait()
            return p.Collect()

        source = p.Fed("a")
        cameras.pipeline.add_sink("file a", slow_file, [cameras.tracked.of("a")])
        frames = cameras.pipeline.add_source("a", source, capacity=1, policy="block")
        cameras.pipeline.attach("segment", [frames])
        assert opening.wait(DEADLINE_S)
        cameras.pipeline.stop()
        go_on.set()
        assert cameras.pipeline.wait(DEADLINE_S)
        assert source.opened == 0, "nothing is captured after a stop"

    def test_no_thread_to_be_had_leaves_everything_as_it_was(self, p, monkeypatch) -> None:
        cameras = p.Cameras()
        cameras.add("a")
        cameras.pipeline.start()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start"):
                cameras.pipeline.add_sink("file b", p.Collect, [cameras.tracked.of("b")])
        assert "file b" not in cameras.pipeline
        cameras.sources["a"].push(1)
        p.wait_for(lambda: "a" in cameras.files and cameras.numbers("a") == [1])
        end(cameras.pipeline)


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class TestRemoving:
    def test_what_a_source_captured_reaches_its_file_and_nothing_is_held(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        before = threads_of_parts()
        cameras.add("a").push(*range(20))
        p.wait_for(lambda: cameras.pipeline.output_stats("a").yielded == 20)
        file, source = cameras.files["a"], cameras.sources["a"]
        held = [
            weakref.ref(w) for n, w in cameras.pipeline._supervision.graph.workers.items() if "a" in n.split()
        ]
        links = [weakref.ref(link) for w in held for link in (*w().inputs, *w().outputs)]
        assert (len(held), len(links)) == (3, 4)
        cameras.pipeline.remove("a")
        for name in ("a", "render a", "file a"):
            p.wait_for(lambda name=name: name not in cameras.pipeline)
        assert [number for _, number in file.items] == list(range(20))
        assert (file.closed, source.closed) == (1, 1)
        p.wait_for(lambda: threads_of_parts() == before)
        cameras.files.clear()
        cameras.sources.clear()
        cameras.ever_opened.clear()
        del file, source
        gc.collect()
        assert not [ref for ref in (*held, *links) if ref() is not None]
        assert set(cameras.pipeline.snapshot()["parts"]) == {"segment", "track"}
        assert cameras.pipeline.ledger().delivered == 20
        end(cameras.pipeline)

    def test_its_name_can_be_used_again(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        for round_ in range(3):
            cameras.add("a").push(round_)
            p.wait_for(lambda n=round_: "a" in cameras.files and cameras.numbers("a") == [n])
            assert cameras.pipeline.remove("a", timeout=DEADLINE_S)
            p.wait_for(lambda: "file a" not in cameras.pipeline)
            del cameras.files["a"]
        end(cameras.pipeline)
        p.assert_balanced(cameras.pipeline, captured=3, delivered=3)

    def test_while_it_drains_the_name_is_taken(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras()
        cameras.pipeline.start()
        cameras.add("a", gate=gate).push(1)
        p.wait_for(lambda: cameras.pipeline.part_stats("file a")["items_in"] == 1)
        assert cameras.pipeline.remove("file a", timeout=0.01) is False
        with pytest.raises(ValueError, match="still removing a part named 'file a'"):
            cameras.pipeline.add_sink("file a", p.Collect, [cameras.tracked.of("a")])
        gate.set()
        assert cameras.pipeline.remove("file a", timeout=DEADLINE_S)
        end(cameras.pipeline)

    def test_a_sink_leaves_and_the_others_go_on(self, p) -> None:
        camera, one, two = p.Fed("a"), p.made(p.Collect), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=4, policy="block")
        pipeline.add_sink("one", one, [items])
        pipeline.add_sink("two", two, [items])
        pipeline.start()
        camera.push(0)
        p.wait_for(lambda: two.it is not None and two.it.items)
        assert pipeline.remove("two", timeout=DEADLINE_S)
        assert two.it.closed == 1
        camera.push(1)
        camera.finish()
        assert pipeline.wait(DEADLINE_S)
        assert (one.it.items, two.it.items) == ([("a", 0), ("a", 1)], [("a", 0)])
        p.assert_balanced(pipeline, captured=2, delivered=3)

    def test_a_put_that_waits_for_it_goes_through(self, p) -> None:
        gate, camera = threading.Event(), p.Fed("a")
        stalled, other = p.made(p.Collect, gate=gate), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=1, policy="block")
        pipeline.add_sink("stalled", stalled, [items])
        pipeline.add_sink("other", other, [items])
        pipeline.start()
        camera.push(*range(10))
        p.wait_for(
            lambda: [(s.taken, s.waiting) for s in pipeline.channel_stats("stalled").values()] == [(1, 1)]
        )
        assert pipeline.remove("stalled", timeout=0.0) is False
        p.wait_for(lambda: len(other.it.items) == 10)
        gate.set()
        assert pipeline.remove("stalled", timeout=DEADLINE_S)
        assert stalled.it.items == [("a", n) for n in range(3)], "what it was handed"
        end(pipeline)
        p.assert_balanced(pipeline, captured=10, delivered=13)

    def test_without_draining_what_waits_is_dropped_and_counted(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras()
        cameras.pipeline.start()
        cameras.add("a", gate=gate, capacity=8).push(*range(6))
        b = cameras.add("b")
        p.wait_for(lambda: cameras.depth("render a") == 3)  # one in the file, one before it, one in render
        cameras.pipeline.remove("render a", drain=False)
        cameras.pipeline.remove("file a", drain=False)
        gate.set()
        p.wait_for(lambda: "file a" not in cameras.pipeline and "render a" not in cameras.pipeline)
        b.push(1)
        p.wait_for(lambda: cameras.numbers("b") == [1])
        ledger = cameras.pipeline.ledger()
        assert ledger.balances
        assert ledger.dropped["removed"] >= 4
        end(cameras.pipeline)
        assert cameras.segment.calls[-2:] == ["drain", "close"], "the shared stages were not aborted"

    def test_a_stage_leaves_with_what_only_it_feeds(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        a = cameras.add("a")
        a.push(0)
        p.wait_for(lambda: "a" in cameras.files and cameras.numbers("a") == [0])
        cameras.pipeline.remove("render a")
        p.wait_for(lambda: "render a" not in cameras.pipeline and "file a" not in cameras.pipeline)
        assert cameras.files["a"].closed == 1
        a.push(1)
        p.wait_for(lambda: cameras.pipeline.output_stats("track").unread == 1)
        assert "a" in cameras.pipeline
        end(cameras.pipeline)

    def test_what_stays_open_stays_until_it_is_removed(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        cameras.add("a").push(0)
        p.wait_for(lambda: "a" in cameras.files and cameras.numbers("a") == [0])
        cameras.pipeline.remove("a")
        p.wait_for(lambda: "file a" not in cameras.pipeline)
        assert not cameras.pipeline.wait(0.01)
        cameras.pipeline.remove("segment")
        assert cameras.pipeline.wait(DEADLINE_S)
        assert cameras.pipeline.snapshot()["parts"] == {}

    def test_before_the_start_it_is_as_if_it_had_not_been_added(self, p) -> None:
        cameras = p.Cameras()
        source = cameras.add("a")
        assert cameras.pipeline.remove("a")
        assert "file a" not in cameras.pipeline
        cameras.add("b").push(1)
        cameras.pipeline.start()
        p.wait_for(lambda: "b" in cameras.files and cameras.numbers("b") == [1])
        end(cameras.pipeline)
        assert (source.opened, set(cameras.files)) == (0, {"b"})

    def test_an_input_can_be_detached_and_attached_again(self, p) -> None:
        camera, sink = p.Fed("a"), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=4, policy="block")
        pipeline.add_sink("file", sink, [items], stays_open=True)
        pipeline.start()
        camera.push(0)
        p.wait_for(lambda: sink.it is not None and len(sink.it.items) == 1)
        pipeline.detach("file", items)
        camera.push(1)
        p.wait_for(lambda: pipeline.output_stats("a").unread == 1)
        with pytest.raises(ValueError, match="sink 'file' does not read"):
            pipeline.detach("file", items)
        pipeline.attach("file", [items])
        camera.push(2)
        p.wait_for(lambda: len(sink.it.items) == 2)
        end(pipeline)
        p.assert_balanced(pipeline, captured=3, delivered=2, unread=1)

    def test_an_abort_during_a_removal(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras()
        cameras.pipeline.start()
        cameras.add("a", gate=gate).push(*range(50))
        p.wait_for(lambda: cameras.depth("render a") > 0)
        cameras.pipeline.remove("a")
        cameras.pipeline.abort()
        gate.set()
        assert cameras.pipeline.wait(DEADLINE_S)
        ledger = cameras.pipeline.ledger()
        assert ledger.balances
        assert ledger.in_flight == 0
        assert cameras.files["a"].closed == 1

    def test_a_source_that_does_not_heed_is_not_waited_for(self, p) -> None:
        deaf, sink = p.made(p.Blocked, 3, deaf=True), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("deaf", deaf, capacity=4, policy="block")
        pipeline.add_sink("file", sink, [items])
        pipeline.start()
        p.wait_for(lambda: deaf.it is not None and deaf.it.blocked.is_set())
        assert pipeline.remove("deaf", timeout=0.01) is False
        p.wait_for(lambda: sink.it.closed)
        assert sink.it.items == [0, 1, 2]
        deaf.it.release.set()
        assert pipeline.wait(DEADLINE_S)
        assert "deaf" not in pipeline

    def test_a_part_may_ask_for_its_own_removal_but_not_wait_for_it(self, p) -> None:
        camera, seen = p.Fed("a"), []

        class OneShot(p.Collect):
            def process(self, items) -> None:
                super().process(items)
                with pytest.raises(RuntimeError, match="would wait for itself"):
                    pipeline.remove("once", timeout=None)
                seen.append(pipeline.remove("once"))

        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("a", camera, capacity=4, policy="block")
        pipeline.add_sink("file", p.Collect, [items])
        pipeline.add_sink("once", OneShot, [items])
        pipeline.start()
        camera.push(0)
        p.wait_for(lambda: "once" not in pipeline)
        assert seen == [False]
        end(pipeline)

    def test_the_failure_of_a_removed_part_is_kept_without_its_memory(self, p) -> None:
        cameras = p.Cameras()
        cameras.pipeline.start()
        cameras.add("a", fail_at=1, on_error="isolate").push(0, 1, 2)
        p.wait_for(lambda: cameras.pipeline.failures and cameras.files["a"].closed)
        held = weakref.ref(cameras.files["a"])
        cameras.pipeline.remove("a")
        p.wait_for(lambda: "file a" not in cameras.pipeline and "render a" not in cameras.pipeline)
        p.wait_for(lambda: not [name for name in threads_of_parts() if name.endswith("a'")])
        cameras.files.clear()
        cameras.ever_opened.clear()
        gc.collect()
        assert held() is None
        cameras.pipeline.stop()
        with pytest.raises(OSError, match="No space left") as caught:
            cameras.pipeline.wait(DEADLINE_S)
        assert caught.value.__notes__ == ["raised in sink 'file a', running"]
        assert "in process\n" in cameras.pipeline.failures[0].trace
