"""What is covered of objects before, between and after they were found, by hand-made detections."""

import numpy as np
import pytest

from streamseg.redaction.cells import CellGrid, CellPatch
from streamseg.redaction.covers import Covers

GRID = CellGrid((180, 320))  # cells of 2 pixels
STEP = 0.04


def see(covers, t, boxes, ids=None):
    """Detections whose masks fill their boxes, of even pixels."""
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    found = [
        CellPatch(x1 // 2, y1 // 2, np.ones(((y2 - y1) // 2, (x2 - x1) // 2), np.uint8))
        for x1, y1, x2, y2 in boxes.astype(int).tolist()
    ]
    covers.see(t, boxes, found, ids or [-1] * len(boxes), [0.9] * len(boxes))


def covered(covers, t, box, reveal=()):
    """Whether all of `box` is."""
    x1, y1, x2, y2 = (round(side / 2) for side in box)
    return bool(covers.hide(t, reveal).bits[y1:y2, x1:x2].all())


def walk(frame, speed=4):
    """A box that walks to the right, `speed` pixels a frame."""
    x = 60 + speed * frame
    return [x, 60, x + 24, 120]


def walked(seen, last):
    covers = Covers(GRID, 1.0)
    for k in range(last + 1):
        see(covers, k * STEP, [walk(k)] if k in seen else [])
    return covers


def test_what_was_found_is_covered_with_a_margin_and_no_more():
    covers = walked(range(10), 9)
    bits = covers.hide(5 * STEP).bits
    x1, y1, x2, y2 = walk(5)
    assert bits[(y1 - 2) // 2 : (y2 + 2) // 2, (x1 - 2) // 2 : (x2 + 2) // 2].all()
    assert bits.sum() < 1.8 * (x2 - x1) * (y2 - y1) / 4


def test_before_it_was_found():
    covers = walked(range(12, 20), 20)
    for k in range(12):
        assert covered(covers, k * STEP, walk(k)), k


@pytest.mark.parametrize("gap", [1, 5, 20])
def test_between_two_sightings(gap):
    covers = walked([*range(8), *range(8 + gap, 40)], 40)
    for k in range(8, 8 + gap):
        assert covered(covers, k * STEP, walk(k)), k
        assert covers.hide(k * STEP).remembered == 1


def test_after_it_was_lost_wherever_it_went():
    covers = walked(range(10), 30)
    for k in range(10, 30):
        hidden = covers.hide(k * STEP)
        assert covered(covers, k * STEP, walk(k)), k  # went on
        assert covered(covers, k * STEP, walk(9)), k  # stopped
        assert hidden.remembered == 1
    sizes = [int(covers.hide(k * STEP).bits.sum()) for k in (10, 15, 20)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_in_the_end_it_is_given_up():
    covers = walked(range(10), 10)
    assert covers.hide(9 * STEP + 2.9).bits.any()
    assert not covers.hide(9 * STEP + 3.1).bits.any()


def test_what_comes_near_the_border_reaches_it():
    covers = Covers(GRID, 1.0)
    for k in range(4):
        see(covers, k * STEP, [[6, 60, 30, 120]])
    assert covers.hide(2 * STEP).bits[32:58, 0].all()


def test_one_that_is_taken_for_another_stays_covered():
    """Two stand close; then only one detection is left, now here, now there."""
    covers = Covers(GRID, 1.0)
    a, b = [100, 60, 140, 120], [116, 60, 156, 120]
    for k in range(10):
        see(covers, k * STEP, [a, b])
    for k in range(10, 30):
        see(covers, k * STEP, [a if k % 3 else b])
    for k in range(10, 30):
        assert covered(covers, k * STEP, a), k
        assert covered(covers, k * STEP, b), k


def test_after_a_cut_what_was_before_it_stays_for_a_second():
    covers = walked(range(10), 9)
    covers.break_off(10 * STEP)
    assert covered(covers, 12 * STEP, walk(12))
    assert not covers.hide(10 * STEP + 1.1).bits.any()


class TestReveal:
    def person(self, others=None, ids=None, until=80):
        """Track 7 stands; `others(k)` are boxes beside it."""
        covers = Covers(GRID, 1.0)
        for k in range(until):
            beside = others(k) if others else []
            track = ids(k) if ids else 7
            see(covers, k * STEP, [[60, 60, 84, 120], *beside], [track, *range(20, 20 + len(beside))])
        return covers

    def test_only_after_a_second_without_doubt(self):
        covers = self.person()
        assert covers.hide(24 * STEP, (7,)).revealed == ()
        hidden = covers.hide(30 * STEP, (7,))
        assert hidden.revealed == (7,)
        assert not hidden.bits.any()
        assert covers.hide(30 * STEP, (8,)).bits.any()

    def test_not_while_another_is_near_and_then_the_other_stays_covered(self):
        far, near = [[200, 60, 224, 120]], [[88, 60, 112, 120]]
        covers = self.person(lambda k: far if k < 40 else near, until=60)
        assert covers.hide(59 * STEP, (7,)).revealed == ()
        covers = self.person(lambda k: far)
        hidden = covers.hide(60 * STEP, (7,))
        assert hidden.revealed == (7,)
        assert hidden.bits[32:58, 101:111].all()

    def test_not_in_a_frame_in_which_it_was_not_found(self):
        covers = self.person()
        for k in range(80, 90):
            see(covers, k * STEP, [])
        assert covers.hide(82 * STEP, (7,)).revealed == ()
        assert covers.hide(82 * STEP, (7,)).bits[32:58, 32:40].all()

    def test_never_again_on_another_object_nor_on_one_that_had_another_id(self):
        covers = self.person(lambda k: [[200, 60, 224, 120]], until=40)
        assert covers.hide(39 * STEP, (7,)).revealed == (7,)
        for k in range(40, 120):  # the tracker changes its mind: 7 is over there
            see(covers, k * STEP, [[60, 60, 84, 120], [200, 60, 224, 120]], [20, 7])
        assert covers.hide(110 * STEP, (7,)).revealed == ()
        assert covered(covers, 110 * STEP, [200, 60, 224, 120], (7,))
        for k in range(120, 200):
            see(covers, k * STEP, [[60, 60, 84, 120], [200, 60, 224, 120]], [7, 20])
        assert covers.hide(190 * STEP, (7,)).revealed == ()
