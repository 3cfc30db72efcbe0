"""What happens to a pipeline when one of its parts fails or lags."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from streamseg.errors import CorruptSource, EngineError, SourceError
from streamseg.pipeline import Pipeline

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


@pytest.fixture
def p(parts: SimpleNamespace) -> SimpleNamespace:
    return parts


class TestFailure:
    def test_a_source_that_breaks_off_delivers_what_it_had(self, p) -> None:
        error = CorruptSource("a.mp4: breaks off at 12.3 s")
        source, sink = p.made(p.Numbers, 20, error=error), p.made(p.Collect, pause_s=0.001)
        pipeline = p.build(source, p.made(p.Work, lag=True), sink)
        with pytest.raises(CorruptSource, match="breaks off") as caught:
            p.run_within_deadline(pipeline)
        assert caught.value is error
        assert caught.value.__notes__ == ["raised in source 'camera', running"]
        assert sink.it.items == list(range(20))
        assert (source.it.closed, sink.it.closed) == (1, 1)
        p.assert_balanced(pipeline, captured=20, delivered=20)

    def test_a_stage_that_raises_aborts_and_closes_everyone(self, p) -> None:
        def change(n: int) -> list[int]:
            if n == 5:
                raise EngineError("out of memory")
            return [n]

        source, stage, sink = p.made(p.Numbers, 10**9), p.made(p.Work, change), p.made(p.Collect)
        pipeline = p.build(source, stage, sink)
        with pytest.raises(EngineError, match="out of memory") as caught:
            p.run_within_deadline(pipeline)
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
        pipeline = p.build(source, p.made(p.Work), sink)
        with pytest.raises(OSError, match="No space left") as caught:
            p.run_within_deadline(pipeline)
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
        pipeline = p.build(*({**made, broken: refuse}.values()))
        with pytest.raises(SourceError, match="does not open") as caught:
            p.run_within_deadline(pipeline)
        assert caught.value.__notes__[0].endswith(", opening")
        assert broken in caught.value.__notes__[0]
        assert made["source"].it is None, "no source is opened when somebody cannot read it"
        if broken != "stage":
            assert made["stage"].it.calls[-1] == "close"
        p.assert_balanced(pipeline, captured=0, delivered=0)

    def test_failures_while_closing_are_attached(self, p) -> None:
        error = CorruptSource("broke off")
        sink = p.made(p.Collect, close_error=OSError("cannot finish the file"))
        pipeline = p.build(p.made(p.Numbers, 3, error=error), p.made(p.Work), sink)
        with pytest.raises(CorruptSource) as caught:
            p.run_within_deadline(pipeline)
        assert caught.value.__notes__[1:] == [
            "then also in sink 'file', closing: OSError: cannot finish the file"
        ]
        assert [str(failure.part) for failure in pipeline.failures] == ["source 'camera'", "sink 'file'"]

    def test_a_failure_while_closing_alone_is_raised(self, p) -> None:
        sink = p.made(p.Collect, close_error=OSError("cannot finish the file"))
        with pytest.raises(OSError, match="cannot finish"):
            p.run_within_deadline(p.build(p.made(p.Numbers, 3), p.made(p.Work), sink))
        assert sink.it.items == [0, 1, 2]

    def test_an_exception_that_is_no_error_is_not_lost_in_its_thread(self, p) -> None:
        pipeline = p.build(p.made(p.Numbers, 3, error=SystemExit(9)), p.made(p.Work), p.made(p.Collect))
        with pytest.raises(SystemExit):
            p.run_within_deadline(pipeline)


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
            p.run_within_deadline(pipeline)
        assert healthy.it.yielded == 50
        p.assert_balanced(pipeline, captured=53, delivered=53)

    def test_every_isolated_failure_is_reported_at_the_end(self, p) -> None:
        broken = [p.made(p.Numbers, n, error=SourceError(f"lost {n}")) for n in (3, 4)]
        pipeline = two_cameras(p, *broken, on_error="isolate", sink=p.made(p.Collect))
        with pytest.raises(SourceError, match="lost") as caught:
            p.run_within_deadline(pipeline)
        assert len(caught.value.__notes__) == 2
        assert {str(failure.error) for failure in pipeline.failures} == {"lost 3", "lost 4"}

    def test_stop_ends_the_others_gracefully(self, p) -> None:
        broken, endless = p.made(p.Numbers, 3, error=SourceError("lost")), p.made(p.Blocked, 4)
        sink = p.made(p.Collect)
        pipeline = two_cameras(p, broken, endless, on_error="stop", sink=sink)
        with pytest.raises(SourceError, match="lost"):
            p.run_within_deadline(pipeline)
        ledger = pipeline.ledger()
        assert ledger.captured == ledger.delivered == len(sink.it.items)
        assert sum(ledger.dropped.values()) == 0

    def test_a_fast_source_does_not_starve_a_slow_one(self, p) -> None:
        class Slow(p.Numbers):
            def __iter__(self) -> Iterator[int]:
                return (-1 - n for n in super().__iter__())

        gate = threading.Event()
        fast, slow, sink = p.made(p.Numbers, 10**9), p.made(Slow, 2), p.made(p.Collect, gate=gate)
        pipeline = two_cameras(p, fast, slow, on_error="stop", sink=sink)
        pipeline.start()
        p.wait_for(lambda: slow.it is not None and slow.it.closed)
        p.wait_for(lambda: pipeline.snapshot()["channels"]["a → s"]["waiting"] == 1)
        gate.set()
        p.wait_for(lambda: -2 in sink.it.items)
        pipeline.stop()
        assert pipeline.wait(DEADLINE_S)
        # Four were under way when the gate opened; from then on each of the two has every second turn.
        assert {-1, -2} <= set(sink.it.items[: 4 + 2 * 2])


class TestSlowSink:
    def test_block_loses_nothing(self, p) -> None:
        sink = p.made(p.Collect, pause_s=0.002)
        pipeline = p.build(p.made(p.Numbers, 50), p.made(p.Work), sink)
        p.run_within_deadline(pipeline)
        assert sink.it.items == list(range(50))
        p.assert_balanced(pipeline, captured=50, delivered=50)
        assert pipeline.snapshot()["channels"]["camera → segment"]["wait_put_s"] > 0

    def test_drop_oldest_keeps_the_newest_and_counts_the_rest(self, p) -> None:
        gate = threading.Event()
        source, sink = p.made(p.Numbers, 100), p.made(p.Collect, gate=gate)
        pipeline = Pipeline(grace_s=DEADLINE_S)
        items = pipeline.add_source("camera", source, capacity=2, policy="drop_oldest")
        pipeline.add_sink("file", sink, [items])
        pipeline.start()
        p.wait_for(lambda: source.it is not None and source.it.closed)
        gate.set()
        assert pipeline.wait(DEADLINE_S)
        # The sink had none or one in its hands; the two newest were in the channel.
        delivered = sink.it.items
        assert delivered[-2:] == [98, 99]
        assert len(delivered) in (2, 3)
        p.assert_balanced(pipeline, captured=100, delivered=len(delivered), overrun=100 - len(delivered))
