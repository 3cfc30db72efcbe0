import numpy as np
import pytest

from streamseg.masks import Masks
from streamseg.structures import Instances
from streamseg.tracking import Tracker, TrackerConfig
from streamseg.tracking.detections import detections_from_instances
from streamseg.tracking.occlusion import whole_boxes

CELL, GRID_HW = 4, (100, 160)
Box = tuple[int, int, int, int]
POST: Box = (80, 30, 100, 70)


def shown(*cells: Box) -> Instances:
    """Masks that fill boxes of cells."""
    soft = np.zeros((len(cells), *GRID_HW), np.uint8)
    for one, (x1, y1, x2, y2) in zip(soft, cells, strict=True):
        one[y1:y2, x1:x2] = 255
    n = len(cells)
    frame_hw = GRID_HW[0] * CELL, GRID_HW[1] * CELL
    score = np.linspace(0.9, 0.8, n, dtype=np.float32)
    masks = Masks(soft, (CELL, CELL), frame_hw)
    return Instances(CELL * np.array(cells, np.float32), score, np.zeros(n, np.int32), masks)


def whole(found: Instances, row: int, expected: Box) -> list[float]:
    detections, _ = detections_from_instances(found, 0.1)
    which = np.flatnonzero(detections.index == row)
    boxes: np.ndarray = whole_boxes(detections, which, CELL * np.array([expected], np.float64))
    return [side / CELL for side in boxes[0].tolist()]


@pytest.mark.parametrize(
    ("seen", "expected", "completed"),
    [
        # What the post hides of it on the right, left, below and above.
        ((70, 40, 80, 60), (69, 40, 89, 60), (70, 40, 90, 60)),
        ((100, 40, 112, 60), (93, 40, 113, 60), (92, 40, 112, 60)),
        ((82, 10, 98, 30), (82, 8, 98, 38), (82, 10, 98, 40)),
        ((82, 70, 98, 80), (82, 52, 98, 82), (82, 50, 98, 80)),
        # It is a cell away from the post, or smaller beside it, or as large as expected.
        ((66, 40, 79, 60), (65, 40, 85, 60), (66, 40, 86, 60)),
        ((60, 40, 75, 60), (60, 40, 80, 60), (60, 40, 75, 60)),
        ((60, 40, 80, 60), (58, 40, 78, 60), (60, 40, 80, 60)),
        # Only a corner of it touches the post.
        ((70, 20, 80, 33), (69, 20, 89, 33), (70, 20, 80, 33)),
    ],
)
def test_a_hidden_side_is_where_the_track_expects_it(seen: Box, expected: Box, completed: Box) -> None:
    assert whole(shown(POST, seen), 1, expected) == pytest.approx(completed)
    assert whole(shown(seen, POST), 0, expected) == pytest.approx(completed)


def test_between_two_others_both_sides_are_as_expected() -> None:
    found = shown((60, 40, 70, 60), (70, 40, 78, 60), (78, 40, 90, 60))
    assert whole(found, 1, (66, 40, 81, 60)) == pytest.approx((66, 40, 81, 60))


def test_without_masks_boxes_are_what_they_are() -> None:
    found = shown(POST, (70, 40, 80, 60))
    nothing = Masks(np.zeros((2, 1, 1), np.uint8), (640, 400), (400, 640))
    bare = Instances(found.xyxy, found.score, found.class_id, nothing)
    assert whole(bare, 1, (69, 40, 89, 60)) == [70, 40, 80, 60]


def walker(k: int) -> Box | None:
    """What is seen at frame k of a walker 20 cells wide who goes one cell a frame behind the post."""
    left, right = 40 + k, min(60 + k, POST[0])
    if left >= POST[0] - 1:
        left, right = max(40 + k, POST[2]), 60 + k
    return (left, 40, right, 60) if right - left >= 2 else None


def test_who_goes_behind_another_keeps_size_pace_and_id() -> None:
    tracker = Tracker(TrackerConfig(nominal_step_seconds=1 / 25))
    ids = set()
    for k in range(80):
        seen = walker(k)
        tracks = tracker.update(shown(POST, *([seen] if seen else [])), k / 25)
        ids |= set(tracks.id[1:].tolist())
        if seen and 10 <= k < 36:
            x1, _, x2, _ = tracks.xyxy[1] / CELL
            assert x2 - x1 == pytest.approx(20, abs=2)
            assert (x1 + x2) / 2 == pytest.approx(50 + k, abs=1)
    assert ids == {int(tracks.id[1])}
