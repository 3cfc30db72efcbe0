"""The contract in streamseg/pipeline/__init__.py, clause by clause, with a deadline for each."""

from __future__ import annotations

import signal
import threading
import time
from types import SimpleNamespace

import pytest

from streamseg.errors import CorruptSource
from streamseg.pipeline import Pipeline

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestSuccess:
    def test_everything_arrives_in_order(self, p) -> None:
        source, stage, sink = p.made(p.Numbers, 100), p.made(p.Work, lambda n: [10 * n]), p.made(p.Collect)
        pipeline = p.build(source, stage, sink)
        p.run_within_deadline(pipeline)
        assert sink.it.items == [10 * n for n in range(100)]
        assert (source.it.closed, sink.it.closed) == (1, 1)
        assert pipeline.state == "ended"
        assert pipeline.failures == ()
        p.assert_balanced(pipeline, captured=100, delivered=100)

    def test_a_source_without_items(self, p) -> None:
        sink = p.made(p.Collect)
        pipeline = p.build(p.made(p.Numbers, 0), p.made(p.Work), sink)
        pipeline.run()
        assert (sink.it.items, sink.it.closed) == ([], 1)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_what_a_stage_holds_is_drained_before_it_closes(self, p, batch) -> None:
        stage, sink = p.made(p.Work, lag=True), p.made(p.Collect)
        pipeline = p.build(p.made(p.Numbers, 10), stage, sink, batch=batch)
        p.run_within_deadline(pipeline)
        assert sink.it.items == list(range(10))
        assert stage.it.calls[-2:] == ["drain", "close"]
        p.assert_balanced(pipeline, captured=10, delivered=10)

    def test_each_part_is_opened_used_and_closed_in_a_thread_of_its_own(self, p) -> None:
        made = p.made(p.Numbers, 1), p.made(p.Work), p.made(p.Collect)
        p.build(*made).run()  # close() of the parts asserts the thread too
        assert len({part.it.opened_in for part in made} | {threading.current_thread()}) == 4

    def test_a_filter_is_accounted_as_absorbed(self, p) -> None:
        pipeline = p.build(
            p.made(p.Numbers, 10), p.made(p.Work, lambda n: [n] if n % 2 else []), p.made(p.Collect)
        )
        p.run_within_deadline(pipeline)
        p.assert_balanced(pipeline, captured=10, delivered=5, absorbed=5)

    def test_a_multiplier_is_accounted_as_created(self, p) -> None:
        pipeline = p.build(p.made(p.Numbers, 10), p.made(p.Work, lambda n: [n, n, n]), p.made(p.Collect))
        p.run_within_deadline(pipeline)
        assert pipeline.ledger().created == 20
        p.assert_balanced(pipeline, captured=10, delivered=30)

    def test_sources_are_opened_when_everyone_else_is_ready(self, p) -> None:
        order: list[str] = []

        def slow_stage():
            time.sleep(0.05)
            order.append("stage")
            return p.Work()

        def source():
            order.append("source")
            return p.Numbers(1)

        p.build(source, slow_stage, p.made(p.Collect)).run()
        assert order == ["stage", "source"]


class TestResults:
    def test_the_loop_is_the_sink(self, p) -> None:
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 20), capacity=2, policy="block")
        assert list(pipeline.results([items])) == list(range(20))
        p.assert_balanced(pipeline, captured=20, delivered=20)

    def test_leaving_the_loop_ends_the_pipeline(self, p) -> None:
        source = p.made(p.Numbers, 10**9)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", source, capacity=2, policy="block")
        results = pipeline.results([items])
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        results.close()
        assert pipeline.state == "ended"
        p.assert_balanced(pipeline, captured=source.it.yielded, delivered=3, abort=source.it.yielded - 3)

    def test_a_failure_is_raised_in_the_loop_after_the_last_item(self, p) -> None:
        pipeline = Pipeline(grace_s=DEADLINE_S)
        source = p.made(p.Numbers, 3, error=CorruptSource("broke off"))
        items = pipeline.add_source("camera", source, capacity=2, policy="block")
        seen: list[int] = []
        with pytest.raises(CorruptSource):
            seen.extend(pipeline.results([items]))  # extend keeps what came before the error
        assert seen == [0, 1, 2]


class TestBuilding:
    def test_a_channel_nobody_reads(self, p) -> None:
        pipeline = Pipeline()
        pipeline.add_source("camera", p.made(p.Numbers, 1), capacity=1, policy="block")
        with pytest.raises(ValueError, match="nobody reads the output of 'camera'"):
            pipeline.start()

    def test_a_part_that_reads_nothing(self, p) -> None:
        pipeline = p.build(p.made(p.Numbers, 1), p.made(p.Work), p.made(p.Collect))
        pipeline.add_sink("idle", p.made(p.Collect), [])
        with pytest.raises(ValueError, match="sink 'idle' reads nothing"):
            pipeline.start()

    def test_an_output_of_another_pipeline(self, p) -> None:
        items = Pipeline().add_source("camera", p.made(p.Numbers, 1), capacity=1, policy="block")
        with pytest.raises(ValueError, match="'camera' is not, or no longer, of this pipeline"):
            Pipeline().add_sink("file", p.made(p.Collect), [items])

    def test_two_parts_of_one_name(self, p) -> None:
        pipeline = Pipeline()
        pipeline.add_source("camera", p.made(p.Numbers, 1), capacity=1, policy="block")
        with pytest.raises(ValueError, match="already has a part named 'camera'"):
            pipeline.add_source("camera", p.made(p.Numbers, 1), capacity=1, policy="block")

    def test_values_that_cannot_be(self, p) -> None:
        add = Pipeline().add_source
        with pytest.raises(ValueError, match="capacity is 0"):
            add("camera", p.made(p.Numbers, 1), capacity=0, policy="block")
        with pytest.raises(ValueError, match="policy is 'newest'"):
            add("camera", p.made(p.Numbers, 1), capacity=1, policy="newest")
        with pytest.raises(ValueError, match="on_error is 'ignore'"):
            add("camera", p.made(p.Numbers, 1), capacity=1, policy="block", on_error="ignore")
        with pytest.raises(ValueError, match="no source"):
            Pipeline().start()

    def test_after_the_start(self, p) -> None:
        pipeline = p.build(p.made(p.Numbers, 1), p.made(p.Work), p.made(p.Collect))
        pipeline.run()
        with pytest.raises(RuntimeError, match="started once"):
            pipeline.start()
        with pytest.raises(RuntimeError, match="nothing can be added"):
            pipeline.add_source("late", p.made(p.Numbers, 1), capacity=1, policy="block")


class TestCaller:
    def test_it_is_called_while_the_pipeline_runs(self, p) -> None:
        gate, calls = threading.Event(), []
        pipeline = p.build(p.made(p.Numbers, 5), p.made(p.Work), p.made(p.Collect, gate=gate))

        def refresh() -> None:
            calls.append(pipeline.state)
            if len(calls) == 3:
                gate.set()

        pipeline.run(refresh, 0.001)
        assert calls[:3] == ["running"] * 3

    def test_a_refresh_that_raises_closes_every_file_first(self, p) -> None:
        source, sink = p.made(p.Blocked, 3), p.made(p.Collect)
        pipeline = p.build(source, p.made(p.Work), sink)

        def refresh() -> None:
            if sink.it is not None and sink.it.items:
                raise BrokenPipeError("stderr is closed")

        with pytest.raises(BrokenPipeError, match="stderr is closed"):
            pipeline.run(refresh, 0.001)
        assert pipeline.state == "ended"
        assert (source.it.closed, sink.it.closed) == (1, 1)

    def test_a_block_that_raises_closes_every_file_first(self, p) -> None:
        source, sink = p.made(p.Blocked, 3), p.made(p.Collect)

        def fail() -> None:
            with p.build(source, p.made(p.Work), sink) as pipeline:
                pipeline.start()
                p.wait_for(lambda: sink.it is not None and sink.it.items)
                raise BrokenPipeError("stderr is closed")

        with pytest.raises(BrokenPipeError, match="stderr is closed"):
            fail()
        assert (source.it.closed, sink.it.closed) == (1, 1)

    def test_one_that_was_never_started_calls_no_factory(self, p) -> None:
        source, stage, sink = p.made(p.Numbers, 1), p.made(p.Work), p.made(p.Collect)
        pipeline = p.build(source, stage, sink)
        pipeline.close()
        pipeline.close()
        assert pipeline.state == "ended"
        assert (source.it, stage.it, sink.it) == (None, None, None)
        with pytest.raises(RuntimeError, match="has been closed"):
            pipeline.start()
        with pytest.raises(RuntimeError, match="nothing can be added"):
            pipeline.add_source("late", source, capacity=1, policy="block")

    def test_closing_after_the_end_changes_nothing(self, p) -> None:
        pipeline = p.build(p.made(p.Numbers, 5), p.made(p.Work), p.made(p.Collect))
        pipeline.run()
        pipeline.close()
        p.assert_balanced(pipeline, captured=5, delivered=5)


class TestOddEnds:
    def test_ctrl_c_without_handlers_aborts_and_closes(self, p) -> None:
        source, sink = p.made(p.Blocked, 3), p.made(p.Collect)
        pipeline = p.build(source, p.made(p.Work), sink)
        with pytest.raises(KeyboardInterrupt):
            p.run_with_signal(pipeline, source, signal.SIGINT)
        assert pipeline.state == "ended"
        assert (source.it.closed, sink.it.closed) == (1, 1)

    def test_a_part_cannot_wait_for_itself(self, p) -> None:
        class Impatient(p.Collect):
            def process(self, items: list[int]) -> None:
                pipeline.wait()

        pipeline = p.build(p.made(p.Numbers, 3), p.made(p.Work), Impatient)
        with pytest.raises(RuntimeError, match="would wait for itself"):
            p.run_within_deadline(pipeline)

    def test_many_stops_make_one_timer(self, p) -> None:
        source = p.made(p.Blocked, 1, deaf=True)
        pipeline = p.build(source, p.made(p.Work), p.made(p.Collect))
        pipeline.start()
        p.wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        for _ in range(5):
            pipeline.stop(deadline_s=DEADLINE_S)
        assert sum(thread.name == "streamseg stop deadline" for thread in threading.enumerate()) == 1
        source.it.release.set()
        assert pipeline.wait(DEADLINE_S)

    def test_no_thread_to_be_had(self, p, monkeypatch) -> None:
        start = threading.Thread.start

        def refuse_the_sink(thread: threading.Thread) -> None:
            if "sink" in thread.name:
                raise RuntimeError("can't start new thread")
            start(thread)

        stage = p.made(p.Work)
        pipeline = p.build(p.made(p.Numbers, 3), stage, p.made(p.Collect))
        monkeypatch.setattr(threading.Thread, "start", refuse_the_sink)
        with pytest.raises(RuntimeError, match="can't start"):
            pipeline.start()
        pipeline.join(DEADLINE_S)
        assert stage.it.calls == ["close"]


def test_snapshot_is_json_and_names_the_bottleneck(p) -> None:
    import json

    def slow(n: int) -> list[int]:
        if n < 37:  # later the camera has nothing left to wait with
            p.wait_for(lambda: pipeline.snapshot()["channels"]["camera → segment"]["waiting"] == 1)
        time.sleep(0.01)
        return [n]

    pipeline = p.build(p.made(p.Numbers, 40), p.made(p.Work, slow), p.made(p.Collect))
    p.run_within_deadline(pipeline)
    shot = json.loads(json.dumps(pipeline.snapshot()))
    parts = shot["parts"]
    assert shot["items"]["captured"] == 40
    assert parts["segment"]["items_in"] == parts["segment"]["items_out"] == 40
    assert parts["segment"]["work"]["p50_ms"] >= 10
    assert parts["camera"]["wait_out_s"] > 0.3
    assert parts["file"]["wait_in_s"] > 0
    assert parts["segment"]["work_s"] > parts["segment"]["wait_in_s"]
    assert shot["channels"]["camera → segment"]["depth_max"] == 2
    assert shot["elapsed_s"] >= 0.4


def test_one_part_can_be_read_without_the_others(p) -> None:
    pipeline = p.build(p.made(p.Numbers, 40), p.made(p.Work), p.made(p.Collect))
    p.run_within_deadline(pipeline)
    part = pipeline.part_stats("segment")
    assert (part["kind"], part["phase"], part["items_in"]) == ("stage", "ended", 40)
    assert part.keys() == pipeline.snapshot()["parts"]["segment"].keys()
    assert pipeline.channel_stats("segment")["camera → segment"].taken == 40
    assert (pipeline.output_stats("camera").yielded, pipeline.output_stats("camera").unread) == (40, 0)
    assert pipeline.channel_stats("camera") == pipeline.reader_stats("file") == {}
    assert pipeline.reader_stats("camera") == pipeline.channel_stats("segment")
    with pytest.raises(ValueError, match="'file' is a sink"):
        pipeline.output_stats("file")
