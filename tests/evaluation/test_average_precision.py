"""COCO's AP: equal to pycocotools on files, boundary AP equal to faster-coco-eval."""

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamseg.evaluation.average_precision import Judge
from streamseg.evaluation.boundary_iou import Boundaries, inner_boundary

SIZE_HW = (120, 160)


def rle_of(mask: np.ndarray) -> dict[str, Any]:
    rle = rle_codec.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def ellipse(centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 < 1


def entry(mask: np.ndarray, **more: Any) -> dict[str, Any]:
    rle = rle_of(mask)
    return {"segmentation": rle, "bbox": rle_codec.toBbox(rle).tolist(), **more}


@pytest.fixture
def case() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Twelve images of ellipses of three classes, some in crowds; found ones are shifted, some made up.
    Category ids have gaps; category 40 has no instance, and is found."""
    random = np.random.default_rng(5)
    images = [{"id": 7 * k + 3, "height": SIZE_HW[0], "width": SIZE_HW[1]} for k in range(12)]
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image in images[:-1]:
        for _ in range(int(random.integers(1, 8))):
            centre, half = random.uniform((10, 10), (150, 110)), random.uniform(3, 80, 2)
            category = int(random.choice([2, 5, 90]))
            mask = ellipse(centre, half)
            where = {"image_id": image["id"], "category_id": category}
            crowd = int(random.random() < 0.1)
            truth.append(entry(mask, id=len(truth) + 1, area=int(mask.sum()), iscrowd=crowd, **where))
            for _ in range(int(random.integers(0, 3))):
                moved = ellipse(centre + random.normal(0, 2, 2), half * random.uniform(0.8, 1.2, 2))
                found.append(entry(moved, score=float(random.random()), **where))
        loose = ellipse(random.uniform(20, 100, 2), random.uniform(5, 20, 2))
        found.append(entry(loose, image_id=image["id"], category_id=40, score=0.4))
    return {
        "images": images,
        "annotations": truth,
        "categories": [{"id": k, "name": str(k)} for k in (2, 5, 40, 90)],
    }, found


def pycocotools_stats(folder: Path, truth: dict[str, Any], found: list[Any], kind: str) -> list[float]:
    """The twelve figures of pycocotools' own summary, from files."""
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps(found))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        judge = COCOeval(coco, coco.loadRes(str(folder / "found.json")), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return list(judge.stats)


def judge_of(truth: dict[str, Any], found: list[Any]) -> Judge:
    sizes = [(image["id"], SIZE_HW) for image in truth["images"]]
    return Judge(sizes, truth["annotations"], found, [c["id"] for c in truth["categories"]])


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_equal_to_pycocotools_on_files(case: Any, kind: Any, tmp_path: Path) -> None:
    stats = pycocotools_stats(tmp_path, *case, kind)

    ap = judge_of(*case).average_precision(kind)

    ours = [ap.ap(), ap.ap(iou=0.5), ap.ap(iou=0.75), *(ap.ap(area=a) for a in ("small", "medium", "large"))]
    assert 0.2 < stats[0] < 0.9
    assert ours == pytest.approx(stats[:6], abs=1e-9)
    assert ap.ar() == pytest.approx(stats[8], abs=1e-9)


def test_classes_without_instances_are_in_no_mean(case: Any) -> None:
    ap = judge_of(*case).average_precision("segm")

    assert ap.ap(40) is None
    assert ap.ap() == pytest.approx(np.mean([ap.ap(k) for k in (2, 5, 90)]))


def test_nothing_found_is_zero(case: Any) -> None:
    ap = judge_of(case[0], []).average_precision("segm")

    assert (ap.ap(), ap.ar(), ap.ap(40)) == (0, 0, None)


def test_boundary_ap_equals_faster_coco_eval(case: Any, tmp_path: Path) -> None:
    from faster_coco_eval import COCO as FASTER_COCO
    from faster_coco_eval import COCOeval_faster

    truth, found = case
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = FASTER_COCO(str(tmp_path / "truth.json"))
        reference = COCOeval_faster(coco, coco.loadRes(json.loads(json.dumps(found))), "boundary")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()

    judge = judge_of(truth, found)
    ap = judge.average_precision("boundary")

    assert [ap.ap(), ap.ap(iou=0.5), ap.ap(iou=0.75)] == pytest.approx(list(reference.stats[:3]), abs=1e-6)
    assert ap.ap() < judge.average_precision("segm").ap()


@pytest.mark.parametrize("seed", range(4))
def test_inner_boundary_is_what_erosion_takes_away(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = ellipse(random.uniform(0, 120, 2), random.uniform(5, 70, 2)) & (random.random(SIZE_HW) < 0.999)
    depth = round(0.02 * math.hypot(*SIZE_HW))
    padded = np.pad(mask.astype(np.uint8), 1)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=depth)[1:-1, 1:-1]

    crop = inner_boundary(rle_of(mask))

    whole = np.zeros(SIZE_HW, bool)
    whole[crop.y0 : crop.y0 + crop.bits.shape[0], crop.x0 : crop.x0 + crop.bits.shape[1]] = crop.bits
    np.testing.assert_array_equal(whole, mask & ~eroded.astype(bool))


def test_boundary_iou_by_hand() -> None:
    # Squares of 20 pixels in an image whose boundary is 4 deep: 20² − 12² pixels each.
    a, b = np.zeros((2, *SIZE_HW), bool)
    a[20:40, 20:40] = True
    b[20:40, 30:50] = True
    shared = np.zeros(SIZE_HW, bool)
    shared[20:40, 30:40] = True
    shared[24:36, 34:36] = False  # inside both
    shared[24:36, 30:34] = False  # deep in a: its columns 24 … 35
    shared[24:36, 36:40] = False  # deep in b: its columns 34 … 45

    ring = 20**2 - 12**2
    inter = int(shared.sum())
    assert Boundaries().iou(rle_of(a), rle_of(b)) == pytest.approx(inter / (2 * ring - inter))


def test_an_empty_mask_has_no_boundary() -> None:
    assert Boundaries().iou(rle_of(np.zeros(SIZE_HW)), rle_of(np.ones(SIZE_HW))) == 0
