"""The job's seams: slow, broken and closed sinks, refreshes that fail, runs that never begin."""

import json
import threading

import numpy as np
import pytest

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.errors import ConfigError, SinkError, SourceError
from streamseg.jobs.stream import ResultStream
from streamseg.sinks.list_sink import ListSink
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import open_sinks
from streamseg.streaming.report import status_line, summary

INFO = EngineInfo("fake", "scene", ("shape",), "stretch", (36, 48), 4, 0.05)
SCENE = "synthetic:{}?frames={}&size=96x64&objects=2"


def outputs_of(batch):
    count = len(batch)
    scores = np.zeros((count, 4), np.float32)
    scores[:, 0] = 0.9
    boxes = np.zeros((count, 4, 4), np.float32)
    boxes[:, 0] = 0.25, 0.25, 0.75, 0.75
    masks = np.zeros((count, 4, 9, 12), np.uint8)
    masks[:, 0, 3:6, 3:9] = 255
    return EngineOutputs(boxes, scores, np.zeros((count, 4), np.int32), masks, np.ones(count, np.int32))


class GatedSink(ListSink):
    """Does not take its third result before the gate opens."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.reached = threading.Event()

    def write(self, result):
        if len(self.results) == 2:
            self.reached.set()
            assert self.gate.wait(60)
        super().write(result)


class WaitingSink(ListSink):
    """Says when it has so many results."""

    def __init__(self, enough):
        super().__init__()
        self.enough = threading.Event()
        self._count = enough

    def write(self, result):
        super().write(result)
        if len(self.results) >= self._count:
            self.enough.set()


class QuittingSink(ListSink):
    """A window whose user presses q at the third frame."""

    stop_requested = False

    def write(self, result):
        super().write(result)
        self.stop_requested = len(self.results) >= 3


def job_of(sources, sinks, batch=1, make=outputs_of, latency_s=0.0, **options):
    """`sinks` for each source."""
    config = load_config(None, {"sources": sources, **options})
    opened = open_sinks(config.output, config.sources)
    for own, more in zip(opened.values(), sinks, strict=True):
        own.extend(more)
    return Job(config, opened, INFO, lambda: FakeEngine(INFO, make, latency_s=latency_s), batch=batch)


def test_a_stalled_sink_of_a_live_source_holds_up_nobody_else():
    stalled, beside, other = GatedSink(), WaitingSink(30), WaitingSink(30)
    job = job_of(
        [SCENE.format(1, 100_000), SCENE.format(2, 100_000)], [[stalled, beside], [other]], drop="oldest"
    )
    seen = []

    def refresh():
        if stalled.reached.is_set() and beside.enough.is_set() and other.enough.is_set():
            seen.append(len(stalled.results))
            job.pipeline.stop()
            stalled.gate.set()

    job.run(0.01, refresh)

    assert seen[0] == 2
    first = summary(job)["sources"]["synthetic-1"]
    assert first["captured"] == first["delivered"] + sum(first["dropped"].values())
    assert (
        first["sinks"]["list 1"] >= 30 if "list 1" in first["sinks"] else max(first["sinks"].values()) >= 30
    )


def test_a_stalled_sink_of_a_file_holds_up_its_own_source_only():
    stalled, other = GatedSink(), WaitingSink(25)
    job = job_of([SCENE.format(1, 25), SCENE.format(2, 25)], [[stalled], [other]], batch=4)

    def refresh():
        if stalled.reached.is_set() and other.enough.is_set():
            stalled.gate.set()

    job.run(0.01, refresh)

    assert [r.frame.index for r in stalled.results] == list(range(25))
    assert [r.frame.index for r in other.results] == list(range(25))


def test_a_live_run_goes_on_without_a_sink_that_fails_and_ends_with_its_error():
    broken, whole = ListSink(fail_at=3), WaitingSink(40)
    job = job_of([SCENE.format(1, 100_000)], [[broken, whole]], drop="oldest")
    lines = []

    def refresh():
        lines.append(status_line(job))
        if whole.enough.is_set():
            job.pipeline.stop()

    with pytest.raises(SinkError):
        job.run(0.01, refresh)

    assert len(whole.results) >= 40
    assert any("stopped: " in line for line in lines)


def test_a_file_is_batched_within_itself():
    sizes = []

    def make(batch):
        sizes.append(len(batch))
        return outputs_of(batch)

    kept = ListSink()
    job_of([SCENE.format(1, 40)], [[kept]], batch=8, make=make, latency_s=0.02).run()

    assert [r.frame.index for r in kept.results] == list(range(40))
    assert max(sizes) > 1


def test_so_many_frames_of_a_live_source_come_out_however_many_are_dropped():
    kept = ListSink()
    job = job_of([SCENE.format(1, 100_000)], [[kept]], drop="oldest", max_frames=20, latency_s=0.01)

    job.run()

    numbers = summary(job)["sources"]["synthetic-1"]
    assert len(kept.results) == numbers["delivered"] == 20
    assert numbers["captured"] > 20


def test_so_many_frames_of_each_of_several():
    kept = [ListSink(), ListSink()]
    scenes = [SCENE.format(1, 100_000), SCENE.format(2, 100_000)]
    job_of(scenes, [[sink] for sink in kept], drop="oldest", max_frames=15, latency_s=0.01).run()

    assert [len(sink.results) for sink in kept] == [15, 15]


def test_of_several_cameras_one_that_is_off_is_waited_for_and_alone_it_is_an_error(free_port):
    camera = f"rtsp://127.0.0.1:{free_port}/cam"
    job = job_of([camera, camera], [[ListSink()], [ListSink()]])
    lines = []

    def refresh():
        lines.append(status_line(job))
        if lines[-1].count("connection refused") == 2:
            job.pipeline.stop()

    assert job.run(0.01, refresh) == 0
    refused = next(line for line in lines if line.count("connection refused") == 2)
    assert refused.count("| connecting") == 2
    with pytest.raises(SourceError, match="connection refused"):
        job_of([camera], [[ListSink()]]).run()


def test_settings_of_a_source_that_is_not_there():
    with pytest.raises(ConfigError, match="no source is called 'synthetic'; did you mean"):
        job_of([SCENE.format(1, 1)], [[]], capture={"per_source": {"synthetic": {"stall_s": 1}}})


def test_what_sources_share_is_read_once_a_refresh(monkeypatch, tmp_path):
    shared = {"output": {"jsonl": str(tmp_path / "out.jsonl")}}
    job = job_of([SCENE.format(k, 2) for k in range(4)], [[], [], [], []], **shared)
    job.run()
    asked = []
    real = job.pipeline.channel_stats
    monkeypatch.setattr(job.pipeline, "channel_stats", lambda part: asked.append(part) or real(part))
    monkeypatch.setattr(job.pipeline, "snapshot", lambda: pytest.fail("a snapshot of everything"))

    assert status_line(job).count("2 frames") == 4
    assert sorted(asked) == ["jsonl", *(f"render synthetic-{k}" for k in range(4)), "segment"]


@pytest.mark.parametrize("loop", [False, True], ids=["run", "python loop"])
def test_a_closed_window_ends_the_run(loop):
    window = QuittingSink()
    job = job_of([SCENE.format(1, 100_000)], [[window]])

    if loop:
        with ResultStream(job) as results:
            count = sum(1 for _ in results)
    else:
        assert job.run() == 0
        count = len(window.results)

    assert 3 <= count < 50
    assert window.closed


def test_a_refresh_that_fails_finishes_the_outputs_and_is_raised(tmp_path):
    data = tmp_path / "out.jsonl"
    kept = WaitingSink(3)
    job = job_of([SCENE.format(1, 100_000)], [[kept]], output={"jsonl": str(data)})

    def refresh():
        if kept.enough.is_set():
            raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError, match="the terminal is gone"):
        job.run(0.01, refresh)

    assert kept.closed
    assert all(json.loads(line)["instances"] for line in data.read_text().splitlines())


@pytest.mark.parametrize("begun", [False, True])
def test_a_loop_that_is_not_begun_or_left_closes_its_outputs(begun):
    kept = ListSink()
    results = ResultStream(job_of([SCENE.format(1, 100_000)], [[kept]]))
    if begun:
        next(results)

    del results

    assert kept.closed


def test_what_the_loop_has_seen_is_in_the_outputs():
    kept = ListSink()
    with ResultStream(job_of([SCENE.format(1, 100_000)], [[kept]])) as results:
        seen = [next(results).frame.index for _ in range(5)]

    assert seen == [r.frame.index for r in kept.results][:5]


def test_ages_are_of_the_source_and_of_now():
    quick, slow = ListSink(), ListSink()
    job = job_of([SCENE.format(1, 5), SCENE.format(2, 5)], [[quick], [slow]], latency_s=0.002)

    job.run()

    numbers = summary(job)
    assert {name: source["age_ms"]["count"] for name, source in numbers["sources"].items()} == {
        "synthetic-1": 10,  # once for each of its sinks, of which NullSink is one
        "synthetic-2": 10,
    }
    assert (numbers["age_ms"]["sink"]["count"], numbers["age_ms"]["track"]["count"]) == (20, 10)
    assert numbers["age_ms"]["segment"]["p50_ms"] <= numbers["age_ms"]["sink"]["p50_ms"]
    assert "p99" in status_line(job).splitlines()[0]
