"""The synthetic scene: the same every time, and its truth exact."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamseg.scene import SceneTruth, SyntheticScene, random_sprite

SIZE = (180, 320)


def test_a_frame_depends_on_seed_and_time_only() -> None:
    scene = SyntheticScene(3, SIZE)
    image, truth = scene.render(2.0)
    scene.render(7.5)
    again, truth_again = SyntheticScene(3, SIZE).render(2.0)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(truth.labels, truth_again.labels)
    np.testing.assert_array_equal(image, scene.frame(60)[0])
    assert not np.array_equal(image, SyntheticScene(4, SIZE).render(2.0)[0])
    assert not np.array_equal(image, scene.render(2.1)[0])


def test_shapes_and_types() -> None:
    image, truth = SyntheticScene(0, SIZE, objects=5).render(1.0)
    n = len(truth)
    assert (image.shape, image.dtype) == ((*SIZE, 3), np.uint8)
    assert (truth.labels.shape, truth.labels.dtype) == (SIZE, np.uint8)
    assert (truth.ids.shape, truth.ids.dtype) == ((n,), np.int64)
    assert (truth.xyxy.shape, truth.xyxy.dtype) == ((n, 4), np.float32)


def test_nothing_in_sight_is_an_empty_truth() -> None:
    scene = SyntheticScene(0, SIZE, objects=1)
    empty = next(t for t in (scene.render(k)[1] for k in range(200)) if len(t) == 0)
    assert empty.xyxy.shape == (0, 4)
    assert not empty.labels.any()


@pytest.mark.parametrize("seed", range(4))
def test_boxes_are_tight_and_small_remains_are_left_out(seed: int) -> None:
    scene = SyntheticScene(seed, SIZE, objects=12)
    for t in range(8):
        _, truth = scene.render(t)
        assert len(set(truth.ids.tolist())) == len(truth)
        assert truth.labels.max(initial=0) == len(truth)
        for row in range(len(truth)):
            ys, xs = np.nonzero(truth.mask(row))
            assert len(ys) >= 16
            box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert truth.xyxy[row].tolist() == box


def test_objects_leave_and_come_back_with_the_same_id() -> None:
    scene = SyntheticScene(1, SIZE)
    seen = [set(scene.render(t)[1].ids.tolist()) for t in np.arange(0, 60, 0.5)]
    returned = set()
    for object_id in set().union(*seen):
        there = [object_id in ids for ids in seen]
        first, last = there.index(True), len(there) - there[::-1].index(True)
        if not all(there[first:last]):
            returned.add(object_id)
    assert len(returned) >= 3


def test_objects_hide_those_behind_them() -> None:
    """The first object is behind all others: what is missing of it is what is in front."""
    alone, crowd = SyntheticScene(2, SIZE, objects=1), SyntheticScene(2, SIZE, objects=20)
    hidden = 0
    for t in range(20):
        whole, crowded = alone.render(t)[1], crowd.render(t)[1]
        if 1 in whole.ids and 1 in crowded.ids:
            missing = whole.mask(0) & ~crowded.mask(0)
            assert not (crowded.mask(0) & ~whole.mask(0)).any()
            # Not all: what is in front may itself be too little to count.
            unexplained = np.count_nonzero(crowded.labels[missing] == 0)
            assert unexplained <= 16 + 0.1 * missing.sum()
            hidden += int(missing.sum())
    assert hidden > 100


def test_motion_is_smooth() -> None:
    scene = SyntheticScene(6, (360, 640))
    previous: SceneTruth | None = None
    steps = []
    for index in range(60):
        _, truth = scene.frame(index)
        if previous is not None:
            shared, mine, theirs = np.intersect1d(truth.ids, previous.ids, return_indices=True)
            box = truth.xyxy[mine]
            inside = (box > 2).all(axis=1) & (box[:, 2] < 638) & (box[:, 3] < 358)
            steps += np.abs(box - previous.xyxy[theirs])[inside].max(axis=1).tolist()
            assert len(shared) > 0
        previous = truth
    assert 0.5 < np.median(steps) < 12


@pytest.mark.parametrize("seed", range(6))
def test_outlines_can_be_seen(seed: int) -> None:
    """The picture changes more across the outlines than elsewhere."""
    image, truth = SyntheticScene(seed, (360, 640)).render(4.0)
    gradient = cv2.morphologyEx(image, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(axis=2)
    edge = cv2.morphologyEx(truth.labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    background = cv2.dilate(truth.labels, np.ones((7, 7), np.uint8)) == 0
    assert np.median(gradient[edge]) > 40
    assert np.median(gradient[edge]) > 2 * np.median(gradient[background])


def test_a_seed_is_the_same_scene_at_every_size() -> None:
    _, small = SyntheticScene(8, (180, 320)).render(3.0)
    _, large = SyntheticScene(8, (360, 640)).render(3.0)
    shared, a, b = np.intersect1d(small.ids, large.ids, return_indices=True)
    assert len(shared) >= 2
    np.testing.assert_allclose(small.xyxy[a] * 2, large.xyxy[b], atol=8)


def test_sprites_are_varied_cut_outs() -> None:
    rng = np.random.default_rng(0)
    fills = []
    for side in (12, 40, 160):
        for _ in range(10):
            bgr, alpha = random_sprite(rng, side)
            assert bgr.shape == (*alpha.shape, 3)
            assert (bgr.dtype, alpha.dtype) == (np.uint8, np.uint8)
            assert max(alpha.shape) == side
            assert not alpha[0].any()
            assert not alpha[:, 0].any()
            fills.append(float((alpha > 127).mean()))
    assert 0.1 < min(fills) < 0.5 < max(fills) < 1


@pytest.mark.parametrize("bad", [{"size_hw": (8, 8)}, {"objects": 0}, {"objects": 251}, {"fps": 0}])
def test_settings_out_of_range(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        SyntheticScene(0, **bad)  # type: ignore[arg-type]
