"""Several readers of one output, and readers of one source behind a stage for many."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from streamseg.pipeline import Output, Pipeline

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestSeveralReaders:
    def test_each_gets_everything_and_copies_count_as_created(self, p) -> None:
        one, two, three = (p.made(p.Collect) for _ in range(3))
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 20), capacity=2, policy="block")
        pipeline.add_sink("one", one, [items])
        pipeline.add_sink("two", two, [items.tap(capacity=5)])
        pipeline.add_sink("three", three, [items])
        p.run_within_deadline(pipeline)
        assert one.it.items == two.it.items == three.it.items == list(range(20))
        p.assert_balanced(pipeline, captured=20, delivered=60)
        assert pipeline.ledger().created == 40
        assert pipeline.output_stats("camera").yielded == 20

    def test_a_slow_one_that_drops_holds_up_nobody(self, p) -> None:
        gate = threading.Event()
        fast, slow = p.made(p.Collect), p.made(p.Collect, gate=gate)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 100), capacity=2, policy="block")
        pipeline.add_sink("slow", slow, [items.tap(capacity=1, policy="drop_oldest")])
        pipeline.add_sink("fast", fast, [items])
        pipeline.start()
        p.wait_for(lambda: fast.it is not None and fast.it.closed)
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        assert fast.it.items == list(range(100))
        assert slow.it.items[-1] == 99
        p.assert_balanced(
            pipeline,
            captured=100,
            delivered=100 + len(slow.it.items),
            overrun=100 - len(slow.it.items),
        )

    def test_who_drops_is_served_before_who_blocks(self, p) -> None:
        gate, camera = threading.Event(), p.Fed("a")
        preview, file = p.made(p.Collect), p.made(p.Collect, gate=gate)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", camera, capacity=1, policy="block")
        pipeline.add_sink("file", file, [items])
        pipeline.add_sink("preview", preview, [items.tap(policy="drop_oldest")])
        pipeline.start()
        for number in range(3):
            camera.push(number)
            p.wait_for(lambda n=number: preview.it is not None and len(preview.it.items) == n + 1)
        p.wait_for(lambda: pipeline.channel_stats("file")["camera → file"].waiting == 1)
        camera.finish()
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        assert preview.it.items == file.it.items == [("a", 0), ("a", 1), ("a", 2)]

    def test_one_part_may_read_an_output_twice(self, p) -> None:
        sink = p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 5), capacity=2, policy="block")
        pipeline.add_sink("file", sink, [items, items])
        p.run_within_deadline(pipeline)
        assert sorted(sink.it.items) == sorted([*range(5), *range(5)])

    def test_of_needs_source_of(self) -> None:
        with pytest.raises(ValueError, match="'track' was added without source_of"):
            Output[int]("track", 1, "block").of("a")
        with pytest.raises(ValueError, match="capacity is 0"):
            Output[int]("track", 0, "block")


class TestOneSourceOfMany:
    def test_each_render_part_gets_its_own(self, p) -> None:
        cameras = p.Cameras(stays_open=False)
        for name in "ab":
            cameras.add(name).push(*range(10))
        cameras.pipeline.start()
        for source in cameras.sources.values():
            source.finish()
        assert cameras.pipeline.wait(DEADLINE_S)
        assert cameras.numbers("a") == cameras.numbers("b") == list(range(10))
        p.assert_balanced(cameras.pipeline, captured=20, delivered=20)

    def test_a_stalled_one_that_drops_holds_up_nobody(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras(stays_open=False)
        a, b = cameras.add("a", policy="drop_oldest", capacity=1, gate=gate), cameras.add("b")
        cameras.pipeline.start()
        for number in range(50):  # b gets through with each item, so segment and track take a's as well
            a.push(number)
            b.push(number)
            p.wait_for(lambda n=number: "b" in cameras.files and cameras.numbers("b")[-1:] == [n])
        a.finish()
        b.finish()
        gate.set()
        assert cameras.pipeline.wait(DEADLINE_S)
        assert cameras.numbers("b") == list(range(50))
        overrun = cameras.pipeline.ledger().dropped["overrun"]
        assert overrun == 50 - len(cameras.numbers("a")) > 30
        assert cameras.numbers("a")[-1] == 49

    def test_a_stalled_one_that_blocks_holds_up_its_own_source_only(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras(stays_open=False)
        a, b = cameras.add("a", gate=gate), cameras.add("b")
        cameras.pipeline.start()
        a.push(*range(200))
        a.finish()
        for number in range(100):
            b.push(number)
            p.wait_for(lambda n=number: "b" in cameras.files and cameras.numbers("b")[-1:] == [n])
        captured = cameras.pipeline.output_stats("a").yielded
        # Two at each of four channels, one in each part's hands, and what was under way in the
        # stages between: batches of four, held, in the channel between, in the next.
        assert captured <= 8 + 5 + 4 * 4
        assert cameras.depth("render a") > 2, "what was under way went beyond the capacity"
        b.finish()
        p.wait_for(lambda: cameras.files["b"].closed)
        gate.set()
        assert cameras.pipeline.wait(DEADLINE_S)
        assert cameras.numbers("a") == list(range(200)), "nothing is lost"
        p.assert_balanced(cameras.pipeline, captured=300, delivered=300)

    def test_the_file_of_a_source_that_ends_is_closed_while_others_go_on(self, p) -> None:
        cameras = p.Cameras()
        a, b = cameras.add("a"), cameras.add("b")
        cameras.pipeline.start()
        a.push(*range(5))
        a.finish()
        p.wait_for(lambda: "a" in cameras.files and cameras.files["a"].closed)
        assert cameras.numbers("a") == list(range(5)), "also what segment held back"
        assert cameras.segment.calls.count("forget a") == cameras.track.calls.count("forget a") == 1
        b.push(7)
        p.wait_for(lambda: cameras.numbers("b") == [7])
        assert "forget b" not in cameras.track.calls
        cameras.pipeline.stop()
        assert cameras.pipeline.wait(DEADLINE_S)

    def test_an_abort_frees_a_source_that_is_held_back(self, p) -> None:
        gate, cameras = threading.Event(), p.Cameras(stays_open=False)
        cameras.add("a", gate=gate).push(*range(200))
        cameras.pipeline.start()
        p.wait_for(lambda: sum(s.waiting for s in cameras.pipeline.channel_stats("segment").values()) == 1)
        cameras.pipeline.abort()
        gate.set()
        assert cameras.pipeline.wait(DEADLINE_S)
        assert cameras.pipeline.ledger().balances

    def test_what_no_reader_wants_is_counted(self, p) -> None:
        cameras = p.Cameras()
        cameras.add("a").push(0, 1, 2)
        stray = p.Fed("stray")
        frames = cameras.pipeline.add_source("stray", stray, capacity=1, policy="block")
        cameras.pipeline.attach("segment", [frames])
        cameras.pipeline.start()
        stray.push(0, 1)
        p.wait_for(lambda: cameras.pipeline.output_stats("track").unread == 2)
        p.wait_for(lambda: cameras.numbers("a") == [0, 1, 2])
        cameras.pipeline.stop()
        assert cameras.pipeline.wait(DEADLINE_S)
        p.assert_balanced(cameras.pipeline, captured=5, delivered=3, unread=2)

    def test_the_same_source_by_two_ways_ends_once(self, p) -> None:
        camera, shared, sink = p.Fed("a"), p.Shared(), p.made(p.Collect)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        frames = pipeline.add_source("a", camera, capacity=4, policy="block")
        ways = [
            pipeline.add_stage(name, p.Shared, [frames], capacity=4, policy="block") for name in ("x", "y")
        ]
        joined = pipeline.add_stage("join", lambda: shared, ways, capacity=4, policy="block")
        pipeline.add_sink("file", sink, [joined])
        pipeline.start()
        camera.push(1, 2)
        camera.finish()
        assert pipeline.wait(DEADLINE_S)
        assert shared.calls.count("forget a") == 1
        assert sorted(sink.it.items) == [("a", 1), ("a", 1), ("a", 2), ("a", 2)]
        p.assert_balanced(pipeline, captured=2, delivered=4)
