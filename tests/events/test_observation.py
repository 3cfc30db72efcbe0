import numpy as np
import pytest

from streamseg.events.observation import MOST_INSTANCES, observe, strips_of
from streamseg.events.shapes import polygon_columns
from streamseg.masks import full_frame
from streamseg.structures import Instances, Masks, Tracks

HALF = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]


def test_shares_and_points_of_a_rectangle(made):
    seen = observe(*made({1: (90, 40, 110, 60), 2: (150, 0, 160, 100)}), 0.0)
    columns = polygon_columns([HALF], (100, 200))
    assert seen.shares(columns, "area")[:, 0] == pytest.approx([0.5, 1.0])
    assert seen.centre == pytest.approx(np.array([(100, 50), (155, 50)]))
    assert seen.foot == pytest.approx(np.array([(100, 60), (155, 100)]))
    assert seen.shares(columns, "foot")[1, 0] == 1  # on the picture's lower edge


def test_a_share_is_that_of_the_pixels():
    """Wide and narrow blobs with holes, against masks of the whole frame."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:60, :80]
    soft, boxes = [], []
    for _ in range(20):
        cx, cy, r = rng.uniform(5, 75), rng.uniform(5, 55), rng.uniform(1.5, 25)
        far = np.hypot(x - cx, y - cy) * (1 + 0.3 * np.sin(4 * np.arctan2(y - cy, x - cx)))
        soft.append(np.where((far < r) & (far > r / 3), 255, 0))
        boxes.append([(cx - 1.5 * r) * 8, (cy - 1.5 * r) * 8, (cx + 1.5 * r) * 8, (cy + 1.5 * r) * 8])
    xyxy = np.clip(np.array(boxes), 0, [640, 480] * 2).astype(np.float32)
    masks = Masks(np.array(soft, np.uint8), (8.0, 8.0), (480, 640))
    found = Instances(xyxy, np.ones(20, np.float32), np.zeros(20, np.int32), masks)
    tracks = Tracks(np.arange(1, 21), np.zeros(20, np.float32), np.full(20, 2, np.uint8), xyxy)
    polygon = [(0.1, 0.2), (0.6, 0.1), (0.9, 0.7), (0.3, 0.9)]
    columns = polygon_columns([polygon], (480, 640))
    low, high = columns.low[0, :, 0], columns.high[0, :, 0]
    rows = np.arange(480)[:, None] + 0.5
    zone = (low <= rows) & (rows < high)
    truth = []
    for k in range(20):
        bits = full_frame(masks, xyxy, k)
        truth.append((bits & zone).sum() / bits.sum())
    shares = observe(found, tracks, 0.0).shares(columns, "area")[:, 0]
    assert np.abs(shares - truth).max() < 0.02


def test_a_mask_without_a_pixel_is_its_box(made):
    instances, tracks = made({1: (20, 10, 60, 30)})
    instances.masks.soft[:] = 0
    seen = observe(instances, tracks, 0.0)
    assert seen.centre == pytest.approx(np.array([(40, 20)]), abs=0.5)


def test_who_has_no_id_or_no_place_is_left_out(made):
    instances, tracks = made({-1: (0, 0, 9, 9), 1: (5, 5, np.nan, 9), 2: (9, 9, 9, 20), 3: (5, 5, 15, 15)})
    assert observe(instances, tracks, 0.0).id.tolist() == [3]


def test_the_surest_of_a_great_crowd(made):
    instances, tracks = made({k: (k % 180, 5, k % 180 + 9, 15) for k in range(1, 1501)})
    assert len(observe(instances, tracks, 0.0)) == MOST_INSTANCES


def test_nothing_seen(made):
    seen = observe(*made({}), 0.0)
    assert seen.foot.shape == (0, 2)
    assert seen.shares(polygon_columns([HALF], (100, 200)), "area").shape == (0, 1)
    assert len(strips_of([], np.zeros((0, 4)), 10).start) == 0
