"""Masks that flicker around a truth that does not."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from streamseg.evaluation.flicker import steadiness
from streamseg.masks import BoxGrids, Masks
from streamseg.structures import Instances, Tracks
from streamseg.tracking import Tracker
from streamseg.tracking.smoothing import MaskSmoother

MakeInstances = Callable[..., Instances]
FPS = 30
GRID = 100
Bits = np.ndarray


def disc(x: float, y: float, radius: float) -> Bits:
    rows, columns = np.mgrid[:GRID, :GRID] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def seen(truth: Bits, random: np.random.Generator) -> np.ndarray:
    """The truth as probabilities, with doubts in another place in each frame."""
    rows, columns = np.nonzero(truth)
    noise = np.zeros((GRID, GRID))
    for _ in range(25):
        at = random.integers(len(rows))
        y, x = rows[at] + random.normal(0, 2), columns[at] + random.normal(0, 2)
        noise += random.choice([-1, 1]) * disc(x, y, 3)
    doubtful = np.where(truth, 205, 50) - np.where(truth, 100, -100) * (np.where(truth, -noise, noise) > 0)
    return np.where(noise == 0, 255 * truth, doubtful).astype(np.uint8)


def of_box(soft: np.ndarray) -> list[float]:
    rows, columns = np.nonzero(soft >= 128)
    return [4 * columns.min(), 4 * rows.min(), 4 * columns.max() + 4, 4 * rows.max() + 4]


def iou(a: Bits, b: Bits) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def test_smoothed_masks_flicker_less_and_lie_better(make_instances: MakeInstances) -> None:
    random = np.random.default_rng(0)
    tracker, smoother = Tracker(), MaskSmoother()
    truths, raws, smooth = [], [], []
    for k in range(40):
        truth = disc(20 + 1.3 * k, 50 + 0.4 * k, 12 + 0.05 * k)
        raw = seen(truth, random)
        instances = make_instances([of_box(raw)], soft=raw[None])
        tracks = tracker.update(instances, k / FPS)
        made = smoother.smoothed(instances, tracks, k / FPS)
        assert np.array_equal(instances.masks.soft[0], raw)
        truths.append({1: truth})
        raws.append({1: raw >= 128})
        smooth.append({1: made.masks.soft[0] >= 128})
    assert steadiness(truths) > 0.94
    assert steadiness(raws) < 0.9
    assert steadiness(smooth) > steadiness(raws) + 0.05
    quality = [
        np.mean([iou(m[1], t[1]) for m, t in zip(masks, truths, strict=True)]) for masks in (raws, smooth)
    ]
    assert quality[1] > quality[0] + 0.02


def steady(make: MakeInstances, soft: np.ndarray) -> Instances:
    return make([[100, 100, 300, 300]], soft=soft[None])


def test_a_hole_of_a_frame_is_closed_and_one_that_stays_opens(make_instances: MakeInstances) -> None:
    whole = np.where(disc(50, 50, 20), 255, 0).astype(np.uint8)
    holed = np.where(disc(50, 50, 5), 100, whole).astype(np.uint8)
    tracker, smoother = Tracker(), MaskSmoother()
    middle = []
    for k in range(24):
        instances = steady(make_instances, holed if k == 8 or k >= 16 else whole)
        tracks = tracker.update(instances, k / FPS)
        middle.append(smoother.smoothed(instances, tracks, k / FPS).masks.soft[0, 50, 50] >= 128)
    assert middle[:17] == [True] * 17
    assert middle[20:] == [False] * 4


def test_what_changed_altogether_is_not_smeared(make_instances: MakeInstances) -> None:
    left, right = (np.where(disc(x, 50, 10), 255, 0).astype(np.uint8) for x in (35, 65))
    tracker, smoother = Tracker(), MaskSmoother()
    for k, soft in enumerate((left, right)):
        instances = steady(make_instances, soft)
        made = smoother.smoothed(instances, tracker.update(instances, k / FPS), k / FPS)
    assert np.array_equal(made.masks.soft[0] >= 128, right >= 128)


def test_grids_over_boxes_are_blended_in_place() -> None:
    xyxy = np.array([[100, 100, 156, 156]], np.float32)
    smoother, tracker = MaskSmoother(), Tracker()
    for k in range(6):
        soft = np.full((1, 28, 28), 255, np.uint8)
        soft[0, 10:14, 10:14] = 100 if k == 5 else 255
        moved = xyxy + 3 * k
        masks = Masks(soft, BoxGrids(moved), (400, 400))
        instances = Instances(moved, np.array([0.9], np.float32), np.zeros(1, np.int32), masks)
        made = smoother.smoothed(instances, tracker.update(instances, k / FPS), k / FPS)
    assert (made.masks.soft[0] >= 128).all()


def test_times_ids_and_grids_that_do_not_fit(make_instances: MakeInstances) -> None:
    whole = np.where(disc(50, 50, 20), 255, 0).astype(np.uint8)
    nothing = np.zeros_like(whole)
    smoother, tracker = MaskSmoother(), Tracker()
    instances = steady(make_instances, whole)
    tracks = tracker.update(instances, 1.0)
    assert smoother.smoothed(instances, tracks, math.nan) is instances
    smoother.smoothed(instances, tracks, 1.0)
    empty = steady(make_instances, nothing)
    assert not smoother.smoothed(empty, tracks, 0.5).masks.soft.any()  # the past begins anew
    smoother.smoothed(instances, tracks, 1.0)
    untracked = smoother.smoothed(empty, Tracks.untracked(empty), 1.01)
    assert not untracked.masks.soft.any()
    other_grid = make_instances([[100, 100, 300, 300]], soft=np.zeros((1, 50, 50), np.uint8))
    assert not smoother.smoothed(other_grid, tracks, 1.02).masks.soft.any()
    for seconds in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be a finite time above 0"):
            MaskSmoother(seconds)


def test_nothing_is_kept_of_tracks_that_ended(make_instances: MakeInstances) -> None:
    smoother = MaskSmoother()
    for k in range(200):
        instances = steady(make_instances, np.full((GRID, GRID), 255, np.uint8))
        tracks = Tracks.untracked(instances)
        tracks.id[:] = k + 1
        smoother.smoothed(instances, tracks, k / FPS)
    assert len(smoother._past) <= 32  # a second
