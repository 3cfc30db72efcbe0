import re

import numpy as np
import pytest

from streamseg.events.shapes import (
    crosses_gate,
    fault_of_line,
    fault_of_polygon,
    polygon_columns,
    side_polygon,
)

SQUARE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]


def pixels(polygon, hw):
    """(H, W) bool by the columns' intervals."""
    low, high = (ends[..., 0] for ends in polygon_columns([polygon], hw))
    y = np.arange(hw[0])[:, None] + 0.5
    return ((low[:, None] <= y) & (y < high[:, None])).any(axis=0)


def test_a_square_covers_its_quarter():
    inside = pixels(SQUARE, (40, 80))
    assert inside.sum() == 20 * 40
    assert inside[10:30, 20:60].all()


def test_a_u_has_two_intervals_in_a_column():
    u = [(0, 0), (0.25, 0), (0.25, 0.5), (0.75, 0.5), (0.75, 0), (1, 0), (1, 1), (0, 1)]
    lying = [(y, x) for x, y in u]
    inside = pixels(lying, (40, 40))
    assert inside[:10, 5].all()
    assert not inside[10:30, 5].any()
    assert inside[30:, 5].all()
    assert inside.sum() == 40 * 40 - 20 * 20


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([(0, 0), (1, 1)], "three points"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "edges 1 and 3 cross"),
        ([(0, 0), (1.2, 0), (1, 1)], r"point 2 \(1.2, 0\) lies outside"),
        ([(0, 0), (1, 0), (0.5, 1e-7)], "no area"),
        ([(0, 0), (0, 0), (1, 1)], "twice in a row"),
        ([(0, 0), (1, 0), (0.5, 0), (0.5, 1)], "cross each other"),
        ([(k / 100, (k % 2) / 2) for k in range(65)], "more than 64"),
    ],
)
def test_faults_of_polygons(points, says):
    assert re.search(says, fault_of_polygon(points))


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([(0.5, 0.5)], "two points"),
        ([(0, 0), (1, 0), (0.5, 0.5), (0.5, -0.1)], "outside"),
        ([(0.1, 0.1), (0.9, 0.1), (0.1, 0.2), (0.9, 0.0)], "crosses itself"),
    ],
)
def test_faults_of_lines(points, says):
    assert says in fault_of_line(points)


def test_sound_ones_have_no_fault():
    assert fault_of_polygon(SQUARE) == ""
    assert fault_of_line([(0.2, 0), (0.2, 0.8), (0.8, 0.8), (0.8, 0)]) == ""


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "line", [[(0.5, 0.2), (0.5, 0.8)], [(0.2, 0.4), (0.5, 0.6), (0.9, 0.4)], [(0.9, 0.9), (0.1, 0.2)]]
)
def test_left_is_what_one_sees_on_the_left(line, turned):
    line = line[::-1] if turned else line
    left = pixels(side_polygon(line), (60, 60))
    (x0, y0), (x1, y1) = line[0], line[-1]
    away = np.array([y1 - y0, x0 - x1]) / np.hypot(x1 - x0, y1 - y0)  # left of the way when y points down
    x, y = (np.mean(line, axis=0) + 0.3 * away) * 60
    assert left[int(y), int(x)]
    x, y = (np.mean(line, axis=0) - 0.3 * away) * 60
    assert not left[int(y), int(x)]


def test_a_u_shaped_line_divides_the_picture():
    left = pixels(side_polygon([(0.25, 0), (0.25, 0.75), (0.75, 0.75), (0.75, 0)]), (40, 40))
    assert left[5, 20]
    assert not left[5, 2]
    assert not left[35, 20]
    assert left.sum() == 20 * 30


def test_a_way_past_the_end_does_not_lead_through():
    gate = np.array([(10.0, 10.0), (10.0, 20.0)])
    assert crosses_gate(gate, (5, 15), (15, 15))
    assert not crosses_gate(gate, (5, 25), (15, 25))
    assert not crosses_gate(gate, (5, 15), (9, 15))


def test_a_way_through_a_corner_counts_once():
    gate = np.array([(0.0, 10.0), (10.0, 10.0), (20.0, 12.0)])
    assert crosses_gate(gate, (10, 5), (10, 15))
