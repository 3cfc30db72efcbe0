"""The latency contract: what is too old is dropped and counted, what is skipped is moved by its track."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.masks import Masks, full_frame
from streamseg.sinks.list_sink import ListSink
from streamseg.source_state import SourceState
from streamseg.streaming.config import load_config
from streamseg.streaming.contract import LatencyContract
from streamseg.streaming.deliver import Deliver
from streamseg.streaming.follow import Follow
from streamseg.streaming.job import Job
from streamseg.streaming.ladder import Ladder
from streamseg.streaming.meter import SinkMeter, SourceMeter
from streamseg.streaming.outrun import Outrun
from streamseg.streaming.report import status_line, summary
from streamseg.structures import Frame, Instances, Result, Segmented, Tracks
from streamseg.tracking.config import TrackerConfig

HW = (60, 120)
MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 10**9

    def __call__(self) -> int:
        return self.ns


def frame(index: int, captured_ns: int = 0, source_id: str = "cam") -> Frame:
    return Frame(np.zeros((*HW, 3), np.uint8), index, index / 30, captured_ns, source_id)


def square(index: int, x: float) -> Segmented:
    """One square of 20 × 20 pixels at x, on a grid of 2 pixels a cell."""
    soft = np.zeros((1, 30, 60), np.uint8)
    soft[0, 10:20, int(x / 2) : int(x / 2) + 10] = 255
    masks = Masks(soft, (2.0, 2.0), HW)
    xyxy = np.array([[x, 20, x + 20, 40]], np.float32)
    found = Instances(xyxy, np.array([0.9], np.float32), np.zeros(1, np.int32), masks)
    return Segmented(frame(index), found)


def test_a_frame_older_than_promised_is_dropped_and_counted() -> None:
    clock, meter = Clock(), SourceMeter()
    contract = LatencyContract(0.150, lambda _: meter, now_ns=clock)
    frames = [frame(0, clock.ns - 149 * MS), frame(1, clock.ns - 151 * MS)]
    to_infer, to_coast = contract.choose(frames)
    assert [f.index for f in to_infer] == [0]
    assert to_coast == []
    assert meter.too_old.value == 1


def test_a_result_older_than_promised_never_reaches_its_sink() -> None:
    clock, sink, meter = Clock(), ListSink(), SinkMeter(0.150)
    deliver = Deliver(sink, {"cam": meter}, clock)
    empty = Instances.empty(HW)
    for index, age_ms in enumerate((10, 150, 151, 4000, 20)):
        item = frame(index, clock.ns - age_ms * MS)
        deliver.process([Result(item, empty, Tracks.untracked(empty), ())])
        clock.ns += 1000 * MS
    assert [result.frame.index for result in sink.results] == [0, 1, 4]
    assert (meter.written.value, meter.too_old.value) == (3, 2)
    assert sink.results[0].recent_age_ms is None
    p50, p95, p99 = sink.results[-1].recent_age_ms
    assert p50 <= p95 <= p99 == pytest.approx(150, rel=0.02)


def test_while_the_ladder_is_down_every_second_frame_of_each_source_goes_past_the_engine() -> None:
    clock, meter = Clock(), SourceMeter()
    contract = LatencyContract(10.0, lambda _: meter, now_ns=clock)
    for index in range(0, 300, 3):  # two of three are lost
        clock.ns += 100 * MS
        contract.choose([frame(index, clock.ns)])
        if contract.ladder.rung:
            break
    assert contract.ladder.rung == 1
    way = {"a": "", "b": ""}
    for index in range(1000, 1006):
        to_infer, to_coast = contract.choose([frame(index, clock.ns, "a"), frame(index, clock.ns, "b")])
        for source_id in way:
            way[source_id] += "i" if source_id in [f.source_id for f in to_infer] else "c"
        assert len(to_infer) + len(to_coast) == 2
    assert way == {"a": "icicic", "b": "icicic"}


def test_without_a_tracker_nothing_goes_past_the_engine() -> None:
    contract = LatencyContract(10.0, lambda _: SourceMeter(), coasts=False)
    contract.ladder.rung = 1
    assert [len(contract.choose([frame(k, 2**62)])[0]) for k in range(3)] == [1, 1, 1]


def test_masks_and_boxes_move_on_with_their_tracks_and_results_say_so() -> None:
    """A square that goes 4 pixels a frame to the right; the engine sees every second frame."""
    follow = Follow(("thing",), TrackerConfig(nominal_step_seconds=1 / 30))
    for index in range(0, 20, 2):
        [seen] = follow.process([square(index, 4.0 * index)])
        skipped = Segmented(frame(index + 1), Instances.empty(HW), coasted=True)
        [moved] = follow.process([skipped])
    assert (seen.coasted, moved.coasted) == (False, True)
    assert moved.tracks.id.tolist() == seen.tracks.id.tolist() == [1]
    assert moved.frame.index == 19
    assert moved.instances.xyxy[0] == pytest.approx([76, 20, 96, 40], abs=1.0)
    assert moved.tracks.age_seconds[0] == pytest.approx(seen.tracks.age_seconds[0] + 1 / 30, abs=1e-4)
    pixels = full_frame(moved.instances.masks, moved.instances.xyxy, 0)
    columns = np.flatnonzero(pixels.any(axis=0))
    assert (columns[0], columns[-1] + 1) == pytest.approx((76, 96), abs=1.5)
    assert seen.instances.xyxy[0] == pytest.approx([72, 20, 92, 40], abs=1e-3)


def test_nothing_is_moved_where_nothing_was_seen() -> None:
    follow = Follow(("thing",), TrackerConfig())
    [result] = follow.process([Segmented(frame(0), Instances.empty(HW), coasted=True)])
    assert (len(result.instances), result.coasted) == (0, True)


# -- the whole job ---------------------------------------------------------------------------------

INFO = EngineInfo("fake", "scene", ("shape",), "stretch", (36, 48), 1, 0.05)


def outputs_of(batch: np.ndarray) -> EngineOutputs:
    masks = np.zeros((len(batch), 1, 9, 12), np.uint8)
    masks[:, 0, 3:6, 3:9] = 255
    boxes = np.full((len(batch), 1, 4), (0.25, 0.25, 0.75, 0.75), np.float32)
    scores = np.full((len(batch), 1), 0.9, np.float32)
    return EngineOutputs(
        boxes, scores, np.zeros((len(batch), 1), np.int32), masks, np.ones(len(batch), np.int32)
    )


class SureSink(ListSink):
    """As one of events."""

    misses_nothing = True


def test_on_the_last_rung_what_comes_is_for_the_tracker_however_old_and_nothing_is_counted() -> None:
    clock, meter = Clock(), SourceMeter()
    contract = LatencyContract(0.150, lambda _: meter, now_ns=clock)
    contract.ladder.rung = 2
    frames = [frame(k, clock.ns - 400 * MS) for k in range(3)]
    assert contract.choose(frames) == (frames, [])
    assert meter.too_old.value == 0


def test_frames_go_on_past_the_engine_and_what_it_finds_later_moves_the_next() -> None:
    """The engine takes the time of five frames; a square goes 2 pixels a frame to the right."""
    ladder, meter = Ladder(0.15), SourceMeter()
    ladder.rung = 2
    outrun = Outrun(ladder, lambda _: meter)
    follow = Follow(("thing",), TrackerConfig(nominal_step_seconds=1 / 30), outrun=outrun)
    shown = list(follow.process([square(0, 0.0)]))
    for index in range(1, 31):
        shown += follow.process([frame(index)])
        if index % 5 == 0 and index > 5:
            assert list(follow.process([square(index - 5, 2.0 * (index - 5))])) == []
    assert [result.frame.index for result in shown] == list(range(31))
    assert [result.coasted for result in shown] == [False] + [True] * 30
    assert (meter.outrun.value, meter.overtaken.value) == (30, 5)
    assert meter.last_ns == 0
    assert {tuple(result.tracks.id.tolist()) for result in shown[20:]} == {(1,)}
    left = [float(result.instances.xyxy[0, 0]) for result in shown]
    assert left[20:] == pytest.approx([2.0 * k for k in range(20, 31)], abs=3)
    # What was seen longer ago than a track lives is shown no more.
    [late] = follow.process([replace(frame(90), pts_seconds=25 / 30 + TrackerConfig().lost_seconds + 0.1)])
    assert (late.coasted, len(late.instances)) == (True, 0)
    # Above the last rung frames past the engine are left alone.
    ladder.rung = 1
    assert list(follow.process([frame(91)])) == []
    follow.forget("cam")
    assert [result.frame.index for result in follow.process([square(3, 12.0)])] == [3]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_engine_slower_than_the_promise_is_outrun_by_the_tracker() -> None:
    """What the engine saw is too old when it is done; what is delivered was moved by the tracker, and comes
    as often as the camera gives frames."""
    options = {"sources": ["camera"], "drop": "oldest", "max_age_s": 0.05}
    kept, events = ListSink(), SureSink()
    job = Job(
        load_config(None, options),
        {"camera": [kept, events]},
        INFO,
        lambda: FakeEngine(INFO, outputs_of, latency_s=0.2),
    )
    in_time = []

    def refresh() -> None:
        if job._contract.ladder.rung == 2 and not in_time:
            in_time.append(len(kept.results))
        if in_time and len(kept.results) >= in_time[0] + 60:
            job.pipeline.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamseg.streaming.ladder._WINDOW_S", 0.5)
        patch.setattr("streamseg.streaming.openings.open_source", lambda *_: Camera(1500))
        assert job.run(0.01, refresh) == 0
    numbers = summary(job)["sources"]["camera"]
    beside = kept.results[in_time[0] :]
    assert all(result.coasted for result in beside)
    assert {len(result.instances) for result in beside} == {1}
    # As the camera gives them, though the engine takes the time of six: none is left out.
    steps = np.diff([result.frame.index for result in beside])
    assert np.median(steps) == 1
    assert steps.mean() < 2
    assert [r.frame.index for r in events.results] == sorted({r.frame.index for r in events.results})
    assert numbers["captured"] == numbers["delivered"] + sum(numbers["dropped"].values())
    assert min(numbers["dropped"].values()) >= 0
    assert numbers["recent_age_ms"]["count"] == numbers["delivered"]
    assert "p95" in status_line(job)


class Camera:
    """Thirty frames a second by the clock."""

    fps = 30.0
    state = SourceState("live")
    size_hw = HW

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._ended = threading.Event()

    def __iter__(self):
        began = time.monotonic_ns()
        for index in range(self._frames):
            due = began + index * 10**9 // 30
            if self._ended.wait(max(0, due - time.monotonic_ns()) / 1e9):
                return
            yield frame(index, time.monotonic_ns(), "camera")

    def counters(self) -> dict[str, int]:
        return {}

    def interrupt(self) -> None:
        self._ended.set()

    def close(self) -> None: ...
