"""Frames to instances: geometry of both ways of resizing, filters, batches, overlap."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.errors import EngineError
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame

H, W = 40, 60
Make = Callable[[NDArray[np.uint8]], EngineOutputs]


def info(**changes: Any) -> EngineInfo:
    fields: dict[str, Any] = {
        "family": "fake",
        "model": "fake",
        "classes": ("cat", "dog", "car"),
        "resize": "stretch",
        "input_hw": (H, W),
        "max_detections": 4,
        "score_threshold": 0.0,
    }
    return EngineInfo(**(fields | changes))


def frame(height: int, width: int, index: int = 0, value: int = 0) -> Frame:
    return Frame(np.full((height, width, 3), value, np.uint8), index, index / 30, 0, "test")


def outputs(rows: list[tuple[list[float], float, int]], batch: int = 1) -> EngineOutputs:
    """The same rows (box, score, class) for every picture; masks of k + 1; K = 4, 8 × 12 cells."""
    out = EngineOutputs(
        np.zeros((batch, 4, 4), np.float32),
        np.zeros((batch, 4), np.float32),
        np.zeros((batch, 4), np.int32),
        np.zeros((batch, 4, 8, 12), np.uint8),
        np.full(batch, len(rows), np.int32),
    )
    for k, (box, score, class_id) in enumerate(rows):
        out.boxes[:, k], out.scores[:, k], out.classes[:, k], out.masks[:, k] = box, score, class_id, k + 1
    return out


ROWS = [([0.1, 0.2, 0.5, 0.6], 0.9, 0), ([-0.1, 0.5, 0.3, 1.2], 0.6, 1), ([0.5, 0.5, 0.9, 0.9], 0.2, 2)]


def brightness(frames: NDArray[np.uint8]) -> EngineOutputs:
    """Echo: the score of the only instance is the picture's mean / 255."""
    out = outputs([ROWS[0]], len(frames))
    out.scores[:, 0] = frames.mean((1, 2, 3)) / 255
    return out


def test_stretched_boxes_and_masks_in_frame_pixels() -> None:
    with FakeEngine(info(), outputs(ROWS)) as engine:
        [(same, found)] = Segmenter(engine, score=0.3).process([given := frame(720, 1200)])
    assert same is given
    np.testing.assert_allclose(found.xyxy, [[120, 144, 600, 432], [0, 360, 360, 720]], atol=1e-3)
    assert found.score.tolist() == pytest.approx([0.9, 0.6])
    assert found.class_id.tolist() == [0, 1]
    assert found.masks.scale_xy == (1200 / 12, 720 / 8)
    assert found.masks.frame_hw == (720, 1200)
    assert found.masks.soft.shape == (2, 8, 12)
    assert found.masks.soft[:, 0, 0].tolist() == [1, 2]


def test_fitted_boxes_and_masks_in_frame_pixels() -> None:
    """A 100×50 frame in a 40×60 input: scaled by 0.4 to 40×20, 40 columns of padding."""
    seen: list[NDArray[np.uint8]] = []

    def look(frames: NDArray[np.uint8]) -> EngineOutputs:
        seen.append(frames.copy())
        return outputs([([0.0, 0.0, 1 / 3, 0.5], 0.9, 0), ([0.5, 0.1, 0.9, 0.9], 0.8, 0)])

    engine = FakeEngine(info(resize="fit", pad_bgr=(7, 8, 9)), look)
    [(_, found)] = Segmenter(engine).process([frame(100, 50, value=200)])
    np.testing.assert_allclose(found.xyxy, [[0, 0, 50, 50]], atol=1e-4)  # the other lies in the padding
    assert found.masks.scale_xy == (60 / 12 / 0.4, 40 / 8 / 0.4)
    assert (seen[0][0, :, :20] == 200).all()
    assert (seen[0][0, :, 20:] == (7, 8, 9)).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 1]),
        ({"score": 0.0}, [0, 1, 2]),
        ({"score": 0.95}, []),
        ({"score": 0.0, "classes": [2, 1]}, [1, 2]),
        ({"classes": [2]}, []),
        ({"classes": []}, []),
    ],
)
def test_filters(options: dict[str, Any], expected: list[int]) -> None:
    [(_, found)] = Segmenter(FakeEngine(info(), outputs(ROWS)), **options).process([frame(50, 50)])
    assert found.class_id.tolist() == expected
    assert found.masks.soft.shape == (len(expected), 8, 12)


def test_frames_are_resized_as_opencv_does() -> None:
    seen: list[NDArray[np.uint8]] = []

    def look(frames: NDArray[np.uint8]) -> EngineOutputs:
        seen.append(frames.copy())
        return outputs([], len(frames))

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((97, 131), (40, 60), (20, 33))]
    frames = [Frame(image, 0, 0.0, 0, str(i)) for i, image in enumerate(images)]
    found = Segmenter(FakeEngine(info(), look)).process(frames)
    for image, slot in zip(images, seen[0], strict=True):
        np.testing.assert_array_equal(slot, cv2.resize(image, (W, H), interpolation=cv2.INTER_LINEAR))
    assert [pair[0].source_id for pair in found] == ["0", "1", "2"]
    assert [pair[1].masks.frame_hw for pair in found] == [(97, 131), (40, 60), (20, 33)]


def test_results_are_copies() -> None:
    """The engine reuses its outputs; what was returned before must not change."""
    shared = outputs(ROWS)
    segmenter = Segmenter(FakeEngine(info(), shared))
    [(_, found)] = segmenter.process([frame(50, 50)])
    kept = [found.xyxy.copy(), found.score.copy(), found.class_id.copy(), found.masks.soft.copy()]
    for array in (shared.boxes, shared.scores, shared.classes, shared.masks):
        array[:] = 0
    for array, before in zip((found.xyxy, found.score, found.class_id, found.masks.soft), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 3, 2)])
def test_overlap_returns_the_batch_before(sizes: tuple[int, ...]) -> None:
    """Every frame comes back once, in order, with its own instances, whatever the sizes of the batches."""
    segmenter = Segmenter(FakeEngine(info(), brightness, latency_s=0.001), score=0.0, overlap=True)
    batches, start = [], 0
    for size in sizes:
        batches.append([frame(30 + i, 50, i, value=10 * i) for i in range(start, start + size)])
        start += size
    returned = [segmenter.process(batch) for batch in batches] + [segmenter.drain()]
    assert returned[0] == []
    assert [len(pairs) for pairs in returned[1:]] == list(sizes)
    flat = [pair for pairs in returned for pair in pairs]
    assert [f.index for f, _ in flat] == list(range(start))
    assert [float(found.score[0]) for _, found in flat] == pytest.approx([10 * i / 255 for i in range(start)])
    assert segmenter.drain() == []


def test_without_overlap_nothing_is_held_back() -> None:
    segmenter = Segmenter(FakeEngine(info(), brightness), score=0.0)
    for value in (10, 20):
        [(_, found)] = segmenter.process([frame(50, 50, value=value)])
        assert found.score[0] == pytest.approx(value / 255)
    assert segmenter.drain() == []
    assert segmenter.process([]) == []


def test_overlap_hides_the_host_behind_the_engine() -> None:
    """40 ms of engine and 20 ms of other work a frame: 10 frames take 400 ms and a bit, not 600."""
    segmenter = Segmenter(FakeEngine(info(), outputs(ROWS), latency_s=0.04), overlap=True)
    began = time.monotonic()
    for i in range(10):
        segmenter.process([frame(50, 50, i)])
        time.sleep(0.02)
    segmenter.drain()
    assert 0.4 <= time.monotonic() - began < 0.58


def test_close_closes_the_engine_even_with_a_batch_under_way() -> None:
    engine = FakeEngine(info(), outputs(ROWS))
    segmenter = Segmenter(engine, overlap=True)
    segmenter.process([frame(50, 50)])
    segmenter.close()
    segmenter.close()
    assert segmenter.drain() == []
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.infer(np.zeros((1, H, W, 3), np.uint8))


def test_classes_the_engine_does_not_have() -> None:
    with pytest.raises(EngineError, match=r"class 3: fake has classes 0…2"):
        Segmenter(FakeEngine(info(), outputs([])), classes=[1, 3])
