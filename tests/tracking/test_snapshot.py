import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streamseg.structures import Instances
from streamseg.tracking import Tracker, TrackerConfig

MakeInstances = Callable[..., Instances]
FPS = 25


def crowd(make: MakeInstances, k: int) -> Instances:
    """Ten objects on their ways, some missed, with masks."""
    random = np.random.default_rng(3)
    start, speed = random.uniform(0, 300, (10, 2)), random.normal(0, 3, (10, 2))
    kept = np.flatnonzero(np.random.default_rng(k).random(10) > 0.2)
    low = (start + k * speed)[kept] % 340
    soft = np.zeros((len(kept), 80, 80), np.uint8)
    for mask, (x, y) in zip(soft, (low / 5).astype(int), strict=True):
        mask[y : y + 12, x : x + 12] = 255
    return make(
        np.concatenate((low, low + 60), axis=1), np.linspace(0.95, 0.2, len(kept)), kept % 3, soft=soft
    )


@pytest.mark.parametrize("config", [TrackerConfig(), TrackerConfig(nominal_step_seconds=1 / FPS)])
def test_a_restored_tracker_goes_on_as_if_nothing_had_been(
    make_instances: MakeInstances, config: TrackerConfig
) -> None:
    plain, tracker = Tracker(config), Tracker(config)
    for k in range(60):
        if k % 7 == 0:
            text = json.dumps(tracker.snapshot(), allow_nan=False)
            tracker = Tracker(config)
            tracker.restore(json.loads(text))
            assert json.dumps(tracker.snapshot()) == text
        instances = crowd(make_instances, k)
        expected, tracks = plain.update(instances, k / FPS), tracker.update(instances, k / FPS)
        assert np.array_equal(tracks.id, expected.id)
        assert np.array_equal(tracks.xyxy, expected.xyxy)
        assert np.array_equal(tracker.lost().id, plain.lost().id)
    assert plain.lost().id.size
    broken = tracker.snapshot()
    broken["tracks"]["next_id"] = 1
    with pytest.raises(ValueError, match="next id"):
        tracker.restore(broken)


def cut(snapshot: dict[str, Any], *path: str) -> None:
    for name in path[:-1]:
        snapshot = snapshot[name]
    del snapshot[path[-1]]


def test_what_is_no_snapshot_changes_nothing(make_instances: MakeInstances) -> None:
    tracker = Tracker()
    for k in range(5):
        tracker.update(crowd(make_instances, k), k / FPS)
    before = json.dumps(tracker.snapshot())
    broken = [json.loads(before) for _ in range(7)]
    broken[0]["version"] = 2
    cut(broken[1], "tracks", "columns", "seen")
    broken[2]["tracks"]["state"].pop()
    broken[3]["tracks"]["outlines"].pop()
    broken[4]["tracks"]["outlines"][0]["bits"] = "AAAA"
    broken[5]["clock"]["now"] = -5
    broken[6]["frame_hw"] = [1]
    for snapshot in (*broken, {}):
        with pytest.raises(ValueError, match=r"not a tracker's snapshot: .*; begin without it"):
            tracker.restore(snapshot)
        assert json.dumps(tracker.snapshot()) == before
