import numpy as np
import pytest

from streamseg.overlay.labels import Labels, style_for
from streamseg.overlay.painter import Painter
from streamseg.overlay.shapes import ACTIVE, IDLE, draw_marks, label_marks
from streamseg.structures import Mark

HW = 240, 320
STYLE = style_for(HW)


def mark(points, is_line=False, active=False):
    return Mark("gate", np.array(points, np.float32), is_line, "1 in", active)


def canvas():
    return np.full((*HW, 3), 90, np.uint8)


@pytest.mark.parametrize(("active", "colour"), [(False, IDLE), (True, ACTIVE)])
def test_a_zone_is_outlined_all_round_and_not_filled(active, colour):
    picture = canvas()
    draw_marks(picture, [mark([(40, 40), (280, 40), (280, 200), (40, 200)], active=active)], STYLE)
    for x, y in ((160, 40), (160, 200), (40, 120), (280, 120)):
        around = picture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).astype(int)
        assert np.abs(around - colour).max(axis=1).min() <= 30  # antialiased
    assert (picture[60:180, 60:260] == 90).all()


@pytest.mark.parametrize(
    ("points", "side"), [([(160, 220), (160, 20)], 1), ([(160, 20), (160, 220)], -1)], ids=["up", "down"]
)
def test_the_arrow_points_to_the_right_of_the_way(points, side):
    picture = canvas()
    draw_marks(picture, [mark(points, is_line=True)], STYLE)
    changed = np.flatnonzero((picture != 90).any(axis=2).any(axis=0)) - 160
    assert (changed * side).max() > 10
    assert (changed * side).min() > -6


def test_each_has_a_label_with_its_counts():
    picture = canvas()
    labels = Labels(picture, STYLE)
    label_marks(labels, [mark([(100, 100), (200, 100), (200, 200)]), mark([(5, 230), (5, 5)], True)])
    labels.draw()
    assert (picture[100 - STYLE.height : 100, 100:120] != 90).any()
    assert (picture[:, 5:30] != 90).any()


def test_the_painter_draws_them(make_frame, make_instances, make_tracks):
    frame, instances = make_frame(HW), make_instances(HW, [])
    zone = mark([(40, 40), (280, 40), (280, 200), (40, 200)])
    plain = Painter().draw(frame, instances, make_tracks(instances), ())
    drawn = Painter().draw(frame, instances, make_tracks(instances), (), marks=[zone])
    assert (plain == frame.image).all()
    assert (drawn != frame.image).any()
