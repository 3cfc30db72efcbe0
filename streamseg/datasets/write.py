"""A data set, or a part of one, as a file in COCO's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pycocotools import mask as rle_codec

from streamseg.datasets.coco import Annotation, CocoDataset, CocoImage
from streamseg.errors import DatasetError
from streamseg.files import write_json

__all__ = ["write_coco"]


def write_coco(
    dataset: CocoDataset, path: Path, *, folder: Path | None = None, description: str = ""
) -> None:
    """Write `dataset` to `path`, all of it or nothing; images are named by their paths within `folder`, as
    other programs expect it, or by their absolute paths. `description` says where it comes from.

    Raises DatasetError when it cannot be written.
    """
    ids = dict(zip(dataset.classes, dataset.category_ids, strict=True))
    annotations = [
        _entry(annotation, image, ids[annotation.class_name])
        for image in dataset.images
        for annotation in image.annotations
    ]
    about = {"info": {"description": description}} if description else {}
    content = about | {
        "images": [_image(image, folder) for image in dataset.images],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": [entry | {"id": number} for number, entry in enumerate(annotations, start=1)],
    }
    try:
        write_json(path, content, indent=None)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror})") from error


def _image(image: CocoImage, folder: Path | None) -> dict[str, Any]:
    height, width = image.size_hw
    return {
        "id": image.image_id,
        "file_name": image.path.relative_to(folder).as_posix() if folder else str(image.path.resolve()),
        "height": height,
        "width": width,
    }


def _entry(annotation: Annotation, image: CocoImage, category: int) -> dict[str, Any]:
    segmentation: Any = [polygon.ravel().tolist() for polygon in annotation.polygons]
    if annotation.rle is not None:
        counts = annotation.rle["counts"]
        text = counts.decode() if isinstance(counts, bytes) else counts
        segmentation = {"size": list(image.size_hw), "counts": text}
    box = annotation.xywh or rle_codec.toBbox(annotation.compressed(image.size_hw)).tolist()
    return {
        "image_id": image.image_id,
        "category_id": category,
        "segmentation": segmentation,
        "area": annotation.area,
        "bbox": list(box),
        "iscrowd": int(annotation.crowd),
    }
