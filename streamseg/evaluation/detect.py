"""What an engine finds in photographs, through the same bridge that live video uses.

Tested in tests/evaluation/test_dataset_eval.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from streamseg.datasets.coco import CocoImage, LeftOut, read_image
from streamseg.engine_contract import Engine
from streamseg.errors import DatasetError
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Instances

__all__ = ["Seen", "segmented"]

Seen = tuple[CocoImage, Frame, Instances]


def segmented(
    engine: Engine,
    images: Sequence[CocoImage],
    score: float = 0.0,
    left_out: LeftOut | None = None,
    *,
    classes: Collection[int] | None = None,
    double_iou: float = 1.0,
) -> Iterator[Seen]:
    """Every image with its pixels and its instances of at least `score`, in order; the caller keeps `engine`.
    `classes` and `double_iou` as the segmenter has them.

    The engine works on one image while the next is decoded. Images that cannot be decoded, or whose size is
    not that of their annotations, are left out where `left_out` is told of them, and otherwise raise
    DatasetError. Raises EngineError.
    """
    segmenter = Segmenter(engine, score=score, classes=classes, double_iou=double_iou)
    for index, image in enumerate(images):
        try:
            pixels = read_image(image)
        except DatasetError as error:
            if left_out is None:
                raise
            left_out(f"image {image.image_id}: {error}")
            continue
        for found in segmenter.process([Frame(pixels, index, 0.0, 0, "evaluation")]):
            yield images[found.frame.index], found.frame, found.instances
    for found in segmenter.drain():
        yield images[found.frame.index], found.frame, found.instances
