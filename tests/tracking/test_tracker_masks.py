"""What masks tell a tracker that boxes cannot."""

from collections.abc import Callable

import numpy as np
import pytest

from streamseg.structures import Instances, Tracks
from streamseg.tracking import Tracker

MakeInstances = Callable[..., Instances]
FPS = 25


def ids_of(tracks: Tracks) -> list[int]:
    ids: list[int] = tracks.id.tolist()
    return ids


def half_hidden(make: MakeInstances, k: int, with_masks: bool) -> Instances:
    """A still object of 20 x 40 cells; from frame 10 on a post covers all but five columns of it."""
    columns = slice(30, 50) if k < 10 else slice(45, 50)
    soft = np.zeros((1, 100, 100), np.uint8)
    soft[0, 40:80, columns] = 255
    boxes = [[4.0 * columns.start, 160, 200, 320]]
    return make(boxes, soft=soft if with_masks else None)


@pytest.mark.parametrize(("with_masks", "expected"), [(True, [1]), (False, [-1])])
def test_what_is_left_of_a_mask_is_still_its_track(
    make_instances: MakeInstances, with_masks: bool, expected: list[int]
) -> None:
    """A quarter of the box: too little for any gate of boxes. And back again."""
    tracker = Tracker()
    for k in range(10):
        assert ids_of(tracker.update(half_hidden(make_instances, k, with_masks), k / FPS)) == [1]
    assert ids_of(tracker.update(half_hidden(make_instances, 10, with_masks), 10 / FPS)) == expected
    if with_masks:
        for k in range(11, 30):
            assert ids_of(tracker.update(half_hidden(make_instances, k, True), k / FPS)) == [1]
        for k in range(30, 33):
            assert ids_of(tracker.update(half_hidden(make_instances, 0, True), k / FPS)) == [1]


def test_a_piece_beside_the_mask_is_another_object(make_instances: MakeInstances) -> None:
    """As much of the box, but where the object is not: its mask is the box's lower left half."""
    tracker = Tracker()
    y, x = np.mgrid[:40, :40]
    for k in range(10):
        soft = np.zeros((1, 100, 100), np.uint8)
        soft[0, 40:80, 30:70] = 255 * (y > x)
        tracker.update(make_instances([[120, 160, 280, 320]], soft=soft), k / FPS)
    piece = np.zeros((1, 100, 100), np.uint8)
    piece[0, 40:55, 55:70] = 255
    assert ids_of(tracker.update(make_instances([[220, 160, 280, 220]], soft=piece), 10 / FPS)) == [-1]
