"""Matching and adding up, on rectangles whose every figure can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from streamseg.certification.comparison import Comparison, compare_frame, difference, moved_boxes
from streamseg.certification.instance_match import region_ious
from streamseg.certification.thresholds import Thresholds

NAMES = ("cat", "dog", "cup")
T = 0.3


def found(frame):
    m = frame.matching
    return m.pairs.tolist(), m.changed.tolist(), m.missed.tolist(), m.extra.tolist()


def test_iou_in_pixels(rectangles):
    a = rectangles((0, 0, 10, 10, 0.9, 0), (40, 40, 50, 50, 0.8, 0))
    b = rectangles((2, 0, 12, 10, 0.9, 0))
    assert region_ious(a.pixels.regions, b.pixels.regions).tolist() == [[pytest.approx(80 / 120)], [0]]


def test_rows_may_change_places(rectangles):
    a = rectangles((0, 0, 10, 10, 0.9, 0), (40, 40, 50, 50, 0.89, 0))
    b = rectangles((40, 40, 50, 50, 0.9, 0), (0, 0, 10, 10, 0.89, 0))
    frame = compare_frame(a, b, T)
    assert found(frame) == ([[0, 1], [1, 0]], [], [], [])
    assert frame.matching.iou.tolist() == [1, 1]
    assert frame.boundary_px.tolist() == [0, 0]
    assert frame.badness == pytest.approx(0.02)  # 0.01 of score each


def test_a_near_tie_at_the_score_is_no_miss(rectangles):
    a, b = (rectangles((0, 0, 10, 10, score, 0)) for score in (0.301, 0.299))
    assert found(compare_frame(a, b, T)) == ([[0, 0]], [], [], [])
    assert found(compare_frame(b, a, T)) == ([[0, 0]], [], [], [])
    assert found(compare_frame(a, rectangles(), T)) == ([], [], [0], [])
    assert found(compare_frame(rectangles(), a, T)) == ([], [], [], [0])


def test_what_scores_less_on_both_sides_is_not_compared(rectangles):
    weak = rectangles((0, 0, 10, 10, 0.29, 0))
    other = rectangles((30, 0, 40, 10, 0.29, 1))
    assert found(compare_frame(weak, weak, T)) == ([], [], [], [])
    assert found(compare_frame(weak, other, T)) == ([], [], [], [])


def test_a_weak_double_takes_no_partner_away(rectangles):
    """The weak row fits the candidate better (IoU 1 against 0.8), the strong one needs it."""
    a = rectangles((0, 0, 10, 8, 0.9, 0), (0, 0, 10, 10, 0.27, 0))
    b = rectangles((0, 0, 10, 10, 0.9, 0))
    assert found(compare_frame(a, b, T)) == ([[0, 0]], [], [], [])


def test_equal_engines_pair_row_by_row_however_often_they_find_one_object(rectangles):
    """Crosswise the strong row and its weak double overlap by 0.8 twice, which is more than 1 once."""
    both = rectangles((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 8, 0.27, 0))
    frame = compare_frame(both, both, T)
    assert found(frame) == ([[0, 0]], [], [], [])
    assert frame.matching.iou.tolist() == [1]


def test_half_an_object_is_another_object(rectangles):
    a, b = rectangles((0, 0, 10, 10, 0.9, 0)), rectangles((0, 0, 10, 4, 0.9, 0))
    assert found(compare_frame(a, b, T)) == ([], [], [0], [0])


def test_another_class_is_neither_missed_nor_extra(rectangles):
    a, b = rectangles((0, 0, 10, 10, 0.9, 0)), rectangles((0, 0, 10, 10, 0.9, 1))
    assert found(compare_frame(a, b, T)) == ([], [[0, 0]], [], [])


def test_equal_class_comes_before_a_better_mask(rectangles):
    a = rectangles((0, 0, 10, 10, 0.9, 0))
    b = rectangles((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 8, 0.8, 0))
    assert found(compare_frame(a, b, T)) == ([[0, 1]], [], [], [0])


def test_instances_without_a_pixel_are_left_out_and_counted(rectangles):
    a = rectangles((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 0), blank=(1,))
    b = rectangles((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 0), blank=(0, 1))
    frame = compare_frame(a, b, T)
    assert found(frame) == ([], [], [0], [])
    assert frame.maskless == 1


@pytest.fixture
def two_frames(rectangles):
    """Three matched, of which one is shifted and one a near tie; one missed, one extra, one renamed."""
    a = rectangles(
        (0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 0), (40, 0, 50, 10, 0.7, 1), (60, 0, 70, 10, 0.5, 2)
    )
    b = rectangles(
        (0, 0, 10, 10, 0.9, 0), (22, 0, 32, 10, 0.7, 0), (40, 0, 50, 10, 0.7, 0), (60, 30, 70, 40, 0.5, 1)
    )
    c = rectangles((0, 0, 10, 10, 0.31, 0), (20, 0, 30, 10, 0.28, 0))
    d = rectangles((0, 0, 10, 10, 0.29, 0), (20, 0, 30, 10, 0.28, 0))
    return [compare_frame(a, b, T), compare_frame(c, d, T)]


def test_figures(two_frames):
    total = Comparison(NAMES, Thresholds())
    for frame in two_frames:
        total.add(frame)
    figures = total.figures()
    assert (figures.frames, figures.reference, figures.candidate, figures.due) == (2, 5, 4, 5)
    assert (figures.matched, figures.missed, figures.extra, figures.changed) == (3, 1, 1, 1)
    assert (figures.fell_below, figures.rose_above) == (1, 0)
    assert figures.class_changes == {"dog → cat": 1}
    rows = [(r.name, r.matched, r.missed, r.extra, r.changed, r.due) for r in figures.classes]
    assert rows == [("cat", 3, 0, 0, 0, 3), ("dog", 0, 0, 1, 1, 1), ("cup", 0, 1, 0, 0, 1)]
    ious = [1, 80 / 120, 1]
    assert figures.iou == {
        "p1": pytest.approx(np.percentile(ious, 1)),
        "p5": pytest.approx(np.percentile(ious, 5)),
        "p50": 1,
        "mean": pytest.approx(np.mean(ious)),
    }
    assert figures.score_shift == {
        "mean": pytest.approx((0 - 0.1 - 0.02) / 3, abs=1e-6),
        "p95": pytest.approx(np.percentile([0, 0.1, 0.02], 95), abs=1e-6),
        "max": pytest.approx(0.1, abs=1e-6),
    }
    assert figures.box_iou == figures.iou
    assert figures.box_px == {
        "p95": pytest.approx(np.percentile([0, 2, 0], 95)),
        "mean": pytest.approx(2 / 3),
    }
    assert figures.beyond == {"mask": 1, "box": 1, "score": 1}
    assert figures.boundary_uncertainty == pytest.approx(1 / 3 / 100)  # of 0, 1 and 0 of a diagonal of 100
    # Of each 36 border pixels 16 lie on the other's border, 4 are 1 away and 16 are 2 away: 1 on average.
    assert figures.boundary_px == {"p95": pytest.approx(0.9), "mean": pytest.approx(1 / 3)}
    assert figures.boundary_share == pytest.approx(1 / 3 / 100)


def test_no_pair_has_no_quantiles(rectangles):
    total = Comparison(NAMES, Thresholds())
    total.add(compare_frame(rectangles((0, 0, 10, 10, 0.9, 0)), rectangles(), T))
    figures = total.figures()
    assert (figures.iou, figures.boundary_px, figures.boundary_share, figures.score_shift) == (None,) * 4
    assert (figures.due, figures.missed) == (1, 1)


def test_the_difference_is_what_one_side_alone_covers(two_frames):
    expected = np.zeros((60, 80), np.bool_)
    expected[0:10, [20, 21, 30, 31]] = True  # shifted by two
    expected[0:10, 40:50] = True  # renamed
    expected[0:10, 60:70] = True  # missed
    expected[30:40, 60:70] = True  # extra
    assert np.array_equal(difference(two_frames[0]), expected)
    assert two_frames[0].wrong == 3
    # Of the pair that is shifted by two of ten: masks, boxes, and a score of 0.7 instead of 0.8.
    assert two_frames[0].badness == pytest.approx(3 + 40 / 120 + 40 / 120 + 0.1)


def test_boxes_are_compared_whatever_the_masks_say(rectangles):
    a = rectangles((0, 0, 10, 10, 0.9, 0))
    wide = np.array([[0, 0, 40, 10]], np.float32)
    b = replace(a, xyxy=wide)
    frame = compare_frame(a, b, T)
    assert frame.matching.iou.tolist() == [1]
    assert (frame.box_iou.tolist(), frame.box_px.tolist()) == ([0.25], [30])
    assert frame.badness == pytest.approx(0.75)
    left, right = moved_boxes(frame, Thresholds())
    assert (left.tolist(), right.tolist()) == (a.xyxy.tolist(), wide.tolist())
    assert len(moved_boxes(frame, Thresholds(min_box_iou_p5=0.2))[0]) == 0


def test_weak_instances_are_counted_and_need_no_partner(rectangles):
    a = rectangles((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.29, 0), (40, 0, 50, 10, 0.1, 0))
    b = rectangles((0, 0, 10, 10, 0.9, 0), (40, 0, 50, 10, 0.05, 0))
    frame = compare_frame(a, b, T, partner_score=0.25, weak_score=0.1)
    assert found(frame) == ([[0, 0]], [], [], [])
    assert frame.weak == (2, 0)


def test_a_partner_scores_at_most_the_margin_less(rectangles):
    a, b = (rectangles((0, 0, 10, 10, score, 0)) for score in (0.31, 0.24))
    assert found(compare_frame(a, b, T, partner_score=0.2)) == ([[0, 0]], [], [], [])
    assert found(compare_frame(a, b, T, partner_score=0.25)) == ([], [], [0], [])


def test_one_frame_may_be_left_out(two_frames):
    total = Comparison(NAMES, Thresholds())
    for frame in two_frames:
        total.add(frame)
    assert (total.without(0).figures().due, total.without(1).figures().due) == (1, 4)
    assert total.figures().due == 5


def test_altered_pictures_count_where_the_candidate_differs(rectangles):
    here, there = rectangles((0, 0, 10, 10, 0.9, 0)), rectangles((0, 0, 10, 8, 0.8, 0))
    total = Comparison(NAMES, Thresholds())
    total.add_probe("darker", compare_frame(here, there, T), compare_frame(there, there, T))
    total.add_probe("darker", compare_frame(here, here, T), compare_frame(there, here, T))
    total.add_probe("darker", compare_frame(here, here, T), compare_frame(here, here, T))
    total.add(compare_frame(here, here, T))
    (tried,) = total.figures().nearer
    assert (tried.name, tried.frames, tried.nearer) == ("darker", 2, 1)
