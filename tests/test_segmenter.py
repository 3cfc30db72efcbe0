"""Frames to instances: geometry of both ways of resizing, filters, batches, values that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.errors import EngineError
from streamseg.masks import BoxGrids
from streamseg.segmenter import REFUSALS, Segmenter
from streamseg.structures import Frame, Instances, Segmented

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


def alone(segmenter: Segmenter, given: Frame) -> Instances:
    [one] = segmenter.segment([given])
    return one.instances


def brightness(frames: NDArray[np.uint8]) -> EngineOutputs:
    """Echo: the score of the only instance is the picture's mean / 255."""
    out = outputs([ROWS[0]], len(frames))
    out.scores[:, 0] = frames.mean((1, 2, 3)) / 255
    return out


def test_stretched_boxes_and_masks_in_frame_pixels() -> None:
    with FakeEngine(info(), outputs(ROWS)) as engine:
        [one] = Segmenter(engine, score=0.3).segment([given := frame(720, 1200)])
    found = one.instances
    assert one.frame is given
    assert one.stuff is None
    np.testing.assert_allclose(found.xyxy, [[120, 144, 600, 432], [0, 360, 360, 720]], atol=1e-3)
    assert found.score.tolist() == pytest.approx([0.9, 0.6])
    assert found.class_id.tolist() == [0, 1]
    assert found.masks.grid == (1200 / 12, 720 / 8)
    assert found.masks.frame_hw == (720, 1200)
    assert found.masks.soft.shape == (2, 8, 12)
    assert found.masks.soft[:, 0, 0].tolist() == [1, 2]


def test_of_one_object_under_two_names_the_surer_is_kept_if_asked() -> None:
    box = ROWS[0][0]
    given = outputs([(box, 0.9, 0), (box, 0.6, 1), (box, 0.5, 0)])
    given.masks[...] = 255
    assert alone(Segmenter(FakeEngine(info(), given)), frame(H, W)).class_id.tolist() == [0, 1, 0]
    single = Segmenter(FakeEngine(info(), given), double_iou=0.7)
    assert alone(single, frame(H, W)).class_id.tolist() == [0, 0]


def test_fitted_boxes_and_masks_in_frame_pixels() -> None:
    """A 100×50 frame in a 40×60 input: scaled by 0.4 to 40×20, 40 columns of padding."""
    seen: list[NDArray[np.uint8]] = []

    def look(frames: NDArray[np.uint8]) -> EngineOutputs:
        seen.append(frames.copy())
        return outputs([([0.0, 0.0, 1 / 3, 0.5], 0.9, 0), ([0.5, 0.1, 0.9, 0.9], 0.8, 0)])

    engine = FakeEngine(info(resize="fit", pad_bgr=(7, 8, 9)), look)
    found = alone(Segmenter(engine), frame(100, 50, value=200))
    np.testing.assert_allclose(found.xyxy, [[0, 0, 50, 50]], atol=1e-4)  # the other lies in the padding
    assert found.masks.grid == (60 / 12 / 0.4, 40 / 8 / 0.4)
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
    found = alone(Segmenter(FakeEngine(info(), outputs(ROWS)), **options), frame(50, 50))
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
    found = Segmenter(FakeEngine(info(), look)).segment(frames)
    for image, slot in zip(images, seen[0], strict=True):
        np.testing.assert_array_equal(slot, cv2.resize(image, (W, H), interpolation=cv2.INTER_LINEAR))
    assert [one.frame.source_id for one in found] == ["0", "1", "2"]
    assert [one.instances.masks.frame_hw for one in found] == [(97, 131), (40, 60), (20, 33)]


def test_results_are_copies() -> None:
    """The engine reuses its outputs; what was returned before must not change."""
    shared = outputs(ROWS)
    segmenter = Segmenter(FakeEngine(info(), shared))
    found = alone(segmenter, frame(50, 50))
    kept = [found.xyxy.copy(), found.score.copy(), found.class_id.copy(), found.masks.soft.copy()]
    for array in (shared.boxes, shared.scores, shared.classes, shared.masks):
        array[:] = 0
    for array, before in zip((found.xyxy, found.score, found.class_id, found.masks.soft), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def values(found: list[Segmented]) -> list[tuple[int, float]]:
    """Index of each frame and the brightness that the engine saw, of 255."""
    return [(one.frame.index, round(255 * float(one.instances.score[0]))) for one in found]


def bright(indices: range) -> list[Frame]:
    """Frames of all sizes; frame i has brightness i."""
    return [frame(30 + i, 50, i, value=i) for i in indices]


def seeing(sizes: list[int], **options: Any) -> Segmenter:
    """A segmenter whose engine notes the size of every batch it gets."""

    def look(frames: NDArray[np.uint8]) -> EngineOutputs:
        sizes.append(len(frames))
        return brightness(frames)

    return Segmenter(FakeEngine(info(), look, latency_s=0.001), score=0.0, **options)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 3, 2)])
def test_process_returns_the_batch_before(sizes: tuple[int, ...]) -> None:
    """Every frame comes back once, in order, with its own instances, whatever the sizes of the batches."""
    segmenter, start, returned = seeing([]), 0, []
    for size in sizes:
        returned.append(values(segmenter.process(bright(range(start, start + size)))))
        start += size
    returned.append(values(segmenter.drain()))
    assert [len(batch) for batch in returned] == [0, *sizes]
    assert [pair for batch in returned for pair in batch] == [(i, i) for i in range(start)]
    assert segmenter.drain() == []


def test_more_frames_than_the_engine_takes_are_several_batches() -> None:
    """Of 7 frames in batches of 3 the first 6 come back at once, the last stays under way."""
    sizes: list[int] = []
    segmenter = seeing(sizes, max_batch=3)
    assert values(segmenter.process(bright(range(7)))) == [(i, i) for i in range(6)]
    assert sizes == [3, 3, 1]
    assert values(segmenter.process(bright(range(7, 9)))) == [(6, 6)]
    assert values(segmenter.drain()) == [(7, 7), (8, 8)]
    assert sizes == [3, 3, 1, 2]


def test_idle_hands_out_what_is_under_way() -> None:
    segmenter = seeing([])
    assert segmenter.idle() == []
    assert segmenter.process(bright(range(1))) == []
    assert values(segmenter.idle()) == [(0, 0)]
    assert segmenter.idle() == segmenter.drain() == segmenter.process([]) == []
    assert segmenter.process(bright(range(1, 2))) == []
    assert values(segmenter.process(bright(range(2, 3)))) == [(1, 1)]
    assert values(segmenter.idle()) == [(2, 2)]


def test_segment_holds_nothing_back_and_loses_nothing() -> None:
    segmenter = seeing([], max_batch=2)
    assert values(segmenter.segment(bright(range(3)))) == [(0, 0), (1, 1), (2, 2)]
    assert segmenter.process(bright(range(3, 4))) == []
    assert values(segmenter.segment(bright(range(4, 5)))) == [(3, 3), (4, 4)]
    assert segmenter.drain() == segmenter.segment([]) == []


def test_the_batch_under_way_is_not_touched_while_the_next_is_filled() -> None:
    """The engine may read its frames until they are collected; and `process` fills before it collects."""
    under_way: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []

    class Late(FakeEngine):
        def _start(self, frames: NDArray[np.uint8]) -> None:
            under_way.append((frames, frames.copy()))
            super()._start(frames)

        def _finish(self) -> EngineOutputs:
            given, at_submit = under_way[-1]
            np.testing.assert_array_equal(given, at_submit)
            return super()._finish()

    segmenter = Segmenter(Late(info(), brightness), score=0.0, max_batch=2)
    found = [one for k in range(4) for one in segmenter.process(bright(range(5 * k, 5 * k + 5)))]
    assert values([*found, *segmenter.drain()]) == [(i, i) for i in range(20)]


def test_close_closes_the_engine_even_with_a_batch_under_way() -> None:
    engine = FakeEngine(info(), outputs(ROWS))
    segmenter = Segmenter(engine)
    segmenter.process([frame(50, 50)])
    segmenter.close()
    segmenter.close()
    assert segmenter.drain() == segmenter.idle() == []
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.infer(np.zeros((1, H, W, 3), np.uint8))


def test_classes_the_engine_does_not_have() -> None:
    with pytest.raises(EngineError, match=r"class 3: fake has classes 0…2"):
        Segmenter(FakeEngine(info(), outputs([])), classes=[1, 3])


# -- what an engine cannot mean -------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
BOX = [0.1, 0.2, 0.5, 0.6]


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        (([NAN] * 4, 0.9, 0), "box not finite"),
        (([0.1, 0.2, INF, 0.6], 0.9, 0), "box not finite"),
        (([-INF, 0.2, 0.5, 0.6], 0.9, 0), "box not finite"),
        (([0.1, 0.2, 1e30, 0.6], 0.9, 0), "box far outside the input"),
        (([-1e30, -1e30, 3e38, 3e38], 0.9, 0), "box far outside the input"),
        ((BOX, NAN, 0), "score not in 0…1"),
        ((BOX, INF, 0), "score not in 0…1"),
        ((BOX, 2.0, 0), "score not in 0…1"),
        ((BOX, 0.9, -1), "unknown class"),
        ((BOX, 0.9, 3), "unknown class"),
        ((BOX, 0.9, 100_000), "unknown class"),
    ],
)
def test_rows_that_cannot_be_are_left_out_and_counted(
    row: tuple[list[float], float, int], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    segmenter = Segmenter(FakeEngine(info(), outputs([row, ROWS[0], row])))
    assert set(segmenter.refused) == set(REFUSALS)
    for times in (1, 2, 3):
        found = alone(segmenter, frame(50, 50))
        assert found.class_id.tolist() == [0]
        assert found.masks.soft[:, 0, 0].tolist() == [2]
        assert {k: n for k, n in segmenter.refused.items() if n} == {cause: 2 * times}
    assert [r.getMessage() for r in caplog.records] == [
        f"fake gives outputs that cannot be ({cause}); they are left out and counted"
    ]


def test_an_engine_that_gives_only_nan_is_seen() -> None:
    nothing = outputs([([NAN] * 4, NAN, 0)] * 4)
    segmenter = Segmenter(FakeEngine(info(), nothing))
    assert len(alone(segmenter, frame(50, 50))) == 0
    assert segmenter.refused["score not in 0…1"] == 4


def test_rows_below_the_score_are_not_judged() -> None:
    segmenter = Segmenter(
        FakeEngine(info(), outputs([ROWS[0], ([NAN] * 4, 0.1, 7), (BOX, -INF, 0)])), score=0.3
    )
    assert len(alone(segmenter, frame(50, 50))) == 1
    assert not any(segmenter.refused.values())


def test_a_score_just_above_one_is_one() -> None:
    segmenter = Segmenter(FakeEngine(info(), outputs([(BOX, 1.2, 0), (BOX, 1.004, 0)])))
    assert alone(segmenter, frame(50, 50)).score.tolist() == [1.0, 1.0]
    assert not any(segmenter.refused.values())


# -- masks and stuff as the metadata describe them ----------------------------------------------------


def test_masks_on_boxes_keep_the_box_that_the_engine_gave() -> None:
    engine = FakeEngine(info(mask_layout="box", mask_paste="torchvision"), outputs(ROWS))
    found = alone(Segmenter(engine), frame(100, 200))
    assert isinstance(found.masks.grid, BoxGrids)
    assert found.masks.grid.paste == "torchvision"
    np.testing.assert_allclose(found.masks.grid.xyxy, [[20, 20, 100, 60], [-20, 50, 60, 120]], rtol=1e-5)
    np.testing.assert_allclose(found.xyxy, [[20, 20, 100, 60], [0, 50, 60, 100]], rtol=1e-5)


def test_how_masks_are_interpolated_is_a_fact_of_the_engine() -> None:
    plain = alone(Segmenter(FakeEngine(info(family="solov2"), outputs(ROWS))), frame(50, 50)).masks
    assert (plain.finer, plain.logit_slope) == (1, None)
    told = info(mask_finer=4, mask_encoding="logit:15.9")
    masks = alone(Segmenter(FakeEngine(told, outputs(ROWS))), frame(50, 50)).masks
    assert (masks.finer, masks.logit_slope) == (4, 15.9)


def test_stuff_and_owners_follow_the_rows_that_are_kept() -> None:
    """Rows 0 and 2 of three are kept; cells of row 1 have no owner any more."""
    semantic = np.array([[[0, 1, 255], [1, 1, 0]]], np.uint8)
    segments = np.array([[[1, 2, 0], [3, 3, 0]]], np.uint8)
    rows = [ROWS[0], (BOX, 0.1, 1), (BOX, 0.8, 2)]
    engine = FakeEngine(
        info(stuff_classes=("sky", "road")), replace(outputs(rows), semantic=semantic, segments=segments)
    )
    [one] = Segmenter(engine).segment([frame(40, 90)])
    stuff = one.stuff
    assert stuff is not None
    assert stuff.owner is not None
    assert one.instances.class_id.tolist() == [0, 2]
    assert (stuff.names, stuff.scale_xy, stuff.frame_hw) == (("sky", "road"), (30.0, 20.0), (40, 90))
    assert stuff.kind.tolist() == semantic[0].tolist()
    assert stuff.owner.tolist() == [[1, 0, 0], [2, 2, 0]]
    assert not np.shares_memory(stuff.kind, semantic)


def test_a_semantic_engine_without_instances() -> None:
    none = outputs([])
    given = EngineOutputs(
        none.boxes[:, :0], none.scores[:, :0], none.classes[:, :0], none.masks[:, :0], none.count
    )
    given = replace(given, semantic=np.zeros((1, 5, 5), np.uint8))
    told = info(classes=(), stuff_classes=("sky",), max_detections=0)
    [one] = Segmenter(FakeEngine(told, given)).segment([frame(50, 50)])
    assert one.stuff is not None
    assert one.stuff.owner is None
    assert one.stuff.kind.shape == (5, 5)
    assert len(one.instances) == 0
