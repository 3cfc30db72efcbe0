"""Stop, abort, and the accounts that balance after either."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamseg.errors import EngineError, SourceError
from streamseg.pipeline import Pipeline, StuckStage

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestStop:
    def test_full_channels_drain(self, p) -> None:
        gate = threading.Event()
        source, sink = p.made(p.Numbers, 10**9), p.made(p.Collect, gate=gate)
        pipeline = p.build(source, p.made(p.Work, lag=True), sink, capacity=3)
        pipeline.start()
        p.wait_until_full(pipeline)
        pipeline.stop()
        assert pipeline.state == "stopping"
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        # In the sink 1, in each channel 3 and a waiting put; the stage holds one back.
        captured = 1 + 2 * (3 + 1) + 1
        assert sink.it.items == list(range(captured))
        p.assert_balanced(pipeline, captured=captured, delivered=captured)

    def test_a_source_blocked_in_a_read_is_interrupted(self, p) -> None:
        source, sink = p.made(p.Blocked, 5), p.made(p.Collect)
        pipeline = p.build(source, p.made(p.Work), sink)
        pipeline.start()
        p.wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        assert not pipeline.wait(0.01)
        pipeline.stop()
        assert pipeline.wait(DEADLINE_S)
        assert source.it.closed == 1
        p.assert_balanced(pipeline, captured=5, delivered=5)

    def test_a_source_that_cannot_be_interrupted_is_named_and_harms_no_file(self, p) -> None:
        source, sink = p.made(p.Blocked, 5, deaf=True), p.made(p.Collect)
        pipeline = p.build(source, p.made(p.Work, lag=True), sink, grace_s=0.1)
        pipeline.start()
        p.wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        pipeline.stop()
        with pytest.raises(StuckStage, match=r"source 'camera' \(running\)"):
            pipeline.wait()
        assert (sink.it.items, sink.it.closed) == ([0, 1, 2, 3, 4], 1)
        pipeline.abort()
        pipeline.abort()
        with pytest.raises(StuckStage, match=r"after 0\.05 s: source 'camera'"):
            pipeline.join(0.05)
        source.it.release.set()
        pipeline.join(DEADLINE_S)
        assert source.it.closed == 1

    def test_a_deadline_turns_into_an_abort(self, p) -> None:
        gate = threading.Event()
        source, sink = p.made(p.Numbers, 10**9), p.made(p.Collect, gate=gate)
        pipeline = p.build(source, p.made(p.Work), sink, capacity=50)
        pipeline.start()
        p.wait_until_full(pipeline)
        pipeline.stop(deadline_s=0.05)
        p.wait_for(lambda: pipeline.state == "aborting")
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        ledger = pipeline.ledger()
        assert (sink.it.items, sink.it.closed, ledger.delivered) == ([0], 1, 1)
        # What was being read when stop() came is not captured any more.
        assert source.it.yielded - ledger.captured in (0, 1)
        assert ledger.captured == ledger.delivered + ledger.dropped["abort"]

    def test_before_the_start_nothing_is_captured(self, p) -> None:
        source, sink = p.made(p.Numbers, 5), p.made(p.Collect)
        pipeline = p.build(source, p.made(p.Work), sink)
        pipeline.stop()
        p.run_within_deadline(pipeline)
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
        p.run_within_deadline(pipeline)
        assert 3 <= len(seen) == pipeline.ledger().captured

    def test_an_interrupt_that_raises_is_reported(self, p) -> None:
        class Broken(p.Blocked):
            def interrupt(self) -> None:
                super().interrupt()
                raise RuntimeError("no such stream")

        source = p.made(Broken, 1)
        pipeline = p.build(source, p.made(p.Work), p.made(p.Collect))
        pipeline.start()
        p.wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        pipeline.stop()
        with pytest.raises(RuntimeError, match="no such stream") as caught:
            pipeline.wait(DEADLINE_S)
        assert caught.value.__notes__ == ["raised in source 'camera', interrupting"]


class TestAbort:
    def test_what_is_inside_is_counted_and_sinks_close(self, p) -> None:
        gate = threading.Event()
        source, stage, sink = p.made(p.Numbers, 10**9), p.made(p.Work, lag=True), p.made(p.Collect, gate=gate)
        pipeline = p.build(source, stage, sink, capacity=3)
        pipeline.start()
        p.wait_until_full(pipeline)
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
        p.assert_balanced(pipeline, captured=yielded, delivered=1, abort=yielded - 1)

    def test_a_stage_that_hangs_is_named_and_the_files_are_closed(self, p) -> None:
        release, entered = threading.Event(), threading.Event()

        def hang(n: int) -> list[int]:
            entered.set()
            release.wait()
            return [n]

        sink = p.made(p.Collect)
        pipeline = p.build(p.made(p.Numbers, 5), p.made(p.Work, hang), sink, grace_s=0.1)
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
        pipeline = p.build(p.made(Hanging, 3), p.made(p.Work), sink, grace_s=0.1)
        pipeline.start()
        with pytest.raises(StuckStage, match=r"source 'camera' \(closing\)"):
            pipeline.wait()
        assert (sink.it.items, sink.it.closed) == ([0, 1, 2], 1)
        release.set()
        pipeline.join(DEADLINE_S)

    def test_a_failure_is_raised_even_when_a_part_is_stuck(self, p) -> None:
        source = p.made(p.Blocked, 2, deaf=True)
        pipeline = p.build(source, p.made(p.Work), p.made(p.Collect, fail_at=1), grace_s=0.1)
        pipeline.start()
        with pytest.raises(OSError, match="No space") as caught:
            pipeline.wait()
        assert "stuck 0.1 s after the end: source 'camera' (running)" in caught.value.__notes__
        source.it.release.set()
        pipeline.join(DEADLINE_S)


class TestAccounts:
    def test_they_balance_at_every_moment(self, p) -> None:
        pipeline = p.build(p.made(p.Numbers, 2000), p.made(p.Work, lag=True), p.made(p.Collect), batch=2)
        pipeline.start()
        most = 0
        while pipeline.state != "ended":
            ledger = pipeline.ledger()
            assert ledger.captured == ledger.delivered + ledger.in_flight
            assert ledger.created == sum(ledger.dropped.values()) == 0
            most = max(most, ledger.in_flight)
            time.sleep(0.001)
        pipeline.wait(DEADLINE_S)
        p.assert_balanced(pipeline, captured=2000, delivered=2000)
        assert most > 0

    @pytest.mark.slow
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
            p.run_within_deadline(pipeline)
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
