import cv2
import numpy as np
import pytest

from streamseg.overlay.labels import HAS_UNICODE, Labels, Rect, drawable, style_for

RED = (60, 60, 230)


@pytest.mark.parametrize("size_hw", [(240, 320), (720, 1280), (2160, 3840), (1280, 720)])
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)])
@pytest.mark.parametrize("name", ["cat", "a class name without end " * 20])
def test_a_label_lies_inside_the_frame_and_nothing_is_drawn_outside_it(
    size_hw: tuple[int, int], corner: tuple[float, float], name: str
) -> None:
    canvas = np.full((*size_hw, 3), 77, np.uint8)
    x, y = corner[0] * (size_hw[1] - 10), corner[1] * (size_hw[0] - 10)
    labels = Labels(canvas, style_for(size_hw))
    rect = labels.add(name, " #12 0.87", (x, y, x + 10, y + 10), RED)
    labels.draw()
    assert 0 <= rect.x0 < rect.x1 <= size_hw[1]
    assert 0 <= rect.y0 < rect.y1 <= size_hw[0]
    inside = canvas[rect.y0 : rect.y1, rect.x0 : rect.x1].copy()
    assert (inside.min(2) < 40).sum() > 40  # black text
    assert (inside == RED).all(2).mean() > 0.4
    canvas[rect.y0 : rect.y1, rect.x0 : rect.x1] = 77
    assert (canvas == 77).all()


def test_text_keeps_clear_of_the_right_edge_of_its_label() -> None:
    for text in ("cat", "iiii", "WWWW", "traffic light", "0123456789", "Žluťoučký", "日本語"):
        canvas = np.zeros((720, 1280, 3), np.uint8)
        labels = Labels(canvas, style_for((720, 1280)))
        rect = labels.add(text, " #12 0.87", (400, 400, 500, 500), RED)
        labels.draw()
        edge = canvas[rect.y0 : rect.y1, rect.x1 - 2 : rect.x1]
        assert (edge == RED).all(), text


def test_a_long_name_is_shortened_and_the_number_kept() -> None:
    labels = Labels(np.zeros((720, 1280, 3), np.uint8), style_for((720, 1280)))
    text, width = labels._fitted("x" * 500, " #12 0.87", 426)
    assert width <= 426
    assert text.startswith("xxx")
    assert text.endswith(" #12 0.87")
    assert labels._fitted("cat", " #1 0.50", 426)[0] == "cat #1 0.50"


def test_labels_step_aside_and_the_first_keeps_the_best_place() -> None:
    canvas = np.zeros((720, 1280, 3), np.uint8)
    labels = Labels(canvas, style_for((720, 1280)))
    status = labels.add_status("30 fps")
    rects = [labels.add("cat", f" #{n} 0.90", (300, 300, 500, 500), RED) for n in range(6)]
    assert (rects[0].x0, rects[0].y1) == (300, 300)
    for n, rect in enumerate(rects):
        assert not any(rect.overlaps(other) for other in [status, *rects[:n]])
    beside = labels.add("cat", " 0.90", (0, 0, 60, 60), RED)
    assert not beside.overlaps(status)


def test_where_no_place_is_free_the_first_added_lies_on_top() -> None:
    canvas = np.zeros((64, 200, 3), np.uint8)
    labels = Labels(canvas, style_for((64, 200)))
    rects = [labels.add("cat", "", (0, 0, 200, 64), (n * 10 + 50, 50, 50)) for n in range(12)]
    labels.draw()
    assert rects[-1] == rects[0]
    assert canvas[rects[0].y0, rects[0].x0].tolist() == [50, 50, 50]


def test_a_label_drawn_again_looks_as_before_whatever_was_drawn_over_it() -> None:
    pictures = []
    for background in (0, 200):
        canvas = np.full((120, 400, 3), background, np.uint8)
        labels = Labels(canvas, style_for((720, 1280)))
        rect = labels.add("cat", " #12 0.87", (10, 60, 90, 100), RED)
        labels.draw()
        pictures.append(canvas[rect.y0 : rect.y1, rect.x0 : rect.x1].copy())
        canvas[:] = 7
    np.testing.assert_array_equal(pictures[0], pictures[1])
    want = np.full_like(pictures[0], RED)
    style = style_for((720, 1280))
    where = style.padding, style.baseline
    cv2.putText(want, "cat #12 0.87", where, 0, style.scale, (0, 0, 0), style.stroke, cv2.LINE_AA)
    np.testing.assert_array_equal(pictures[1], want)


def test_text_grows_with_the_frame_but_stays_readable_on_a_small_one() -> None:
    heights = [style_for(size).height for size in ((240, 320), (720, 1280), (2160, 3840))]
    assert heights[0] >= 14
    assert heights[0] < heights[1]
    assert 2.5 < heights[2] / heights[1] < 3.5


def test_one_line_of_characters_that_the_font_has() -> None:
    assert drawable("traffic\n light ") == "traffic light"
    assert drawable("Žluťoučký kůň", has_unicode=False) == "Zlutoucky kun"
    assert drawable("猫 a…", has_unicode=False) == "? a..."
    assert drawable("猫", has_unicode=True) == "猫"


@pytest.mark.skipif(not HAS_UNICODE, reason="this OpenCV has an ASCII font")
def test_the_font_has_what_it_is_said_to_have() -> None:
    pictures = set()
    for text in ("猫", "犬", "ж", "ß", "?"):
        picture = np.zeros((40, 60, 3), np.uint8)
        cv2.putText(picture, text, (5, 30), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 1, cv2.LINE_AA)
        assert picture.any()
        pictures.add(picture.tobytes())
    assert len(pictures) == 5


def test_rectangles_that_touch_do_not_overlap() -> None:
    assert not Rect(0, 0, 5, 5).overlaps(Rect(5, 0, 9, 5))
    assert Rect(0, 0, 5, 5).overlaps(Rect(4, 4, 9, 9))
