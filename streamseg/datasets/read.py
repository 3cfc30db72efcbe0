"""Any annotated folder as a `CocoDataset`: COCO's JSON, YOLO's text labels, a folder of masks."""

from __future__ import annotations

from pathlib import Path

from streamseg.datasets.coco import CocoDataset, LeftOut, read_coco
from streamseg.datasets.mask_folder import read_mask_folder
from streamseg.datasets.yolo import read_yolo
from streamseg.errors import DatasetError

__all__ = ["read_dataset"]

LAYOUTS = "instances.json and images/ (COCO), data.yaml (YOLO), or images/ and masks/"
COCO_FILES = ("instances.json", "_annotations.coco.json")


def read_dataset(
    path: Path, images: Path | None = None, *, split: str = "train", left_out: LeftOut | None = None
) -> CocoDataset:
    """Read what lies at `path`, told by what is there.

    - A `.json` file: COCO's format. The pictures are in `images`, or else in `images/` beside the file, in
      the folder it is named after (`annotations/instances_val2017.json`: `val2017/`), or beside it.
    - A `data.yaml`, or a folder with one: YOLO's segmentation labels; `split` names its entry.
    - A folder with `instances.json`, or with `images/` and `masks/` (see `read_mask_folder`), or with a
      subfolder `split` that has.

    Raises DatasetError. With `left_out`, which is told of them, entries that cannot be used are left out.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.suffix == ".json":
        return read_coco(path, images or _images_of(path), left_out)
    if path.suffix in (".yaml", ".yml"):
        return read_yolo(path, split, left_out)
    if not path.is_dir():
        raise DatasetError(f"{path}: expected a .json file, a data.yaml or a folder with {LAYOUTS}")
    return _read_folder(path, images, split, left_out)


def _read_folder(path: Path, images: Path | None, split: str, left_out: LeftOut | None) -> CocoDataset:
    if (path / "data.yaml").is_file():
        return read_yolo(path / "data.yaml", split, left_out)
    for name in COCO_FILES:
        if (path / name).is_file():
            return read_coco(path / name, images or _images_of(path / name), left_out)
    if (path / "masks").is_dir():
        return read_mask_folder(path, left_out)
    if (path / split).is_dir():
        return read_dataset(path / split, images, split=split, left_out=left_out)
    raise DatasetError(f"{path}: no data set that is known here; expected {LAYOUTS}")


def _images_of(path: Path) -> Path:
    beside = path.parent / "images"
    if beside.is_dir():
        return beside
    named = path.parent.parent / path.stem.rpartition("_")[2]
    return named if path.parent.name == "annotations" and named.is_dir() else path.parent
