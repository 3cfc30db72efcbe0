import numpy as np

from streamseg.certification.side_by_side import GAP_PX, RED, YELLOW, side_by_side
from streamseg.structures import Frame


def test_what_differs_is_outlined_on_both_sides_but_for_slivers(rectangles):
    frame = Frame(np.full((60, 80, 3), 90, np.uint8), 0, 0.0, 0, "clip")
    differs = np.zeros((60, 80), np.bool_)
    differs[30:50, 20:40] = True
    differs[30:50, 60:62] = True  # two pixels wide
    empty = rectangles()
    picture = side_by_side(frame, (empty, "a"), (empty, "b"), differs, ("cat",))
    assert picture.shape == (60, 80 + GAP_PX + 80, 3)
    red = np.all(picture == RED, axis=2)
    for half in (red[:, :80], red[:, 80 + GAP_PX :]):
        rows, columns = np.nonzero(half)
        assert (rows.min(), rows.max()) == (29, 50)
        assert (columns.min(), columns.max()) == (19, 40)
        assert not half[35:45, 25:35].any()
    assert not frame.image.flags.writeable


def test_each_side_shows_its_own_instances(rectangles):
    frame = Frame(np.full((60, 80, 3), 90, np.uint8), 0, 0.0, 0, "clip")
    left, right = rectangles((20, 30, 40, 50, 0.9, 0)), rectangles()
    picture = side_by_side(frame, (left, ""), (right, ""), np.zeros((60, 80), np.bool_), ("cat",))
    assert (picture[45, 30] != 90).any()
    assert (picture[45, 80 + GAP_PX + 30] == 90).all()


def test_moved_boxes_are_shown_each_on_its_side(rectangles):
    frame = Frame(np.full((60, 80, 3), 90, np.uint8), 0, 0.0, 0, "clip")
    moved = np.array([[20, 30, 40, 50]], np.float32), np.array([[10, 20, 70, 58]], np.float32)
    nothing = np.zeros((60, 80), np.bool_)
    picture = side_by_side(frame, (rectangles(), ""), (rectangles(), ""), nothing, ("cat",), moved)
    yellow = np.all(picture == YELLOW, axis=2)
    for half, (box,) in zip((yellow[:, :80], yellow[:, 80 + GAP_PX :]), moved, strict=True):
        rows, columns = np.nonzero(half)
        middle = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
        assert middle == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        assert columns.max() - columns.min() + 1 in range(int(box[2] - box[0]), int(box[2] - box[0]) + 4)
