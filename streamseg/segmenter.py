"""The one bridge between frames and engines."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import Engine, EngineInfo, EngineOutputs
from streamseg.errors import EngineError
from streamseg.structures import Frame, Instances, Masks

__all__ = ["Segmenter", "resize_into"]

FINER = {"solo": 4, "solov2": 4}
"""Families whose masks are drawn by way of a finer grid (`Masks.finer`)."""

Pairs = list[tuple[Frame, Instances]]
ImageArray = NDArray[np.uint8]


class Segmenter:
    """Frames → instances in pixels of each frame. Owns its engine; not thread-safe.

    With `overlap` the engine works on one batch while the next is being resized: `process` returns the
    results of the batch before, and `drain` the last. That is throughput, for files; live sources want
    the results of this very batch, which is what `process` returns without it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        score: float = 0.3,
        classes: Collection[int] | None = None,
        overlap: bool = False,
    ) -> None:
        """Keep instances of at least `score` whose class is in `classes` (None: all). Raises EngineError."""
        self.engine = engine
        self._score = score
        self._wanted = _wanted(engine.info, classes)
        self._overlap = overlap
        self._batches: list[ImageArray] = [_batch(engine.info, 0)] * (2 if overlap else 1)
        self._under_way: list[Frame] = []

    def process(self, frames: list[Frame]) -> Pairs:
        """Segment `frames`, which may differ in size, as one batch. Raises EngineError."""
        if not frames:
            return []
        batch = self._filled(frames)
        before = self._collected()
        self.engine.submit(batch)
        self._under_way = frames
        return before if self._overlap else self._collected()

    def drain(self) -> Pairs:
        """The results still under way. Raises EngineError."""
        return self._collected()

    def close(self) -> None:
        """Close the engine; results still under way are lost. Idempotent."""
        self._under_way = []
        self.engine.close()

    def _filled(self, frames: list[Frame]) -> ImageArray:
        """`frames` at the engine's size, in the buffer that no batch under way uses."""
        self._batches.reverse()
        if len(self._batches[0]) < len(frames):
            self._batches[0] = _batch(self.engine.info, len(frames))
        batch = self._batches[0][: len(frames)]
        for slot, frame in zip(batch, frames, strict=True):
            resize_into(slot, frame.image, self.engine.info)
        return batch

    def _collected(self) -> Pairs:
        if not self._under_way:
            return []
        frames, self._under_way = self._under_way, []
        outputs = self.engine.collect()
        return [(frame, self._instances(outputs, b, frame.size_hw)) for b, frame in enumerate(frames)]

    def _instances(self, outputs: EngineOutputs, b: int, frame_hw: tuple[int, int]) -> Instances:
        """Copies of what is kept of row `b`: the engine reuses its outputs."""
        info = self.engine.info
        count = int(outputs.count[b])
        score, class_id = outputs.scores[b, :count], outputs.classes[b, :count]
        extent_x, extent_y = _extent(info, frame_hw)
        xyxy = outputs.boxes[b, :count] * np.array([extent_x, extent_y, extent_x, extent_y], np.float32)
        np.clip(xyxy, 0, np.array([*frame_hw[::-1], *frame_hw[::-1]], np.float32), out=xyxy)
        inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        keep = np.flatnonzero(inside & (score >= self._score) & self._wanted[class_id])
        mask_h, mask_w = outputs.masks.shape[2:]
        scale_xy = extent_x / mask_w, extent_y / mask_h
        masks = Masks(outputs.masks[b, keep], scale_xy, frame_hw, FINER.get(info.family, 1))
        return Instances(xyxy[keep], score[keep], class_id[keep], masks)


def _wanted(info: EngineInfo, classes: Collection[int] | None) -> NDArray[np.bool_]:
    """(C,) bool: which classes to keep."""
    wanted = np.full(len(info.classes), classes is None)
    for class_id in classes or ():
        if not 0 <= class_id < len(wanted):
            raise EngineError(f"class {class_id}: {info.model} has classes 0…{len(wanted) - 1}")
        wanted[class_id] = True
    return wanted


def _batch(info: EngineInfo, length: int) -> ImageArray:
    return np.empty((length, *info.input_hw, 3), np.uint8)


def _resized_hw(info: EngineInfo, frame_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the picture within the engine's input."""
    if info.resize == "stretch":
        return info.input_hw
    scale = min(info.input_hw[0] / frame_hw[0], info.input_hw[1] / frame_hw[1])
    # Half up, as SOLOv2's own resize; Python's round goes to even.
    return max(1, int(frame_hw[0] * scale + 0.5)), max(1, int(frame_hw[1] * scale + 0.5))


def _extent(info: EngineInfo, frame_hw: tuple[int, int]) -> tuple[float, float]:
    """Width and height of the engine's whole input, padding included, in pixels of the frame."""
    resized_h, resized_w = _resized_hw(info, frame_hw)
    return info.input_hw[1] * frame_hw[1] / resized_w, info.input_hw[0] * frame_hw[0] / resized_h


def resize_into(slot: ImageArray, image: ImageArray, info: EngineInfo) -> None:
    """Write `image` (H, W, 3) into `slot` (h, w, 3) as the engine wants it, without a copy between."""
    height, width = _resized_hw(info, image.shape[:2])
    # OpenCV writes into a dst that has the right size already.
    cv2.resize(image, (width, height), dst=slot[:height, :width], interpolation=cv2.INTER_LINEAR)
    slot[height:] = info.pad_bgr
    slot[:height, width:] = info.pad_bgr
