"""AP from match tables, its weights, the paired difference and calibration."""

from typing import Any

import numpy as np
import pytest

from streamseg.errors import DatasetError
from streamseg.evaluation.average_precision import Judge
from streamseg.evaluation.match_table import MatchTable, match_tables, weighted_ap
from streamseg.evaluation.paired import paired_difference
from streamseg.evaluation.score_calibration import calibration

SIZE_HW = (100, 100)
Boxes = list[tuple[int, int, float, int]]


def entries(rows: Boxes, **more: Any) -> list[dict[str, Any]]:
    """Boxes of 20 × 20 at x = 10; each an image, a class, a score or a shift, a flag."""
    made = []
    for number, (image, category, score, shift) in enumerate(rows, start=1):
        made.append(
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": [10.0 + shift, 10.0, 20.0, 20.0],
                "area": 400.0,
                "iscrowd": 0,
                "score": score,
            }
        )
    return made


def tables(truth: Boxes, found: Boxes, images: int) -> tuple[Any, dict[int, MatchTable]]:
    sizes = [(k, SIZE_HW) for k in range(1, images + 1)]
    ap = Judge(sizes, entries(truth), entries(found), [1, 2]).average_precision("bbox")
    return ap, match_tables(ap, images)


def random_rows(seed: int, images: int, share: float) -> tuple[Boxes, Boxes]:
    random = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(1, images + 1):
        for category in (1, 2):
            truth.append((image, category, 0.0, 0))
            if random.random() < share:
                found.append((image, category, round(float(random.random()), 2), int(random.integers(0, 7))))
            if random.random() < 0.5:
                found.append((image, category, round(float(random.random()), 2), 50))
    return truth, found


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_pycocotools(seed: int) -> None:
    ap, by_category = tables(*random_rows(seed, 20, 0.7), 20)

    for category, table in by_category.items():
        assert weighted_ap(table, np.ones(20, np.int64)) == pytest.approx(ap.ap(category), abs=1e-9)


def test_a_weight_of_two_is_the_image_twice() -> None:
    truth, found = random_rows(8, 10, 0.7)
    _, once = tables(truth, found, 10)
    again = [(image + 10, *rest) for image, *rest in truth], [(image + 10, *rest) for image, *rest in found]
    third_left_out = (
        [row for row in truth + again[0] if row[0] != 13],
        [row for row in found + again[1] if row[0] != 13],
    )
    ap, _ = tables(*third_left_out, 20)

    weights = np.full(10, 2)
    weights[2] = 1
    for category in (1, 2):
        assert weighted_ap(once[category], weights) == pytest.approx(ap.ap(category), abs=1e-9)


def test_without_objects_there_is_no_ap() -> None:
    _, by_category = tables([(1, 1, 0.0, 0)], [(1, 2, 0.9, 0)], 2)

    assert np.isnan(weighted_ap(by_category[2], np.ones(2, np.int64)))
    assert weighted_ap(by_category[1], np.ones(2, np.int64)) == 0
    assert np.isnan(weighted_ap(by_category[1], np.array([0, 3])))


def named(by_category: dict[int, MatchTable]) -> dict[str, MatchTable]:
    return {f"class {k}": table for k, table in by_category.items()}


def test_an_engine_does_not_differ_from_itself() -> None:
    _, by_category = tables(*random_rows(1, 30, 0.7), 30)

    compared = paired_difference(named(by_category), named(by_category), 50)

    assert (compared.difference, compared.low, compared.high) == (0, 0, 0)
    assert compared.classes == ("class 1", "class 2")


def test_a_better_engine_is_told_from_chance() -> None:
    truth, good = random_rows(1, 40, 0.95)
    _, poor = random_rows(2, 40, 0.3)
    ap, first = tables(truth, good, 40)
    other_ap, second = tables(truth, poor, 40)

    compared = paired_difference(named(first), named(second), 200)

    assert compared.ap == pytest.approx(ap.ap())
    assert compared.other_ap == pytest.approx(other_ap.ap())
    assert 0 < compared.low < compared.difference < compared.high
    assert compared.resamples == 200


def test_the_interval_is_as_wide_as_independent_images_make_it() -> None:
    # One object an image and one detection, right at every threshold or not at all, of equal score: AP is the
    # share found, up to the grid of 101 recalls, so that the difference has the deviation of two shares.
    truth = [(k, 1, 0.0, 0) for k in range(1, 201)]
    ours = [(k, 1, 0.9, 0) for k in range(1, 201) if k % 2]
    theirs = [(k, 1, 0.9, 0) for k in range(1, 201) if k % 4 < 2]
    compared = paired_difference(
        named(tables(truth, ours, 200)[1]), named(tables(truth, theirs, 200)[1]), 1000
    )

    # Found by one only in half of the images, either way: variance 1/2 an image.
    assert compared.high - compared.low == pytest.approx(2 * 1.96 * (0.5 / 200) ** 0.5, rel=0.15)


def test_nothing_in_common_is_an_error() -> None:
    _, by_category = tables([(1, 1, 0.0, 0)], [], 1)

    with pytest.raises(DatasetError, match="no class with instances"):
        paired_difference({"a": by_category[1]}, {"b": by_category[1]})
    with pytest.raises(DatasetError, match="no class with instances"):
        paired_difference({"a": by_category[2]}, {"a": by_category[2]})


def test_calibration_by_hand() -> None:
    # Scores of 0.75, half of them right; scores of 0.95, all right.
    truth = [(k, 1, 0.0, 0) for k in range(1, 9)]
    found = [(k, 1, 0.75, 50 * (k % 2)) for k in range(1, 5)] + [(k, 1, 0.95, 0) for k in range(5, 9)]
    measured = calibration(list(tables(truth, found, 8)[1].values()))

    assert measured.ece == pytest.approx((4 * 0.25 + 4 * 0.05) / 8)
    assert measured.detections == 8
    by_low = {round(b.low, 1): (b.detections, b.score, b.precision) for b in measured.bins if b.detections}
    assert by_low == {0.7: (4, pytest.approx(0.75), 0.5), 0.9: (4, pytest.approx(0.95), 1.0)}


def test_calibration_of_nothing() -> None:
    measured = calibration([])

    assert (measured.ece, measured.detections, len(measured.bins)) == (None, 0, 10)
