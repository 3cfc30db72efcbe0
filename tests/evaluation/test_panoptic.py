"""Panoptic quality: by hand, and equal to torchmetrics."""

import numpy as np
import pytest

from streamseg.evaluation.panoptic import VOID, LabelMap, PanopticQuality
from streamseg.masks import Region

SIZE_HW = (40, 60)


def rectangle(x: int, y: int, width: int, height: int) -> Region:
    return Region((x, y), np.ones((height, width), np.bool_))


def label_map(*segments: tuple[Region, str]) -> LabelMap:
    labels = LabelMap(SIZE_HW)
    for region, category in segments:
        labels.add(region, category)
    return labels


def test_by_hand() -> None:
    quality = PanopticQuality()
    truth = label_map((rectangle(0, 0, 10, 10), "cat"), (rectangle(20, 0, 10, 10), "cat"))
    found = label_map(
        (rectangle(0, 0, 10, 8), "cat"),  # IoU 80 / 100
        (rectangle(20, 5, 10, 10), "cat"),  # IoU 50 / 150: missed, and extra
        (rectangle(40, 0, 5, 5), "dog"),
    )

    quality.add(truth, found)

    cat = quality.by_category["cat"]
    assert (cat.found, cat.extra, cat.missed) == (1, 1, 1)
    assert (cat.sq, cat.rq) == (pytest.approx(0.8), pytest.approx(1 / 2))
    assert quality.mean(["cat"]) == pytest.approx((0.4, 0.8, 0.5))
    # The dog that is not there counts, the class that neither is nor was found does not.
    assert quality.mean(["cat", "dog", "bus"]) == pytest.approx((0.2, 0.4, 0.25))
    assert quality.mean(["bus"]) is None


def test_an_iou_of_one_half_is_no_match() -> None:
    quality = PanopticQuality()

    quality.add(label_map((rectangle(0, 0, 10, 10), "a")), label_map((rectangle(0, 0, 10, 5), "a")))

    assert quality.by_category["a"].found == 0


def test_another_class_is_no_match() -> None:
    quality = PanopticQuality()

    quality.add(label_map((rectangle(0, 0, 9, 9), "a")), label_map((rectangle(0, 0, 9, 9), "b")))

    assert (quality.by_category["a"].missed, quality.by_category["b"].extra) == (1, 1)


@pytest.mark.parametrize(("category", "extra"), [("person", 0), ("cat", 1)])
def test_crowds_excuse_their_own_class(category: str, extra: int) -> None:
    quality = PanopticQuality()
    truth = LabelMap(SIZE_HW)
    truth.add(rectangle(0, 0, 30, 30), "person", crowd=True)

    quality.add(truth, label_map((rectangle(0, 0, 10, 10), category)))

    assert sum(q.extra for q in quality.by_category.values()) == extra
    assert sum(q.missed for q in quality.by_category.values()) == 0


def test_void_is_neither_overlap_nor_union() -> None:
    quality = PanopticQuality()
    truth = label_map((rectangle(0, 0, 10, 10), "a"))
    truth.labels[:, 10:] = VOID

    quality.add(truth, label_map((rectangle(0, 0, 14, 10), "a"), (rectangle(30, 0, 5, 5), "a")))

    assert (quality.by_category["a"].sq, quality.by_category["a"].extra) == (1, 0)


def test_what_is_hidden_stays_out() -> None:
    labels = LabelMap(SIZE_HW)

    assert labels.add_below(rectangle(0, 0, 10, 10), "a", 0.5)
    assert not labels.add_below(rectangle(0, 0, 10, 20), "b", 0.5)
    assert labels.add_below(rectangle(0, 0, 10, 21), "c", 0.5)
    assert labels.categories == ["a", "c"]
    assert [np.count_nonzero(labels.labels == k) for k in (1, 2)] == [100, 110]


def random_map(random: np.random.Generator, void: bool) -> LabelMap:
    labels = LabelMap(SIZE_HW)
    for _ in range(int(random.integers(2, 9))):
        x, y = random.integers(0, 40), random.integers(0, 25)
        region = rectangle(int(x), int(y), int(random.integers(4, 20)), int(random.integers(4, 15)))
        labels.add(region, int(random.integers(1, 4)))
    labels.add_map(np.full(SIZE_HW, 1, np.uint8), [(1, 9)])
    if void:
        labels.labels[:6, 30:] = VOID
    return labels


def as_pairs(labels: LabelMap) -> np.ndarray:
    """(1, H, W, 2) category and instance; void has the unknown category 77."""
    categories = np.array([0, *labels.categories])
    index = np.where(labels.labels == VOID, 0, labels.labels)
    pairs = np.stack([categories[index], np.where(categories[index] == 9, 0, index)], axis=-1)
    pairs[labels.labels == VOID] = 77, 0
    return pairs[None]


@pytest.mark.slow
@pytest.mark.parametrize("void", [False, True])
def test_equal_to_torchmetrics(void: bool) -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.detection import PanopticQuality as Reference

    random = np.random.default_rng(3)
    reference = Reference({1, 2, 3}, {9}, return_sq_and_rq=True, return_per_class=True)
    quality = PanopticQuality()
    for _ in range(30):
        truth = random_map(random, void)
        found = LabelMap(SIZE_HW)
        # Parts of the truth, moved by a pixel, some of another class.
        for k, category in enumerate(truth.categories[:-1], start=1):
            moved = np.roll(truth.labels == k, 1, axis=1)
            found.add(Region((0, 0), moved), 2 if random.random() < 0.1 else category)
        found.add_map(np.full(SIZE_HW, 1, np.uint8), [(1, 9)])
        quality.add(truth, found)
        reference.update(torch.from_numpy(as_pairs(found)), torch.from_numpy(as_pairs(truth)))

    expected = reference.compute().numpy()
    ours = [quality.mean([category]) for category in (1, 2, 3, 9)]
    assert 0.3 < expected[..., 0].min() < expected[..., 0].max() < 1
    np.testing.assert_allclose(ours, expected.reshape(4, 3), atol=1e-9)


def test_stripes_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    truth, found = random_map(random, True), random_map(random, False)
    whole, striped = PanopticQuality(), PanopticQuality()

    whole.add(truth, found)
    monkeypatch.setattr("streamseg.evaluation.panoptic._STRIPE_PIXELS", 130)
    striped.add(truth, found)

    assert striped.by_category == whole.by_category
