"""What `streamseg data check` finds."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamseg.datasets.check import check_dataset
from streamseg.datasets.report import describe_dataset, write_sheet
from streamseg.errors import DatasetError
from streamseg.overlay.palette import PALETTE

RNG = np.random.default_rng(0)


def dataset(folder: Path, rings: list[list[float]], names: tuple[str, ...] = ("cup",)) -> Path:
    """One picture of 60×40 with these outlines, all of the first class."""
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images/a.png"), RNG.integers(0, 255, (40, 60, 3), np.uint8))
    objects: list[dict[str, Any]] = [
        {"id": k, "image_id": 1, "category_id": 5, "segmentation": [ring], "area": 100, "iscrowd": 0}
        for k, ring in enumerate(rings)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}],
        "annotations": objects,
        "categories": [{"id": 5 + 4 * k, "name": name} for k, name in enumerate(names)],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


SQUARE = [10.0, 10, 20, 10, 20, 20, 10, 20]


def test_nothing_broken(tmp_path: Path) -> None:
    report = check_dataset(dataset(tmp_path, [SQUARE] * 20))

    (cup,) = report.classes
    assert (cup.instances, cup.images, cup.median_side_px) == (20, 1, 10)
    assert (report.broken, report.notes) == ([], [])
    assert list(describe_dataset(report, 5))[-1] == "nothing is broken"


@pytest.mark.parametrize(
    ("ring", "says"),
    [
        ([70.0, 10, 80, 10, 80, 20], "object 1 (cup): its outline is wholly outside the image"),
        ([10.0, 10, 72, 10, 20, 20], "object 1 (cup): its outline leaves the image by 12 pixels"),
        ([10.0, 10, 10, 10, 10, 10], "object 1 (cup): its outline covers no pixel"),
        ([10.0, 10, 20, 10], "annotation 0: ValueError: a polygon needs three or more pairs"),
    ],
)
def test_broken_outlines_are_listed(tmp_path: Path, ring: list[float], says: str) -> None:
    report = check_dataset(dataset(tmp_path, [ring, SQUARE]))

    (entry,) = report.broken
    assert says in entry
    assert list(describe_dataset(report, 0))[-2:] == ["broken: 1 more", "1 entries cannot be used"]


def test_what_may_be_meant_otherwise(tmp_path: Path) -> None:
    folder = dataset(tmp_path, [SQUARE], ("cup", "pen"))
    content = json.loads((folder / "instances.json").read_text())
    for k, name in ((2, "b.png"), (3, "c.png")):
        (folder / "images" / name).write_bytes((folder / "images/a.png").read_bytes())
        if k == 2:
            content["images"].append({"id": k, "file_name": name, "height": 40, "width": 60})
    (folder / "instances.json").write_text(json.dumps(content))

    report = check_dataset(folder)

    assert report.broken == []
    assert report.notes == [
        "1 images show no annotated object, the first is b.png",
        "1 image files are in no annotation, the first is c.png",
        "1 images have a copy among the others, the first is a.png = b.png",
        "no instance of: pen",
        "hardly enough to learn from: cup 1",
    ]


def test_damaged_and_missing_images(tmp_path: Path) -> None:
    folder = dataset(tmp_path, [SQUARE])
    (folder / "images/a.png").write_bytes(b"no picture")
    assert "a.png: cannot be decoded" in check_dataset(folder).broken[0]

    (folder / "images/a.png").unlink()
    assert "a.png does not exist" in check_dataset(folder).broken[0]


def test_a_sheet_to_look_at(tmp_path: Path) -> None:
    report = check_dataset(dataset(tmp_path, [SQUARE]))

    write_sheet(report, tmp_path / "sheet.png", 4)

    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (270, 4 * 360, 3)
    # The square's left edge is at 10 of 60 pixels, in a tile of 360.
    assert np.abs(sheet[90, 60].astype(int) - PALETTE[0]).max() <= 8
    with pytest.raises(DatasetError, match="cannot be written"):
        write_sheet(report, tmp_path / "no/sheet.png", 4)
