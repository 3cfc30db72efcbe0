"""The one bridge between frames and engines."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import Engine, EngineInfo, EngineOutputs
from streamseg.errors import EngineError
from streamseg.geometry import clip_boxes
from streamseg.masks import BoxGrids, Masks, without_doubles
from streamseg.masks.soft import Paste
from streamseg.structures import Frame, Instances, Segmented, Stuff

__all__ = ["REFUSALS", "Segmenter", "resize_into"]

_log = logging.getLogger(__name__)

BAD_SCORE = "score not in 0…1"
UNKNOWN_CLASS = "unknown class"
BAD_BOX = "box not finite"
FAR_BOX = "box far outside the input"
REFUSALS = (BAD_SCORE, UNKNOWN_CLASS, BAD_BOX, FAR_BOX)
"""Why a row of an engine's outputs is refused; it is counted under the first that fits."""

_SCORE_SLACK = 0.25
"""What exceeds 1 by no more is taken for 1: half precision rounds, and a score times a guessed mask IoU
(YOLACT++) may overshoot."""
_FARTHEST = 1000.0
"""Input sizes from its corner. Engines need not clip, and a box may be decoded to many times its prior."""

ImageArray = NDArray[np.uint8]
Bools = NDArray[np.bool_]


class Segmenter:
    """Frames → instances in pixels of each frame. Owns its engine; not thread-safe.

    The engine works on one batch while the next is being resized:

    - `process` submits what it is given, in batches of at most `max_batch`, and returns the frames of every
      batch before its last, the one that was under way when it was called first;
    - that last batch stays under way until the next `process`, or until `idle` waits for it: to be called
      when no frame is waiting, so that a live source gets its frame as soon as the engine has it;
    - `drain` returns what is under way at the end;
    - `segment` is `process` and `drain` at once, for callers without a stream.

    Every frame comes out once, in the order it came in.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        score: float = 0.3,
        classes: Collection[int] | None = None,
        max_batch: int | None = None,
        double_iou: float = 1.0,
    ) -> None:
        """Keep instances of at least `score` whose class is in `classes` (None: all), and of two that are of
        different classes and have masks of a greater IoU than `double_iou` the one that is clearly surer.

        `max_batch` None: all that one call of `process` is given is one batch. Raises EngineError.
        """
        self.engine = engine
        self.choose(score, classes, double_iou)
        self._max_batch = max_batch
        self._logit_slope = _logit_slope(engine.info)
        self._batches: list[ImageArray] = [_batch(engine.info, 0)] * 2
        self._under_way: list[Frame] = []
        self._refused = dict.fromkeys(REFUSALS, 0)

    def choose(self, score: float, classes: Collection[int] | None, double_iou: float) -> None:
        """Keep other instances from now on; as of the constructor. Raises EngineError."""
        self._wanted = _wanted(self.engine.info, classes)
        self._score = score
        self._double_iou = double_iou

    @property
    def refused(self) -> Mapping[str, int]:
        """How often the engine gave what cannot be, by cause (all of REFUSALS); may be read from any thread.

        Rows that score less than asked for are not looked at.
        """
        return self._refused

    def process(self, frames: list[Frame]) -> list[Segmented]:
        """Submit `frames`, which may differ in size; returns what was finished. Raises EngineError."""
        size = self._max_batch or max(len(frames), 1)
        ready: list[Segmented] = []
        for start in range(0, len(frames), size):
            chunk = frames[start : start + size]
            batch = self._filled(chunk)
            ready += self._collected()
            self.engine.submit(batch)
            self._under_way = chunk
        return ready

    def idle(self) -> list[Segmented]:
        """Wait for the batch under way; empty when there is none. Raises EngineError."""
        return self._collected()

    def drain(self) -> list[Segmented]:
        """The results still under way. Raises EngineError."""
        return self.idle()

    def segment(self, frames: list[Frame]) -> list[Segmented]:
        """The results of `frames`, after those of frames still under way. Raises EngineError."""
        return [*self.process(frames), *self.drain()]

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

    def _collected(self) -> list[Segmented]:
        if not self._under_way:
            return []
        frames, self._under_way = self._under_way, []
        outputs = self.engine.collect()
        return [self._segmented(outputs, b, frame) for b, frame in enumerate(frames)]

    def _segmented(self, outputs: EngineOutputs, b: int, frame: Frame) -> Segmented:
        """Copies of what is kept of row `b`: the engine reuses its outputs."""
        count = int(outputs.count[b])
        score, class_id = outputs.scores[b, :count], outputs.classes[b, :count]
        refused_before = sum(self._refused.values())
        keep = self._kept(outputs.boxes[b, :count], score, class_id)
        extent_xy = _extent(self.engine.info, frame.size_hw)
        boxes = outputs.boxes[b, keep] * np.array([*extent_xy, *extent_xy], np.float32)
        xyxy = clip_boxes(boxes, frame.size_hw)
        inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        keep, boxes, xyxy = keep[inside], boxes[inside], xyxy[inside]
        masks = self._masks(outputs.masks[b, keep], boxes, extent_xy, frame.size_hw)
        instances = Instances(xyxy, np.minimum(score[keep], np.float32(1)), class_id[keep], masks)
        if self._double_iou < 1:
            single = without_doubles(xyxy, score[keep], class_id[keep], masks, self._double_iou)
            instances, keep = instances.select(single), keep[single]
        stuff = _stuff(self.engine.info, outputs, b, extent_xy, frame.size_hw)
        refused = sum(self._refused.values()) - refused_before
        return Segmented(frame, instances, stuff and stuff.select(keep, count), refused=refused)

    def _masks(
        self,
        soft: NDArray[np.uint8],
        boxes: NDArray[np.float32],
        extent_xy: tuple[float, float],
        frame_hw: tuple[int, int],
    ) -> Masks:
        info = self.engine.info
        grid: tuple[float, float] | BoxGrids = extent_xy[0] / soft.shape[2], extent_xy[1] / soft.shape[1]
        if info.mask_layout == "box":
            paste: Paste = "torchvision" if info.mask_paste == "torchvision" else "continuous"
            grid = BoxGrids(boxes, paste)
        return Masks(soft, grid, frame_hw, info.mask_finer, self._logit_slope)

    def _kept(
        self, boxes: NDArray[np.float32], score: NDArray[np.float32], class_id: NDArray[np.int32]
    ) -> NDArray[np.intp]:
        """The rows asked for; those among them whose values cannot be are left out and counted by cause."""
        rows = np.flatnonzero(~(score < self._score))  # NaN is looked at, too
        boxes, score, class_id = boxes[rows], score[rows], class_id[rows]
        # One figure each, as rows hardly ever are at fault; NaN fails every comparison.
        sound = (
            score.min(initial=0) >= 0
            and score.max(initial=0) <= 1 + _SCORE_SLACK
            and class_id.min(initial=0) >= 0
            and class_id.max(initial=-1) < len(self._wanted)
            and np.abs(boxes).max(initial=0) <= _FARTHEST
        )
        if not sound:
            fits = self._fits(boxes, score, class_id)
            rows, class_id = rows[fits], class_id[fits]
        return rows[self._wanted[class_id]]

    def _fits(
        self, boxes: NDArray[np.float32], score: NDArray[np.float32], class_id: NDArray[np.int32]
    ) -> Bools:
        """(n,) whether the values of a row can be; counts the others."""
        farthest = np.abs(boxes).max(axis=1, initial=0)
        left = np.ones(len(score), np.bool_)
        for cause, fits in (
            (BAD_SCORE, (score >= 0) & (score <= 1 + _SCORE_SLACK)),
            (UNKNOWN_CLASS, (class_id >= 0) & (class_id < len(self._wanted))),
            (BAD_BOX, np.isfinite(farthest)),
            (FAR_BOX, farthest <= _FARTHEST),
        ):
            self._refuse(cause, int(np.count_nonzero(left & ~fits)))
            left &= fits
        return left

    def _refuse(self, cause: str, rows: int) -> None:
        if rows and not self._refused[cause]:
            model = self.engine.info.model
            _log.warning("%s gives outputs that cannot be (%s); they are left out and counted", model, cause)
        self._refused[cause] += rows


def _stuff(
    info: EngineInfo,
    outputs: EngineOutputs,
    b: int,
    extent_xy: tuple[float, float],
    frame_hw: tuple[int, int],
) -> Stuff | None:
    """Copies of what row `b` says of every cell; None where the engine says nothing."""
    kind, owner = outputs.semantic, outputs.segments
    one = kind if kind is not None else owner
    if one is None:
        return None
    rows, columns = one.shape[1:]
    return Stuff(
        kind[b].copy() if kind is not None else np.full((rows, columns), 255, np.uint8),
        owner[b].copy() if owner is not None else None,
        info.stuff_classes,
        (extent_xy[0] / columns, extent_xy[1] / rows),
        frame_hw,
    )


def _logit_slope(info: EngineInfo) -> float | None:
    encoding, _, slope = info.mask_encoding.partition(":")
    return float(slope) if encoding == "logit" else None


def _wanted(info: EngineInfo, classes: Collection[int] | None) -> Bools:
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
