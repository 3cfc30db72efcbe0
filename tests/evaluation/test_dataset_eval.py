"""A data set through an engine whose answers are known; data sets that are not as they should be."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamseg.datasets.coco import CocoDataset, read_coco
from streamseg.errors import DatasetError
from streamseg.evaluation.contact_sheet import CELL_HW, contact_sheet, worst
from streamseg.evaluation.dataset_eval import Evaluation, evaluate_dataset
from streamseg.evaluation.semantic import SemanticMaps

SIZE_HW = (64, 96)
SQUARE = [16, 8, 48, 8, 48, 40, 16, 40]
"""Where the oracle sees something in a bright picture."""
BRIGHT, DARK = 200, 50
ONE = pytest.approx(1)
"""pycocotools adds 2⁻⁵² to every denominator."""
FIGURES = ("mask_ap", "mask_ap50", "mask_ap75", "mask_ap_medium", "box_ap", "boundary_ap", "ar", "pq", "sq")


def annotation(number: int, image: int, category: int, **changes: Any) -> dict[str, Any]:
    entry = {"id": number, "image_id": image, "category_id": category, "iscrowd": 0}
    return entry | {"segmentation": [SQUARE], "area": 1024, "bbox": [16, 8, 32, 32]} | changes


def content(annotations: list[dict[str, Any]], images: int = 2, **changes: Any) -> dict[str, Any]:
    """Pictures 10, 20 …; category ids with gaps."""
    listed = [
        {"id": 10 * k, "file_name": f"{k}.png", "height": SIZE_HW[0], "width": SIZE_HW[1]}
        for k in range(1, images + 1)
    ]
    categories = [{"id": 90, "name": "Cat"}, {"id": 7, "name": "dog"}]
    return {"images": listed, "annotations": annotations, "categories": categories} | changes


def written(folder: Path, data: dict[str, Any], levels: tuple[int, ...] = (BRIGHT, DARK)) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for k, level in enumerate(levels, start=1):
        cv2.imwrite(str(folder / "images" / f"{k}.png"), np.full((*SIZE_HW, 3), level, np.uint8))
    (folder / "instances.json").write_text(json.dumps(data))
    return folder


def evaluated(engine: Any, folder: Path, **more: Any) -> Evaluation:
    left_out: list[str] = []
    dataset = read_coco(folder / "instances.json", folder / "images", left_out.append)
    return evaluate_dataset(engine, dataset, left_out=left_out, **more)


def test_everything_found(oracle: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, content([annotation(1, 10, 90)]))

    figures = evaluated(oracle(("cat",), 0), folder).figures

    cat = figures["per_class"]["Cat"]
    assert [figures[name] for name in FIGURES] == [cat[name] for name in FIGURES] == [ONE] * len(FIGURES)
    assert figures["mask_ap_large"] is None
    assert (cat["instances"], cat["images"]) == (1, 1)
    assert (figures["images"], figures["instances"], figures["detections"]) == (2, 1, 1)
    assert figures["calibration"]["ece"] == pytest.approx(0.1)


def test_names_match_whatever_their_case_and_others_are_named(oracle: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, content([annotation(1, 10, 90), annotation(2, 20, 7)]))

    evaluation = evaluated(oracle(("ship", " CAT "), 1), folder)

    assert evaluation.figures["mask_ap"] == ONE
    assert list(evaluation.figures["per_class"]) == ["Cat"]
    assert evaluation.figures["classes_not_in_engine"] == ["dog"]
    assert evaluation.figures["classes_not_in_data"] == ["ship"]
    assert evaluation.detections == [
        {
            "image_id": 10,
            "category_id": 90,
            "bbox": [16, 8, 32, 32],
            "segmentation": evaluation.detections[0]["segmentation"],
            "score": pytest.approx(0.9),
        }
    ]


def test_a_class_without_instances_is_in_no_mean(oracle: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, content([annotation(1, 10, 90)]))

    figures = evaluated(oracle(("cat", "dog"), 0), folder).figures

    assert figures["classes_without_instances"] == ["dog"]
    assert (figures["mask_ap"], figures["per_class"]["dog"]["mask_ap"]) == (ONE, None)


def test_nothing_but_what_is_wrong(oracle: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, content([]))

    figures = evaluated(oracle(("cat",), 0), folder).figures

    assert (figures["mask_ap"], figures["pq"]) == (None, 0)
    assert figures["images_without_annotations"] == ["1.png", "2.png"]


def test_what_cannot_be_used_is_named_and_left_out(oracle: Any, tmp_path: Path) -> None:
    unusable = [
        annotation(2, 77, 90),
        annotation(3, 10, 5),
        annotation(4, 10, 90, segmentation=[[1, 2, 3]]),
        annotation(5, 10, 90, segmentation=[[0, 0, 1e12, 0, 1e12, 9]]),
    ]
    data = content([annotation(1, 10, 90), *unusable], images=4)
    folder = written(tmp_path, data, (BRIGHT, DARK))
    (folder / "images" / "3.png").write_text("no picture")

    figures = evaluated(oracle(("cat",), 0), folder).figures

    assert (figures["images"], figures["instances"], figures["mask_ap"]) == (2, 1, ONE)
    told = "\n".join(figures["left_out"])
    for what in ("annotation 2", "annotation 3", "annotation 4", "annotation 5", "4.png does not exist"):
        assert what in told
    assert "3.png: cannot be decoded" in told
    assert len(figures["left_out"]) == 6


def test_polygons_outside_and_without_area_count_as_missed(oracle: Any, tmp_path: Path) -> None:
    outside = annotation(2, 10, 90, segmentation=[[200, 200, 240, 200, 240, 240]], area=800)
    flat = annotation(3, 20, 90, segmentation=[[5, 5, 5, 5, 5, 5]], area=0)
    folder = written(tmp_path, content([annotation(1, 10, 90), outside, flat]))

    figures = evaluated(oracle(("cat",), 0), folder).figures

    assert figures["annotations_without_pixels"] == ["image 10 (1.png): Cat", "image 20 (2.png): Cat"]
    assert figures["instances"] == 3
    # One of three found at precision 1: recalls 0 … .33 of 101.
    assert figures["mask_ap"] == pytest.approx(34 / 101)


def test_crowds_are_neither_hits_nor_misses(oracle: Any, tmp_path: Path) -> None:
    crowd = annotation(2, 20, 90, iscrowd=1)
    folder = written(tmp_path, content([annotation(1, 10, 90), crowd]), (BRIGHT, BRIGHT))

    figures = evaluated(oracle(("cat",), 0), folder).figures

    assert (figures["instances"], figures["mask_ap"], figures["pq"]) == (1, ONE, 1)


def test_progress_is_told(oracle: Any, tmp_path: Path) -> None:
    folder, told = written(tmp_path, content([annotation(1, 10, 90)])), []

    evaluated(oracle(("cat",), 0), folder, progress=lambda done, total: told.append((done, total)))

    assert told == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("changes", "classes", "message"),
    [
        ({}, ("ship",), r"none of its classes \(dog, Cat\) is one of the engine's \(ship\)"),
        ({}, ("cat", "CAT"), "the engine: classes 'cat' and 'CAT' differ only by case"),
        ({"images": 0}, ("cat",), "no image that can be read; annotation 1"),
    ],
)
def test_what_cannot_be_measured(
    oracle: Any, tmp_path: Path, changes: dict[str, Any], classes: tuple[str, ...], message: str
) -> None:
    folder = written(tmp_path, content([annotation(1, 10, 90)], **changes))

    with pytest.raises(DatasetError, match=message):
        evaluated(oracle(classes, 0), folder)


def test_semantic_maps(oracle: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, content([annotation(1, 10, 90)]))
    for part in ("truth", "found"):
        (tmp_path / part).mkdir()
        for k in (1, 2):
            values = np.zeros(SIZE_HW, np.uint8)
            values[: 32 if part == "truth" else 24] = 3
            values[60:] = 255
            cv2.imwrite(str(tmp_path / part / f"{k}.png"), values)
    (tmp_path / "classes.json").write_text('{"3": "sky"}')

    figures = evaluated(oracle(("cat",), 0), folder, semantic=SemanticMaps(tmp_path)).figures

    # The square covers 32 columns of rows 8 … 40 of the first picture; the second shows sky alone.
    first, second = (24 * 96 - 32 * 16) / (32 * 96 - 32 * 24), 24 / 32
    assert figures["per_stuff"]["sky"]["sq"] == pytest.approx((first + second) / 2)
    assert (figures["pq_things"], figures["per_stuff"]["sky"]["rq"]) == (1, 1)
    assert figures["pq"] == pytest.approx((1 + figures["pq_stuff"]) / 2)


def test_semantic_maps_that_cannot_be_used(oracle: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, content([annotation(1, 10, 90)]))
    with pytest.raises(DatasetError, match=r"truth: no such folder"):
        SemanticMaps(tmp_path)
    for part in ("truth", "found"):
        (tmp_path / part).mkdir()
    with pytest.raises(DatasetError, match=r"1\.png: does not exist"):
        evaluated(oracle(("cat",), 0), folder, semantic=SemanticMaps(tmp_path))
    cv2.imwrite(str(tmp_path / "truth" / "1.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(DatasetError, match=r"1\.png: uint8 \(5, 5\), expected 8-bit grey of \(64, 96\)"):
        evaluated(oracle(("cat",), 0), folder, semantic=SemanticMaps(tmp_path))
    (tmp_path / "classes.json").write_text('["sky"]')
    with pytest.raises(DatasetError, match=r"classes\.json: expected names by number"):
        SemanticMaps(tmp_path)


def test_the_sheet_shows_the_worst_first(oracle: Any, tmp_path: Path) -> None:
    two = [annotation(1, 10, 90), annotation(2, 20, 90), annotation(3, 20, 90), annotation(4, 30, 90)]
    folder = written(tmp_path, content(two, images=3), (BRIGHT, DARK, DARK))
    evaluation = evaluated(oracle(("cat",), 0), folder)

    shown = worst(evaluation.images)
    sheet = contact_sheet(shown, evaluation.names)

    assert [judged.image.image_id for judged in shown] == [20, 30]
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 4 * CELL_HW[1]
    # The truth's square is tinted at the left, and not at the right, where nothing was found.
    at = CELL_HW[1] * 32 // 96, CELL_HW[1] * 30 // 96
    left, right = sheet[at[1], at[0]], sheet[at[1], at[0] + sheet.shape[1] // 4]
    assert right.tolist() == [DARK] * 3
    assert np.abs(left.astype(int) - DARK).max() > 30


def test_a_sheet_of_nothing_is_a_blank(oracle: Any, tmp_path: Path) -> None:
    evaluation = evaluated(oracle(("cat",), 0), written(tmp_path, content([annotation(1, 10, 90)])))

    assert worst(evaluation.images) == []
    assert (contact_sheet([], evaluation.names) == 255).all()


def test_the_file_order_of_images_does_not_matter(oracle: Any, tmp_path: Path) -> None:
    data = content([annotation(1, 10, 90), annotation(2, 20, 90)])
    folder = written(tmp_path, data)
    dataset = read_coco(folder / "instances.json", folder / "images")
    turned = CocoDataset(dataset.path, dataset.classes, dataset.images[::-1], dataset.category_ids)

    first, second = (evaluate_dataset(oracle(("cat",), 0), d) for d in (dataset, turned))

    assert first.figures == second.figures
    np.testing.assert_array_equal(first.tables["Cat"].objects, second.tables["Cat"].objects)
    np.testing.assert_array_equal(first.tables["Cat"].image, second.tables["Cat"].image)
