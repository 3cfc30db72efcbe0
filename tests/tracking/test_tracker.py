import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamseg.masks import BoxGrids, Masks
from streamseg.structures import Instances, Tracks, TrackState
from streamseg.tracking import Tracker, TrackerConfig

MakeInstances = Callable[..., Instances]
FPS = 25


def box(x: float, y: float, w: float = 40, h: float = 80) -> list[float]:
    return [x, y, x + w, y + h]


def ids_of(tracks: Tracks) -> list[int]:
    ids: list[int] = tracks.id.tolist()
    return ids


def test_first_frame_has_ids_and_later_arrivals_wait_for_three_hits(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    seen = [
        tracker.update(make_instances([box(10, 10)] + [box(200, 10)] * (k > 0)), k / FPS) for k in range(5)
    ]
    assert [ids_of(tracks) for tracks in seen] == [[1], [1, -1], [1, -1], [1, 2], [1, 2]]
    assert seen[2].state.tolist() == [TrackState.CONFIRMED, TrackState.TENTATIVE]
    assert seen[3].age_seconds.tolist() == pytest.approx([3 / FPS, 2 / FPS])


def test_a_tentative_track_ends_at_its_first_miss(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    stays, flickers = box(10, 10), box(200, 10)
    frames = [[stays], [stays, flickers], [stays, flickers], [stays]] * 3
    seen = [tracker.update(make_instances(frame), k / FPS) for k, frame in enumerate(frames)]
    assert {tuple(ids_of(tracks)) for tracks in seen} == {(1,), (1, -1)}


def crossing(k: int) -> tuple[list[float], list[float]]:
    return box(10 + 8 * k, 100), box(330 - 8 * k, 110)


@pytest.mark.parametrize("lost_frames", [set(), {8, 9, 18, 19, 20, 21, 30}])
def test_objects_that_cross_keep_their_ids(make_instances: MakeInstances, lost_frames: set[int]) -> None:
    tracker = Tracker()
    seen = [
        ids_of(tracker.update(make_instances(crossing(k)), k / FPS))
        for k in range(40)
        if k not in lost_frames
    ]
    assert seen[0] == seen[-1]
    assert all(ids == seen[0] for ids in seen)


def test_variable_steps(make_instances: MakeInstances) -> None:
    """Fast enough that only the true time says where to look: 600 px/s, boxes of 40 px."""
    random = np.random.default_rng(3)
    steps = random.choice([0.02, 0.04, 0.12, 0.2], 60, p=[0.5, 0.3, 0.1, 0.1])
    times = np.cumsum([0.02] * 10 + steps.tolist())
    frames = [make_instances([box(600 * t, 100)], frame_hw=(400, 8000)) for t in times]
    tracker, told_nothing = Tracker(), Tracker()
    assert [ids_of(tracker.update(f, t)) for f, t in zip(frames, times, strict=True)] == [[1]] * 70
    by_count = [ids_of(told_nothing.update(f, k * 0.02)) for k, f in enumerate(frames)]
    assert by_count != [[1]] * 70


def triangles(soft_at: Sequence[tuple[int, bool]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Complementary halves of a 20 x 20 square, at the given columns of a 100 x 100 grid."""
    y, x = np.mgrid[:20, :20]
    soft = np.zeros((len(soft_at), 100, 100), np.uint8)
    for k, (column, lower) in enumerate(soft_at):
        soft[k, 40:60, column : column + 20] = np.where(y >= x, 255, 0) if lower else np.where(y < x, 255, 0)
    return soft


@pytest.mark.parametrize(("with_masks", "expected"), [(True, [1, 2]), (False, [2, 1])])
def test_masks_decide_where_boxes_mislead(
    make_instances: MakeInstances, with_masks: bool, expected: list[int]
) -> None:
    """Two halves of a square, 12 pixels apart, change places: by their boxes, nothing moved."""
    tracker = Tracker()

    def step(k: int, first: int, second: int) -> Tracks:
        soft = triangles([(first, True), (second, False)]) if with_masks else None
        boxes = [box(4 * first, 160, 80, 80), box(4 * second, 160, 80, 80)]
        return tracker.update(make_instances(boxes, scores=[0.9, 0.8], soft=soft), k / FPS)

    for k in range(10):
        assert ids_of(step(k, 30, 33)) == [1, 2]
    assert ids_of(step(10, 33, 30)) == expected


def test_masks_are_moved_with_their_tracks(make_instances: MakeInstances) -> None:
    """The same halves under way at four cells a frame, unseen for two frames before they change places."""
    tracker = Tracker()

    def step(k: int, first: int, second: int) -> Tracks:
        boxes = [box(4 * first, 160, 80, 80), box(4 * second, 160, 80, 80)]
        soft = triangles([(first, True), (second, False)])
        return tracker.update(make_instances(boxes, scores=[0.9, 0.8], soft=soft), k / FPS)

    for k in range(12):
        assert ids_of(step(k, 10 + 4 * k, 13 + 4 * k)) == [1, 2]
    assert ids_of(step(14, 13 + 4 * 14, 10 + 4 * 14)) == [1, 2]


@pytest.mark.parametrize(("hidden_seconds", "expected"), [(1.0, [1]), (2.4, [-1])])
def test_occlusion_and_the_lost_buffer(
    make_instances: MakeInstances, hidden_seconds: float, expected: list[int]
) -> None:
    tracker = Tracker()
    hidden = range(20, 20 + round(hidden_seconds * FPS))
    for k in range(hidden.stop):
        boxes = [] if k in hidden else [box(10 + 3 * k, 100)]
        tracker.update(make_instances(boxes), k / FPS)
    assert (
        ids_of(tracker.update(make_instances([box(10 + 3 * hidden.stop, 100)]), hidden.stop / FPS))
        == expected
    )


def test_lost_tracks_coast(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    for k in range(30):
        tracker.update(make_instances([box(10 + 4 * k, 100)]), k / FPS)
    assert len(tracker.lost().id) == 0
    for k in range(30, 35):
        tracker.update(make_instances([]), k / FPS)
    lost = tracker.lost()
    assert lost.id.tolist() == [1]
    assert lost.xyxy[0].tolist() == pytest.approx(box(10 + 4 * 34, 100), abs=2)
    assert lost.unseen_seconds.tolist() == pytest.approx([5 / FPS])


def test_weak_detections_prolong_but_do_not_begin(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    tracker.update(make_instances([box(10, 10)]), 0)
    for k in range(1, 60):
        tracks = tracker.update(make_instances([box(10, 10), box(200, 10)], scores=[0.2, 0.2]), k / FPS)
        assert ids_of(tracks) == [1, -1]


def test_weak_detections_do_not_bring_back_the_lost(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    tracker.update(make_instances([box(10, 10)]), 0)
    tracker.update(make_instances([]), 1 / FPS)
    weak, good = (make_instances([box(10, 10)], scores=[score]) for score in (0.2, 0.9))
    assert ids_of(tracker.update(weak, 2 / FPS)) == [-1]
    assert ids_of(tracker.update(good, 3 / FPS)) == [1]


@pytest.mark.parametrize(("class_id", "expected"), [(0, [1]), (5, [-1])])
def test_the_second_look_reaches_further_within_the_class(
    make_instances: MakeInstances, class_id: int, expected: list[int]
) -> None:
    tracker = Tracker()
    tracker.update(make_instances([box(100, 100)]), 0)
    jumped = make_instances([box(130, 100)], classes=[class_id])  # IoU 0.14, 0.36 when enlarged
    assert ids_of(tracker.update(jumped, 1 / FPS)) == expected


def test_keeps_to_the_class_among_near_equals(make_instances: MakeInstances) -> None:
    """A car also found as a truck: the better box is once the one's, once the other's."""
    tracker = Tracker()
    for k in range(12):
        apart = 1 if k % 2 else -1
        boxes = [box(100 + apart, 100), box(100 - apart, 100)]
        tracks = tracker.update(make_instances(boxes, classes=[2, 7]), k / FPS)
        assert ids_of(tracks) == [1, 2]


def test_class_is_no_gate(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    seen = [tracker.update(make_instances([box(100, 100)], classes=[k % 2]), k / FPS) for k in range(6)]
    assert [ids_of(tracks) for tracks in seen] == [[1]] * 6


def test_unsure_detections_must_be_seen_longer(make_instances: MakeInstances) -> None:
    """Confirmed at the sum of scores of three times 0.63."""
    for score, frames in ((0.97, 2), (0.9, 3), (0.65, 3), (0.4, 5)):
        tracker = Tracker()
        tracker.update(make_instances([box(200, 200)]), 0)  # not the first frame, which gives ids at once
        seen = [
            ids_of(tracker.update(make_instances([box(10, 10)], scores=[score]), k / FPS))[0]
            for k in range(1, 8)
        ]
        assert seen.index(2) + 1 == frames


def test_of_two_on_one_object_the_surer_is_it(make_instances: MakeInstances) -> None:
    """An unsure second box lies better on the track than the sure one."""
    tracker = Tracker()
    for k in range(5):
        tracker.update(make_instances([box(100, 100)]), k / FPS)
    both = make_instances([box(106, 100), box(101, 100)], scores=[0.95, 0.4])
    assert ids_of(tracker.update(both, 5 / FPS)) == [1, -1]


def test_the_class_is_voted_with_the_scores(make_instances: MakeInstances) -> None:
    """A truck mistaken for a car at first, and now and then later: pairs of one class are preferred."""
    tracker = Tracker()

    def near(classes: list[int], t: float) -> list[int]:
        boxes = [box(100, 100), box(102, 100)][: len(classes)]
        return ids_of(tracker.update(make_instances(boxes, classes=classes, scores=[0.9] * len(boxes)), t))

    for k, class_id in enumerate([2, 7, 7, 7, 2, 7]):
        assert near([class_id], k / FPS) == [1]
    assert near([2, 7], 6 / FPS) == [-1, 1]
    mistaken = make_instances([box(100, 100), box(300, 300)], classes=[2, 5])
    tracks = tracker.update(mistaken, 7 / FPS)
    assert tracker.voted(mistaken, tracks).class_id.tolist() == [7, 5]
    assert mistaken.class_id.tolist() == [2, 5]
    right = make_instances([box(100, 100)], classes=[7])
    assert tracker.voted(right, tracker.update(right, 8 / FPS)) is right


def test_time_going_backwards(make_instances: MakeInstances) -> None:
    frames = [make_instances([box(10 + 5 * k, 10)]) for k in range(8)]
    plain, disturbed = Tracker(), Tracker()
    for k, frame in enumerate(frames):
        expected, tracks = plain.update(frame, k / FPS), disturbed.update(frame, k / FPS)
        for bad in (-1.0, math.nan, math.inf, -math.inf):
            assert ids_of(disturbed.update(frame, bad)) == [-1]
        assert np.array_equal(tracks.xyxy, expected.xyxy)
    assert disturbed.rejected_frames == 32
    assert ids_of(disturbed.update(frames[-1], 8 / FPS)) == [1]


def test_the_same_time_again_is_matched_and_no_evidence(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    tracker.update(make_instances([]), 0)
    for _ in range(10):
        assert ids_of(tracker.update(make_instances([box(10, 10)]), 1 / FPS)) == [-1]
    tracker.update(make_instances([box(10, 10)]), 2 / FPS)
    assert ids_of(tracker.update(make_instances([box(10, 10)]), 3 / FPS)) == [1]


def test_after_an_interruption_ids_are_new_and_at_once(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    for t in (0, 0.04, 0.08):
        assert ids_of(tracker.update(make_instances([box(10, 10)]), t)) == [1]
    assert ids_of(tracker.update(make_instances([box(10, 10)]), 10)) == [2]
    resized = make_instances([box(10, 10)], frame_hw=(800, 800))
    assert ids_of(tracker.update(resized, 10.04)) == [3]


def test_slow_streams_keep_their_tracks(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    assert [ids_of(tracker.update(make_instances([box(10, 10)]), 3.0 * k)) for k in range(5)] == [[1]] * 5


def test_empty_frames(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    for k in range(3):
        assert len(tracker.update(make_instances([]), k / FPS)) == 0
    assert len(tracker.lost().id) == 0


def on_grid(make: MakeInstances, k: int, cells: int) -> Instances:
    """One object under way, its mask on a grid of `cells`, or on its box where that is 0."""
    boxes = [box(10 + 4 * k, 100)]
    if cells:
        return make(boxes, soft=np.full((1, cells, cells), 255, np.uint8))
    plain = make(boxes)
    masks = Masks(np.full((1, 28, 28), 255, np.uint8), BoxGrids(plain.xyxy), plain.masks.frame_hw)
    return Instances(plain.xyxy, plain.score, plain.class_id, masks)


@pytest.mark.parametrize("grids", [(40, 80), (100, 0), (0, 100)])
def test_ids_outlive_a_change_of_engine(make_instances: MakeInstances, grids: tuple[int, int]) -> None:
    tracker = Tracker()
    for k in range(20):
        assert ids_of(tracker.update(on_grid(make_instances, k, grids[k >= 10]), k / FPS)) == [1]


def test_ids_outlive_an_empty_frame(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    for k in range(20):
        found = Instances.empty((400, 400)) if k in (5, 11, 12) else on_grid(make_instances, k, 40)
        assert set(ids_of(tracker.update(found, k / FPS))) <= {1}
        assert len(tracker.lost().id) == (k in (5, 11, 12))
    assert tracker.lost().id.size == 0


def test_masks_on_boxes_decide_where_boxes_mislead() -> None:
    """Two halves of a square change places, as in the test with masks on one grid."""
    y, x = np.mgrid[:28, :28]
    halves = np.stack([np.where(y >= x, 255, 0), np.where(y < x, 255, 0)]).astype(np.uint8)
    tracker = Tracker()

    def step(k: int, first: int, second: int) -> Tracks:
        xyxy = np.array([box(4 * first, 160, 80, 80), box(4 * second, 160, 80, 80)], np.float32)
        masks = Masks(halves, BoxGrids(xyxy), (400, 400))
        score, class_id = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int32)
        return tracker.update(Instances(xyxy, score, class_id, masks), k / FPS)

    for k in range(10):
        assert ids_of(step(k, 30, 33)) == [1, 2]
    assert ids_of(step(10, 33, 30)) == [1, 2]


def test_unsound_boxes_are_counted_and_untracked(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    boxes = [box(10, 10), [math.nan] * 4, [0, 0, math.inf, 10]]
    for k in range(4):
        tracks = tracker.update(make_instances(boxes), k / FPS)
        assert ids_of(tracks) == [1, -1, -1]
        assert tracks.state.tolist() == [TrackState.CONFIRMED, TrackState.NONE, TrackState.NONE]
    assert tracker.rejected_boxes == 8


Frames = list[np.ndarray[Any, np.dtype[np.float64]]]
# Corner and size on a coarse grid, so that boxes overlap, coincide, and come and go.
crowds = st.lists(
    arrays(np.float64, st.tuples(st.integers(0, 7), st.just(4)), elements=st.integers(1, 5).map(float)),
    min_size=2,
    max_size=8,
)


def instances_of(make: MakeInstances, rows: np.ndarray[Any, np.dtype[np.float64]]) -> Instances:
    """Distinct boxes and scores, no two instances alike."""
    n = len(rows)
    jitter = np.arange(n)[:, None] / 8
    low = rows[:, :2] * 20 + jitter
    soft = np.zeros((n, 40, 40), np.uint8)
    for mask, (x, y, w, h) in zip(soft, rows.astype(int), strict=True):
        mask[2 * y : 2 * y + 6 * h, 2 * x : 2 * x + 6 * w] = 255
    scores = np.linspace(0.9, 0.15, n)
    return make(np.concatenate((low, low + rows[:, 2:] * 60), axis=1), scores, np.arange(n) % 3, soft)


@settings(deadline=None)
@given(crowds, st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_instances(
    make_instances: MakeInstances, frames: Frames, random: Any
) -> None:
    config = TrackerConfig(confirm_hits=2)
    plain, shuffled = Tracker(config), Tracker(config)
    for k, rows in enumerate(frames):
        instances = instances_of(make_instances, rows)
        order = np.array(random.sample(range(len(rows)), len(rows)), np.intp)
        expected, tracks = plain.update(instances, k / FPS), shuffled.update(instances.select(order), k / FPS)
        assert np.array_equal(tracks.id, expected.id[order])
        assert np.array_equal(tracks.xyxy, expected.xyxy[order])


@settings(deadline=None)
@given(crowds)
def test_invariants_of_any_stream(make_instances: MakeInstances, frames: Frames) -> None:
    tracker, again = Tracker(), Tracker()
    ended: set[int] = set()
    alive: set[int] = set()
    for k, rows in enumerate(frames):
        instances = instances_of(make_instances, rows)
        columns: list[np.ndarray[Any, Any]] = [
            instances.xyxy,
            instances.score,
            instances.class_id,
            instances.masks.soft,
        ]
        before = [column.tobytes() for column in columns]
        tracks = tracker.update(instances, 0.7 * k)  # some tracks outlive a miss, none outlives two
        assert [column.tobytes() for column in columns] == before
        assert ids_of(again.update(instances, 0.7 * k)) == ids_of(tracks)

        known = tracks.id[tracks.id > 0]
        assert len(set(known.tolist())) == len(known)
        assert ((tracks.state == TrackState.CONFIRMED) == (tracks.id > 0)).all()
        assert np.array_equal(tracks.xyxy[tracks.id < 0], instances.xyxy[tracks.id < 0])
        now = set(known.tolist()) | set(tracker.lost().id.tolist())
        assert not now & ended
        ended |= alive - now
        alive = now
