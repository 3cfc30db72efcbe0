"""Semantic maps beside the instances: what is stuff, in truth and as found.

Tested in tests/evaluation/test_dataset_eval.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.datasets.coco import CocoImage
from streamseg.errors import DatasetError
from streamseg.evaluation.panoptic import NO_SEGMENT, VOID, LabelMap

__all__ = ["SemanticMaps"]

UNKNOWN = 255
Values = NDArray[np.uint8]


class SemanticMaps:
    """A folder with `truth/` and `found/`: for each image an 8-bit PNG of its name and size.

    0 is no stuff, 1 … 254 are kinds of stuff, 255 in the truth is void: not judged. `classes.json`, if it is
    there, names them: {"1": "sky"}.
    """

    def __init__(self, folder: Path) -> None:
        """Raises DatasetError when a part of it is missing."""
        self._folder = folder
        for part in ("truth", "found"):
            if not (folder / part).is_dir():
                raise DatasetError(f"{folder / part}: no such folder; semantic maps need truth/ and found/")
        self._names = _names(folder / "classes.json")
        self.seen: set[str] = set()
        """Kinds of stuff that occurred."""

    def add_to(self, image: CocoImage, truth: LabelMap, found: LabelMap) -> None:
        """Stuff where no instance is. Raises DatasetError."""
        true_values, found_values = (self._read(part, image) for part in ("truth", "found"))
        for values, labels in ((true_values, truth), (found_values, found)):
            kinds = [int(v) for v in np.unique(values) if v not in (0, UNKNOWN)]
            categories = [(kind, self._names.get(kind, f"stuff {kind}")) for kind in kinds]
            self.seen.update(name for _, name in categories)
            labels.add_map(values, categories)
        truth.labels[(true_values == UNKNOWN) & (truth.labels == NO_SEGMENT)] = VOID

    def _read(self, part: str, image: CocoImage) -> Values:
        path = self._folder / part / f"{image.path.stem}.png"
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise DatasetError(f"{path}: {'cannot be decoded' if path.exists() else 'does not exist'}")
        if values.dtype != np.uint8 or values.shape != image.size_hw:
            raise DatasetError(
                f"{path}: {values.dtype} {values.shape}, expected 8-bit grey of {image.size_hw}"
            )
        return np.asarray(values, np.uint8)


def _names(path: Path) -> dict[int, str]:
    if not path.exists():
        return {}
    try:
        return {int(k): str(name) for k, name in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f'{path}: expected names by number, such as {{"1": "sky"}} ({error})') from error
