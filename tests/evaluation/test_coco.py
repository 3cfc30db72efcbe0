"""Mask AP through an engine whose answers are known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.datasets.coco import CocoImage, read_coco
from streamseg.engines.contract import EngineInfo, EngineOutputs
from streamseg.errors import DatasetError
from streamseg.evaluation.coco import Subset, evaluate

SIZE_HW = (64, 96)
BOX = (16, 8, 48, 40)
"""x1 y1 x2 y2 of the square in every image, in pixels."""


class OracleEngine:
    """Finds the square of `BOX`, as `class_id`, in pictures whose first pixel is bright."""

    runtime = "oracle"

    def __init__(self, classes: tuple[str, ...], class_id: int, box: tuple[int, ...] = BOX) -> None:
        self.info = EngineInfo("oracle", "oracle", classes, "stretch", SIZE_HW, 1, 0.0)
        self.class_id, self.box = class_id, box
        self.frames: NDArray[np.uint8] = np.zeros((0, *SIZE_HW, 3), np.uint8)

    def submit(self, frames: NDArray[np.uint8]) -> None:
        self.frames = frames

    def collect(self) -> EngineOutputs:
        count = (self.frames[:, 0, 0, 0] > 128).astype(np.int32)
        x1, y1, x2, y2 = self.box
        masks = np.zeros((len(count), 1, *SIZE_HW), np.uint8)
        masks[:, :, y1:y2, x1:x2] = 255
        boxes = np.array(self.box, np.float32) / [96, 64, 96, 64]
        return EngineOutputs(
            np.tile(boxes.astype(np.float32), (len(count), 1, 1)),
            count[:, None].astype(np.float32) * 0.9,
            np.full((len(count), 1), self.class_id, np.int32),
            masks,
            count,
        )

    def close(self) -> None:
        pass


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


def test_all_found(images: tuple[CocoImage, ...]) -> None:
    report = evaluate(OracleEngine(("dog", "cat"), 1), [Subset(images[:2], CAT)])

    assert report["mask_ap"] == report["mask_ap50"] == report["mask_ap75"] == 100
    assert (report["images"], report["instances"]) == (2, 2)
    assert report["classes"]["cat"] == {
        "mask_ap": 100,
        "mask_ap50": 100,
        "mask_ap75": 100,
        "images": 2,
        "instances": 2,
    }
    assert report["absent"] == []


def test_half_found(images: tuple[CocoImage, ...]) -> None:
    report = evaluate(OracleEngine(("cat",), 0), [Subset(images, CAT)])

    # Precision 1 at the recalls 0, .01 … .5 of 101.
    assert report["mask_ap"] == pytest.approx(100 * 51 / 101, abs=0.01)


def test_loose_masks_count_at_low_thresholds_only(images: tuple[CocoImage, ...]) -> None:
    shifted = (BOX[0] + 8, BOX[1], BOX[2] + 8, BOX[3])  # IoU 24 / 40 = .6

    report = evaluate(OracleEngine(("cat",), 0, shifted), [Subset(images[:2], CAT)])

    assert (report["mask_ap50"], report["mask_ap75"]) == (100, 0)
    assert report["mask_ap"] in (20, 30)


def test_nothing_found_is_zero(images: tuple[CocoImage, ...]) -> None:
    report = evaluate(OracleEngine(("cat",), 0), [Subset(images[2:], CAT)])

    assert report["mask_ap"] == 0
    assert report["classes"]["cat"]["instances"] == 2


def test_classes_that_are_not_annotated_are_not_judged(images: tuple[CocoImage, ...]) -> None:
    engine = OracleEngine(("dog", "cat"), 0)

    wrong = evaluate(engine, [Subset(images[:2], frozenset({"cat", "dog"}))])
    unjudged = evaluate(engine, [Subset(images[:2], CAT)])

    assert list(wrong["classes"]) == list(unjudged["classes"]) == ["cat"]
    assert wrong["mask_ap"] == unjudged["mask_ap"] == 0


def test_names_are_translated_and_absent_ones_named(images: tuple[CocoImage, ...]) -> None:
    engine = OracleEngine(("animal",), 0)

    report = evaluate(engine, [Subset(images[:2], frozenset({"animal", "bus"}), {"cat": "animal"})])

    assert report["mask_ap"] == 100
    assert report["absent"] == ["bus"]


def test_nothing_in_common_is_an_error(images: tuple[CocoImage, ...]) -> None:
    with pytest.raises(DatasetError, match=r"nothing to evaluate.*\(ship\)"):
        evaluate(OracleEngine(("ship",), 0), [Subset(images, CAT)])
