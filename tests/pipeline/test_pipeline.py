"""The contract in streamseg/pipeline/__init__.py, clause by clause, with a deadline for each."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamseg.errors import CorruptSource, EngineError, SourceError
from streamseg.pipeline import Pipeline, StuckStage

pytestmark = pytest.mark.timeout(10)
DEADLINE_S = 5.0


def build(source, stage, sink, *, policy="block", capacity=2, grace_s=DEADLINE_S, batch=1, on_error="stop"):
    pipeline = Pipeline(grace_s=grace_s)
    items = pipeline.add_source("camera", source, capacity=capacity, policy=policy, on_error=on_error)
    results = pipeline.add_stage("segment", stage, [items], batch=batch, capacity=capacity, policy="block")
    pipeline.add_sink("file", sink, [results])
    return pipeline


def wait_for(condition) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)


def run_within_deadline(pipeline: Pipeline) -> None:
    pipeline.start()
    assert pipeline.wait(DEADLINE_S), f"not ended: {pipeline.snapshot()}"


def wait_until_full(pipeline: Pipeline) -> None:
    """The sink of `build` holds its first item, and a put waits for room at each channel."""

    def is_full() -> bool:
        channels = pipeline.snapshot()["channels"]
        return channels["segment"]["taken"] == 1 and all(c["waiting"] == 1 for c in channels.values())

    wait_for(is_full)


def assert_balanced(pipeline: Pipeline, *, captured: int, delivered: int, **dropped: int) -> None:
    ledger = pipeline.ledger()
    assert ledger.in_flight == 0
    assert (ledger.captured, ledger.delivered) == (captured, delivered)
    assert {cause: n for cause, n in ledger.dropped.items() if n} == {c: n for c, n in dropped.items() if n}
    assert ledger.captured + ledger.created == ledger.delivered + sum(ledger.dropped.values())


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestSuccess:
    def test_everything_arrives_in_order(self, p) -> None:
        source, stage, sink = p.made(p.Numbers, 100), p.made(p.Work, lambda n: [10 * n]), p.made(p.Collect)
        pipeline = build(source, stage, sink)
        run_within_deadline(pipeline)
        assert sink.it.items == [10 * n for n in range(100)]
        assert (source.it.closed, sink.it.closed) == (1, 1)
        assert pipeline.state == "ended"
        assert pipeline.failures == ()
        assert_balanced(pipeline, captured=100, delivered=100)

    def test_a_source_without_items(self, p) -> None:
        sink = p.made(p.Collect)
        pipeline = build(p.made(p.Numbers, 0), p.made(p.Work), sink)
        pipeline.run()
        assert (sink.it.items, sink.it.closed) == ([], 1)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_what_a_stage_holds_is_drained_before_it_closes(self, p, batch) -> None:
        stage, sink = p.made(p.Work, lag=True), p.made(p.Collect)
        pipeline = build(p.made(p.Numbers, 10), stage, sink, batch=batch)
        run_within_deadline(pipeline)
        assert sink.it.items == list(range(10))
        assert stage.it.calls[-2:] == ["drain", "close"]
        assert_balanced(pipeline, captured=10, delivered=10)

    def test_each_part_is_opened_used_and_closed_in_a_thread_of_its_own(self, p) -> None:
        made = p.made(p.Numbers, 1), p.made(p.Work), p.made(p.Collect)
        build(*made).run()  # close() of the parts asserts the thread too
        assert len({part.it.opened_in for part in made} | {threading.current_thread()}) == 4

    def test_a_filter_is_accounted_as_absorbed(self, p) -> None:
        pipeline = build(
            p.made(p.Numbers, 10), p.made(p.Work, lambda n: [n] if n % 2 else []), p.made(p.Collect)
        )
        run_within_deadline(pipeline)
        assert_balanced(pipeline, captured=10, delivered=5, absorbed=5)

    def test_a_multiplier_is_accounted_as_created(self, p) -> None:
        pipeline = build(p.made(p.Numbers, 10), p.made(p.Work, lambda n: [n, n, n]), p.made(p.Collect))
        run_within_deadline(pipeline)
        assert pipeline.ledger().created == 20
        assert_balanced(pipeline, captured=10, delivered=30)

    def test_sources_are_opened_when_everyone_else_is_ready(self, p) -> None:
        order: list[str] = []

        def slow_stage():
            time.sleep(0.05)
            order.append("stage")
            return p.Work()

        def source():
            order.append("source")
            return p.Numbers(1)

        build(source, slow_stage, p.made(p.Collect)).run()
        assert order == ["stage", "source"]


class TestFailure:
    def test_a_source_that_breaks_off_delivers_what_it_had(self, p) -> None:
        error = CorruptSource("a.mp4: breaks off at 12.3 s")
        source, sink = p.made(p.Numbers, 20, error=error), p.made(p.Collect, pause_s=0.001)
        pipeline = build(source, p.made(p.Work, lag=True), sink)
        with pytest.raises(CorruptSource, match="breaks off") as caught:
            run_within_deadline(pipeline)
        assert caught.value is error
        assert caught.value.__notes__ == ["raised in source 'camera', running"]
        assert sink.it.items == list(range(20))
        assert (source.it.closed, sink.it.closed) == (1, 1)
        assert_balanced(pipeline, captured=20, delivered=20)

    def test_a_stage_that_raises_aborts_and_closes_everyone(self, p) -> None:
        def change(n: int) -> list[int]:
            if n == 5:
                raise EngineError("out of memory")
            return [n]

        source, stage, sink = p.made(p.Numbers, 10**9), p.made(p.Work, change), p.made(p.Collect)
        pipeline = build(source, stage, sink)
        with pytest.raises(EngineError, match="out of memory") as caught:
            run_within_deadline(pipeline)
        assert caught.value.__notes__ == ["raised in stage 'segment', running"]
        assert stage.it.calls[-1] == "close"
        assert "drain" not in stage.it.calls
        assert (source.it.closed, sink.it.closed) == (1, 1)
        assert sink.it.items == list(range(len(sink.it.items)))
        ledger = pipeline.ledger()
        assert (ledger.captured, ledger.delivered) == (source.it.yielded, len(sink.it.items))
        assert ledger.dropped["error"] == 1
        assert ledger.in_flight == 0

    def test_a_sink_that_raises_is_still_closed(self, p) -> None:
        source, sink = p.made(p.Numbers, 10**9), p.made(p.Collect, fail_at=3)
        pipeline = build(source, p.made(p.Work), sink)
        with pytest.raises(OSError, match="No space left") as caught:
            run_within_deadline(pipeline)
        assert caught.value.__notes__ == ["raised in sink 'file', running"]
        assert (sink.it.items, sink.it.closed, source.it.closed) == ([0, 1, 2], 1, 1)
        ledger = pipeline.ledger()
        assert (ledger.captured, ledger.delivered) == (source.it.yielded, 3)
        assert ledger.dropped["error"] == 1

    @pytest.mark.parametrize("broken", ["source", "stage", "sink"])
    def test_a_factory_that_raises(self, p, broken) -> None:
        def refuse():
            raise SourceError("does not open")

        made = {"source": p.made(p.Numbers, 5), "stage": p.made(p.Work), "sink": p.made(p.Collect)}
        pipeline = build(*({**made, broken: refuse}.values()))
        with pytest.raises(SourceError, match="does not open") as caught:
            run_within_deadline(pipeline)
        assert caught.value.__notes__[0].endswith(", opening")
        assert broken in caught.value.__notes__[0]
        assert made["source"].it is None, "no source is opened when somebody cannot read it"
        if broken != "stage":
            assert made["stage"].it.calls[-1] == "close"
        assert_balanced(pipeline, captured=0, delivered=0)

    def test_failures_while_closing_are_attached(self, p) -> None:
        error = CorruptSource("broke off")
        sink = p.made(p.Collect, close_error=OSError("cannot finish the file"))
        pipeline = build(p.made(p.Numbers, 3, error=error), p.made(p.Work), sink)
        with pytest.raises(CorruptSource) as caught:
            run_within_deadline(pipeline)
        assert caught.value.__notes__[1:] == [
            "then also in sink 'file', closing: OSError: cannot finish the file"
        ]
        assert [str(failure.part) for failure in pipeline.failures] == ["source 'camera'", "sink 'file'"]

    def test_a_failure_while_closing_alone_is_raised(self, p) -> None:
        sink = p.made(p.Collect, close_error=OSError("cannot finish the file"))
        with pytest.raises(OSError, match="cannot finish"):
            run_within_deadline(build(p.made(p.Numbers, 3), p.made(p.Work), sink))
        assert sink.it.items == [0, 1, 2]

    def test_an_exception_that_is_no_error_is_not_lost_in_its_thread(self, p) -> None:
        pipeline = build(p.made(p.Numbers, 3, error=SystemExit(9)), p.made(p.Work), p.made(p.Collect))
        with pytest.raises(SystemExit):
            run_within_deadline(pipeline)


def two_cameras(p, first, second, *, on_error: str, sink) -> Pipeline:
    pipeline = Pipeline(grace_s=DEADLINE_S)
    channels = [
        pipeline.add_source(name, made, capacity=2, policy="block", on_error=on_error)
        for name, made in (("a", first), ("b", second))
    ]
    pipeline.add_sink("file", sink, [pipeline.add_stage("s", p.Work, channels, capacity=2, policy="block")])
    return pipeline


class TestSeveralSources:
    def test_isolate_lets_the_others_go_on(self, p) -> None:
        broken = p.made(p.Numbers, 3, error=SourceError("lost"))
        healthy, sink = p.made(p.Numbers, 50, pause_s=0.002), p.made(p.Collect)
        pipeline = two_cameras(p, broken, healthy, on_error="isolate", sink=sink)
        with pytest.raises(SourceError, match="lost"):
            run_within_deadline(pipeline)
        assert healthy.it.yielded == 50
        assert_balanced(pipeline, captured=53, delivered=53)

    def test_every_isolated_failure_is_reported_at_the_end(self, p) -> None:
        broken = [p.made(p.Numbers, n, error=SourceError(f"lost {n}")) for n in (3, 4)]
        pipeline = two_cameras(p, *broken, on_error="isolate", sink=p.made(p.Collect))
        with pytest.raises(SourceError, match="lost") as caught:
            run_within_deadline(pipeline)
        assert len(caught.value.__notes__) == 2
        assert {str(failure.error) for failure in pipeline.failures} == {"lost 3", "lost 4"}

    def test_stop_ends_the_others_gracefully(self, p) -> None:
        broken, endless = p.made(p.Numbers, 3, error=SourceError("lost")), p.made(p.Blocked, 4)
        sink = p.made(p.Collect)
        pipeline = two_cameras(p, broken, endless, on_error="stop", sink=sink)
        with pytest.raises(SourceError, match="lost"):
            run_within_deadline(pipeline)
        ledger = pipeline.ledger()
        assert ledger.captured == ledger.delivered == len(sink.it.items)
        assert sum(ledger.dropped.values()) == 0

    def test_a_fast_source_does_not_starve_a_slow_one(self, p) -> None:
        fast, slow = p.made(p.Numbers, 10**9), p.made(p.Numbers, 20)
        sink = p.made(p.Collect, pause_s=0.0005)
        pipeline = two_cameras(p, fast, slow, on_error="stop", sink=sink)
        pipeline.start()
        wait_for(lambda: slow.it is not None and slow.it.closed)
        pipeline.stop()
        assert pipeline.wait(DEADLINE_S)
        # Round robin: while both have items each gets every second turn; the rest is what was queued.
        assert fast.it.yielded < 20 + 100


class TestStop:
    def test_full_channels_drain(self, p) -> None:
        gate = threading.Event()
        source, sink = p.made(p.Numbers, 10**9), p.made(p.Collect, gate=gate)
        pipeline = build(source, p.made(p.Work, lag=True), sink, capacity=3)
        pipeline.start()
        wait_until_full(pipeline)
        pipeline.stop()
        assert pipeline.state == "stopping"
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        # In the sink 1, in each channel 3 and a waiting put; the stage holds one back.
        captured = 1 + 2 * (3 + 1) + 1
        assert sink.it.items == list(range(captured))
        assert_balanced(pipeline, captured=captured, delivered=captured)

    def test_a_source_blocked_in_a_read_is_interrupted(self, p) -> None:
        source, sink = p.made(p.Blocked, 5), p.made(p.Collect)
        pipeline = build(source, p.made(p.Work), sink)
        pipeline.start()
        wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        assert not pipeline.wait(0.01)
        pipeline.stop()
        assert pipeline.wait(DEADLINE_S)
        assert source.it.closed == 1
        assert_balanced(pipeline, captured=5, delivered=5)

    def test_a_source_that_cannot_be_interrupted_is_named_and_harms_no_file(self, p) -> None:
        source, sink = p.made(p.Blocked, 5, deaf=True), p.made(p.Collect)
        pipeline = build(source, p.made(p.Work, lag=True), sink, grace_s=0.1)
        pipeline.start()
        wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        pipeline.stop()
        with pytest.raises(StuckStage, match=r"source 'camera' \(running\)"):
            pipeline.wait()
        assert (sink.it.items, sink.it.closed) == ([0, 1, 2, 3, 4], 1)
        began = time.monotonic()
        pipeline.abort()
        pipeline.abort()
        with pytest.raises(StuckStage, match=r"after 0\.05 s: source 'camera'"):
            pipeline.join(0.05)
        assert time.monotonic() - began < 1.0
        source.it.release.set()
        pipeline.join(DEADLINE_S)
        assert source.it.closed == 1

    def test_a_deadline_turns_into_an_abort(self, p) -> None:
        source, sink = p.made(p.Numbers, 10**9), p.made(p.Collect, pause_s=0.02)
        pipeline = build(source, p.made(p.Work), sink, capacity=50)
        pipeline.start()
        wait_for(lambda: pipeline.snapshot()["channels"]["camera"]["depth"] == 50)
        pipeline.stop(deadline_s=0.05)
        assert pipeline.wait(DEADLINE_S)
        ledger = pipeline.ledger()
        assert sink.it.closed == 1
        assert ledger.delivered == len(sink.it.items) < 20
        # What was being read when stop() came is not captured any more.
        assert source.it.yielded - ledger.captured in (0, 1)
        assert ledger.captured == ledger.delivered + ledger.dropped["abort"]

    def test_before_the_start_nothing_is_captured(self, p) -> None:
        source, sink = p.made(p.Numbers, 5), p.made(p.Collect)
        pipeline = build(source, p.made(p.Work), sink)
        pipeline.stop()
        run_within_deadline(pipeline)
        assert source.it is None
        assert sink.it.closed == 1

    def test_from_inside_a_sink(self, p) -> None:
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 10**9), capacity=2, policy="block")
        seen: list[int] = []

        class QuitKey:
            def process(self, items: list[int]) -> None:
                seen.extend(items)
                if len(seen) == 3:
                    pipeline.stop()

            def close(self) -> None:
                pass

        pipeline.add_sink("window", QuitKey, [items])
        run_within_deadline(pipeline)
        assert 3 <= len(seen) == pipeline.ledger().captured

    def test_an_interrupt_that_raises_is_reported(self, p) -> None:
        class Broken(p.Blocked):
            def interrupt(self) -> None:
                super().interrupt()
                raise RuntimeError("no such stream")

        source = p.made(Broken, 1)
        pipeline = build(source, p.made(p.Work), p.made(p.Collect))
        pipeline.start()
        wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        pipeline.stop()
        with pytest.raises(RuntimeError, match="no such stream") as caught:
            pipeline.wait(DEADLINE_S)
        assert caught.value.__notes__ == ["raised in source 'camera', interrupting"]


class TestAbort:
    def test_what_is_inside_is_counted_and_sinks_close(self, p) -> None:
        gate = threading.Event()
        source, stage, sink = p.made(p.Numbers, 10**9), p.made(p.Work, lag=True), p.made(p.Collect, gate=gate)
        pipeline = build(source, stage, sink, capacity=3)
        pipeline.start()
        wait_until_full(pipeline)
        pipeline.abort()
        assert pipeline.state == "aborting"
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        assert "drain" not in stage.it.calls
        assert (stage.it.calls[-1], sink.it.closed, source.it.closed) == ("close", 1, 1)
        # One in the sink's hands is delivered; three in each channel, those in the stage's hands and
        # the one whose put was waiting are dropped.
        assert sink.it.items == [0]
        yielded = source.it.yielded
        assert_balanced(pipeline, captured=yielded, delivered=1, abort=yielded - 1)

    def test_a_stage_that_hangs_is_named_and_the_files_are_closed(self, p) -> None:
        release, entered = threading.Event(), threading.Event()

        def hang(n: int) -> list[int]:
            entered.set()
            release.wait()
            return [n]

        sink = p.made(p.Collect)
        pipeline = build(p.made(p.Numbers, 5), p.made(p.Work, hang), sink, grace_s=0.1)
        pipeline.start()
        assert entered.wait(DEADLINE_S)
        pipeline.stop(deadline_s=0.05)
        with pytest.raises(StuckStage, match=r"stage 'segment' \(running\)"):
            pipeline.wait()
        assert sink.it.closed == 1
        release.set()
        pipeline.join(DEADLINE_S)
        assert pipeline.ledger().in_flight == 0

    def test_a_close_that_hangs_does_not_keep_the_sink_from_finishing(self, p) -> None:
        release = threading.Event()

        class Hanging(p.Numbers):
            def close(self) -> None:
                release.wait()

        sink = p.made(p.Collect)
        pipeline = build(p.made(Hanging, 3), p.made(p.Work), sink, grace_s=0.1)
        pipeline.start()
        with pytest.raises(StuckStage, match=r"source 'camera' \(closing\)"):
            pipeline.wait()
        assert (sink.it.items, sink.it.closed) == ([0, 1, 2], 1)
        release.set()
        pipeline.join(DEADLINE_S)

    def test_a_failure_is_raised_even_when_a_part_is_stuck(self, p) -> None:
        source = p.made(p.Blocked, 2, deaf=True)
        pipeline = build(source, p.made(p.Work), p.made(p.Collect, fail_at=1), grace_s=0.1)
        pipeline.start()
        with pytest.raises(OSError, match="No space") as caught:
            pipeline.wait()
        assert "stuck 0.1 s after the end: source 'camera' (running)" in caught.value.__notes__
        source.it.release.set()
        pipeline.join(DEADLINE_S)


class TestOddEnds:
    def test_ctrl_c_without_handlers_aborts_and_closes(self, p) -> None:
        source, sink = p.made(p.Blocked, 3), p.made(p.Collect)
        pipeline = build(source, p.made(p.Work), sink)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            pipeline.run()
        assert pipeline.state == "ended"
        assert (source.it.closed, sink.it.closed) == (1, 1)

    def test_a_part_cannot_wait_for_itself(self, p) -> None:
        class Impatient(p.Collect):
            def process(self, items: list[int]) -> None:
                pipeline.wait()

        pipeline = build(p.made(p.Numbers, 3), p.made(p.Work), Impatient)
        with pytest.raises(RuntimeError, match="would wait for itself"):
            run_within_deadline(pipeline)

    def test_many_stops_make_one_timer(self, p) -> None:
        source = p.made(p.Blocked, 1, deaf=True)
        pipeline = build(source, p.made(p.Work), p.made(p.Collect))
        pipeline.start()
        wait_for(lambda: source.it is not None and source.it.blocked.is_set())
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
        pipeline = build(p.made(p.Numbers, 3), stage, p.made(p.Collect))
        monkeypatch.setattr(threading.Thread, "start", refuse_the_sink)
        with pytest.raises(RuntimeError, match="can't start"):
            pipeline.start()
        pipeline.join(DEADLINE_S)
        assert stage.it.calls == ["close"]


class TestAccounts:
    def test_they_balance_at_every_moment(self, p) -> None:
        pipeline = build(p.made(p.Numbers, 2000), p.made(p.Work, lag=True), p.made(p.Collect), batch=2)
        pipeline.start()
        most = 0
        while pipeline.state != "ended":
            ledger = pipeline.ledger()
            assert ledger.captured == ledger.delivered + ledger.in_flight
            assert ledger.created == sum(ledger.dropped.values()) == 0
            most = max(most, ledger.in_flight)
            time.sleep(0.001)
        pipeline.wait(DEADLINE_S)
        assert_balanced(pipeline, captured=2000, delivered=2000)
        assert most > 0

    @given(
        counts=st.lists(st.integers(0, 30), min_size=1, max_size=3),
        batch=st.integers(1, 4),
        capacity=st.integers(1, 3),
        drops=st.booleans(),
        lag=st.booleans(),
        end=st.sampled_from(["none", "stop", "abort", "source", "stage", "sink"]),
        at=st.integers(0, 30),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_they_balance_after_every_end(self, p, counts, batch, capacity, drops, lag, end, at) -> None:
        error = SourceError("lost") if end == "source" else None
        sources = [p.made(p.Numbers, count, error=error) for count in counts]

        def change(n: int) -> list[int]:
            if n == at and end in ("stop", "abort"):
                getattr(pipeline, end)()
            if n == at and end == "stage":
                raise EngineError("out of memory")
            return [n]

        sink = p.made(p.Collect, fail_at=at if end == "sink" else None)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        policy = "drop_oldest" if drops else "block"
        items = [
            pipeline.add_source(str(k), source, capacity=capacity, policy=policy)
            for k, source in enumerate(sources)
        ]
        stage = pipeline.add_stage(
            "stage", p.made(p.Work, change, lag=lag), items, batch=batch, capacity=capacity, policy="block"
        )
        pipeline.add_sink("sink", sink, [stage], batch=batch)
        try:
            run_within_deadline(pipeline)
        except (SourceError, EngineError, OSError):
            assert end in ("source", "stage", "sink")
        ledger = pipeline.ledger()
        yielded = sum(source.it.yielded for source in sources if source.it)
        lost = sum(ledger.dropped.values())
        # A stop discards at most what each source was reading; only a stop (also one source's end) does.
        assert yielded - (len(counts) if end in ("stop", "source") else 0) <= ledger.captured <= yielded
        assert ledger.captured == ledger.delivered + lost
        assert (ledger.in_flight, ledger.created, ledger.dropped["absorbed"]) == (0, 0, 0)
        undelivered_by_the_sink = len(sink.it.items) - ledger.delivered
        assert 0 <= undelivered_by_the_sink < batch, "only part of the batch that raised"
        if end in ("none", "stop", "source"):
            assert lost == ledger.dropped["overrun"]
            assert lost == 0 or drops


class TestSlowSink:
    def test_block_loses_nothing(self, p) -> None:
        sink = p.made(p.Collect, pause_s=0.002)
        pipeline = build(p.made(p.Numbers, 50), p.made(p.Work), sink)
        run_within_deadline(pipeline)
        assert sink.it.items == list(range(50))
        assert_balanced(pipeline, captured=50, delivered=50)
        assert pipeline.snapshot()["channels"]["camera"]["wait_put_s"] > 0.05

    def test_drop_oldest_keeps_the_newest_and_counts_the_rest(self, p) -> None:
        gate = threading.Event()
        source, sink = p.made(p.Numbers, 100), p.made(p.Collect, gate=gate)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", source, capacity=2, policy="drop_oldest")
        pipeline.add_sink("file", sink, [items])
        pipeline.start()
        wait_for(lambda: source.it is not None and source.it.closed)
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        # The sink had none or one in its hands; the two newest were in the channel.
        delivered = sink.it.items
        assert delivered[-2:] == [98, 99]
        assert len(delivered) in (2, 3)
        assert_balanced(pipeline, captured=100, delivered=len(delivered), overrun=100 - len(delivered))


class TestResults:
    def test_the_loop_is_the_sink(self, p) -> None:
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", p.made(p.Numbers, 20), capacity=2, policy="block")
        assert list(pipeline.results([items])) == list(range(20))
        assert_balanced(pipeline, captured=20, delivered=20)

    def test_leaving_the_loop_ends_the_pipeline(self, p) -> None:
        source = p.made(p.Numbers, 10**9)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", source, capacity=2, policy="block")
        results = pipeline.results([items])
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        results.close()
        assert pipeline.state == "ended"
        assert_balanced(pipeline, captured=source.it.yielded, delivered=3, abort=source.it.yielded - 3)

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

    def test_a_channel_two_would_read(self, p) -> None:
        pipeline = Pipeline()
        items = pipeline.add_source("camera", p.made(p.Numbers, 1), capacity=1, policy="block")
        pipeline.add_sink("one", p.made(p.Collect), [items])
        with pytest.raises(ValueError, match="'camera' already has a reader"):
            pipeline.add_sink("two", p.made(p.Collect), [items])

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
        pipeline = build(p.made(p.Numbers, 1), p.made(p.Work), p.made(p.Collect))
        pipeline.run()
        with pytest.raises(RuntimeError, match="started once"):
            pipeline.start()
        with pytest.raises(RuntimeError, match="nothing can be added"):
            pipeline.add_source("late", p.made(p.Numbers, 1), capacity=1, policy="block")


def test_snapshot_is_json_and_names_the_bottleneck(p) -> None:
    import json

    def slow(n: int) -> list[int]:
        time.sleep(0.003)
        return [n]

    pipeline = build(p.made(p.Numbers, 40), p.made(p.Work, slow), p.made(p.Collect))
    run_within_deadline(pipeline)
    shot = json.loads(json.dumps(pipeline.snapshot()))
    parts = shot["parts"]
    assert shot["items"]["captured"] == 40
    assert parts["segment"]["items_in"] == parts["segment"]["items_out"] == 40
    assert parts["segment"]["work"]["p50_ms"] >= 3.0
    assert parts["camera"]["wait_out_s"] > 0.05
    assert parts["file"]["wait_in_s"] > 0.05
    assert parts["segment"]["work_s"] > parts["segment"]["wait_in_s"]
    assert shot["channels"]["camera"]["depth_max"] == 2
    assert shot["elapsed_s"] >= 0.12
