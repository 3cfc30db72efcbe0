import numpy as np
import pytest

from streamseg.events.ground import Pace, Plane, corners_from_sides

ROW = np.zeros(1, np.intp)


def test_a_plane_seen_from_above_is_to_scale():
    plane = Plane([(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 0), (20, 0), (20, 10), (0, 10)], (100, 200))
    assert plane.metres(np.array([(100.0, 50.0)])) == pytest.approx(np.array([(10, 5)]))


def test_a_road_that_narrows_towards_the_horizon():
    road = [(0.4, 0.5), (0.6, 0.5), (1.0, 1.0), (0.0, 1.0)]
    plane = Plane(road, [(0, 30), (6, 30), (6, 0), (0, 0)], (100, 200))
    near, middle, far = plane.metres(np.array([(100.0, 100.0), (100.0, 75.0), (100.0, 50.0)]))
    assert near == pytest.approx((3, 0), abs=1e-4)
    assert far == pytest.approx((3, 30), abs=1e-4)
    assert middle == pytest.approx((3, 5), abs=1e-4)  # half the pixels are a sixth of the way
    assert np.isnan(plane.metres(np.array([(100.0, 5.0)]))).all()  # above the horizon


def test_four_sides_of_a_rectangle_make_it():
    a, b, c, d = corners_from_sides((20, 10, 20, 10))
    assert np.array([a, b, c, d]) == pytest.approx(np.array([(0, 0), (20, 0), (20, 10), (0, 10)]), abs=1e-6)


@pytest.mark.parametrize("sides", [(5, 6, 7, 8), (3, 9, 4, 9)])
def test_the_corners_have_the_sides(sides):
    corners = np.array(corners_from_sides(sides))
    lengths = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    assert lengths == pytest.approx(sides)


def test_sides_that_do_not_close():
    assert corners_from_sides((100, 1, 1, 1)) is None


def test_speed_over_half_a_second_to_one():
    pace, speeds = Pace.none(1, 1), []
    for k in range(30):
        pace, speed = pace.step(ROW, np.array([[(0.4 * k, 0.0)]]), k / 25)
        speeds.append(float(speed[0, 0]))
    assert np.isnan(speeds[:12]).all()
    assert speeds[13:] == pytest.approx([10.0] * 17)
    assert pace.top[0, 0] == pytest.approx(10.0)


def test_who_leaves_the_plane_begins_anew():
    pace = Pace.none(1, 1)
    for k in range(30):
        pace, speed = pace.step(ROW, np.array([[(0.4 * k, 0.0)]]), k / 25)
    pace, speed = pace.step(ROW, np.full((1, 1, 2), np.nan), 1.2)
    assert np.isnan(speed[0, 0])
    assert pace.top[0, 0] == 0
