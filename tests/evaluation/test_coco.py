"""Mask AP through an engine whose answers are known."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamseg.datasets.coco import CocoImage, read_coco
from streamseg.errors import DatasetError
from streamseg.evaluation.coco import Subset, evaluate

SIZE_HW = (64, 96)
BOX = (16, 8, 48, 40)
"""x1 y1 x2 y2 of the square in every image, in pixels: where the oracle sees it."""


@pytest.fixture
def images(tmp_path: Path) -> tuple[CocoImage, ...]:
    """Four pictures with the square in them as a `cat`; the first two are bright."""
    x1, y1, x2, y2 = BOX
    entries, annotations = [], []
    for k in range(4):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((*SIZE_HW, 3), 200 if k < 2 else 50, np.uint8))
        entries.append({"id": k, "file_name": f"{k}.png", "height": SIZE_HW[0], "width": SIZE_HW[1]})
        annotations.append(
            {
                "id": k,
                "image_id": k,
                "category_id": 1,
                "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
                "area": (x2 - x1) * (y2 - y1),
            }
        )
    content = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return read_coco(tmp_path / "instances.json", tmp_path).images


CAT = frozenset({"cat"})


def test_all_found(images: tuple[CocoImage, ...], oracle: Any) -> None:
    report = evaluate(oracle(("dog", "cat"), 1), [Subset(images[:2], CAT)])

    assert report["mask_ap"] == report["mask_ap50"] == report["mask_ap75"] == 1
    assert (report["images"], report["instances"]) == (2, 2)
    assert report["classes"]["cat"] == {
        "mask_ap": 1.0,
        "mask_ap50": 1.0,
        "mask_ap75": 1.0,
        "images": 2,
        "instances": 2,
    }
    assert report["absent"] == []


def test_half_found(images: tuple[CocoImage, ...], oracle: Any) -> None:
    report = evaluate(oracle(("cat",), 0), [Subset(images, CAT)])

    # Precision 1 at the recalls 0, .01 … .5 of 101.
    assert report["mask_ap"] == pytest.approx(51 / 101, abs=1e-4)


def test_loose_masks_count_at_low_thresholds_only(images: tuple[CocoImage, ...], oracle: Any) -> None:
    engine = oracle(("cat",), 0)
    engine.box = (24, 8, 56, 40)  # IoU 24 / 40 = .6

    report = evaluate(engine, [Subset(images[:2], CAT)])

    assert (report["mask_ap50"], report["mask_ap75"]) == (1, 0)
    assert report["mask_ap"] in (0.2, 0.3)


def test_nothing_found_is_zero(images: tuple[CocoImage, ...], oracle: Any) -> None:
    report = evaluate(oracle(("cat",), 0), [Subset(images[2:], CAT)])

    assert report["mask_ap"] == 0
    assert report["classes"]["cat"]["instances"] == 2


def test_classes_that_are_not_annotated_are_not_judged(images: tuple[CocoImage, ...], oracle: Any) -> None:
    engine = oracle(("dog", "cat"), 0)

    wrong = evaluate(engine, [Subset(images[:2], frozenset({"cat", "dog"}))])
    unjudged = evaluate(engine, [Subset(images[:2], CAT)])

    assert list(wrong["classes"]) == list(unjudged["classes"]) == ["cat"]
    assert wrong["mask_ap"] == unjudged["mask_ap"] == 0


def test_names_are_translated_and_absent_ones_named(images: tuple[CocoImage, ...], oracle: Any) -> None:
    engine = oracle(("animal",), 0)

    report = evaluate(engine, [Subset(images[:2], frozenset({"animal", "bus"}), {"cat": "animal"})])

    assert report["mask_ap"] == 1
    assert report["absent"] == ["bus"]


def test_no_instance_is_an_error(images: tuple[CocoImage, ...], oracle: Any) -> None:
    with pytest.raises(DatasetError, match="no instance of dog"):
        evaluate(oracle(("dog",), 0), [Subset(images, frozenset({"dog"}))])


def test_nothing_in_common_is_an_error(images: tuple[CocoImage, ...], oracle: Any) -> None:
    with pytest.raises(DatasetError, match=r"nothing to evaluate.*\(ship\)"):
        evaluate(oracle(("ship",), 0), [Subset(images, CAT)])
