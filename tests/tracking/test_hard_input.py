"""Frames that are sound but hard."""

import pickle
from collections.abc import Callable

import numpy as np

from streamseg.structures import Instances
from streamseg.tracking import Tracker, TrackerConfig

MakeInstances = Callable[..., Instances]
FPS = 25


def test_masks_without_area_are_followed_by_their_boxes(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    for k in range(8):
        boxes = [[10 + 5 * k, 10, 50 + 5 * k, 90], [60 - 5 * k, 14, 100 - 5 * k, 94]]
        soft = np.zeros((2, 100, 100), np.uint8)
        if k % 2:
            soft[0, 2:22, 2:12] = 255  # one has an area now and then
        assert tracker.update(make_instances(boxes, soft=soft), k / FPS).id.tolist() == [1, 2]


def test_five_hundred_instances(make_instances: MakeInstances) -> None:
    low = np.stack(np.divmod(np.arange(500), 25), axis=1) * 80.0
    tracker = Tracker()
    for k in range(6):
        instances = make_instances(np.concatenate((low, low + 60), axis=1) + 3 * k, frame_hw=(2100, 2100))
        assert tracker.update(instances, k / FPS).id.tolist() == list(range(1, 501))


def test_memory_is_flat_after_a_hundred_thousand_births(make_instances: MakeInstances) -> None:
    random = np.random.default_rng(0)
    tracker = Tracker(TrackerConfig(confirm_hits=1, lost_seconds=0.1))
    frames = []
    for _ in range(50):
        low = random.uniform(0, 4000, (100, 2))
        frames.append(make_instances(np.concatenate((low, low + 20), axis=1), frame_hw=(4000, 4000)))

    sizes = []
    for k in range(1100):
        tracker.update(frames[k % 50], k / FPS)
        if k in (99, 1099):
            sizes.append(len(pickle.dumps(tracker)))  # all that the tracker holds on to
    # Boxes of one frame rarely lie on those of the last.
    assert tracker.lost().id.max() > 90_000
    assert sizes[1] < 1.1 * sizes[0]
