"""The whole product's score: results that are the truth are perfect, spoilt ones lose what they should."""

import numpy as np
import pytest

from streamseg.evaluation.scene_benchmark import SceneBenchmark
from streamseg.scene import SceneTruth, SyntheticScene
from streamseg.structures import Frame, Instances, Masks, Result, Tracks

SIZE_HW = (90, 160)
FRAMES = 12


def result_of(frame: Frame, truth: SceneTruth, shift: int = 0, ids: np.ndarray | None = None) -> Result:
    """The truth, `shift` pixels to the right, as a network of the frame's own resolution would give it."""
    height, width = SIZE_HW
    soft = np.zeros((len(truth), height, width), np.uint8)
    for row in range(len(truth)):
        soft[row, :, shift:] = 255 * truth.mask(row)[:, : width - shift]
    xyxy = np.clip(truth.xyxy + np.array([shift, 0, shift, 0]), 0, [width, height, width, height]).astype(
        np.float32
    )
    score = np.full(len(truth), 0.9, np.float32)
    masks = Masks(soft, (1.0, 1.0), SIZE_HW)
    instances = Instances(xyxy, score, np.zeros(len(truth), np.int32), masks)
    known = truth.ids if ids is None else ids
    state, age = np.full(len(truth), 2, np.uint8), np.zeros(len(truth), np.float32)
    return Result(frame, instances, Tracks(known, age, state, xyxy), ("shape",))


def scored(shift: int = 0, switch_at: int | None = None) -> dict[str, float]:
    benchmark = SceneBenchmark()
    for source in ("a", "b"):
        scene = SyntheticScene(3 + len(source), SIZE_HW, 3)
        for index in range(FRAMES):
            image, truth = scene.frame(index)
            late = switch_at is not None and source == "b" and index >= switch_at
            frame = Frame(image, index, index / 30, 0, source)
            benchmark.add(result_of(frame, truth, shift, truth.ids + 100 if late else None), truth)
    return benchmark.summary()


def test_the_truth_is_perfect() -> None:
    figures = scored()

    for name in (
        "mask_ap",
        "box_ap",
        "boundary_ap",
        "mean_iou",
        "recall",
        "precision",
        "hota",
        "idf1",
        "mota",
    ):
        assert figures[name] == pytest.approx(1, abs=1e-9), name
    assert (figures["boundary_error_px"], figures["id_switches"]) == (0, 0)
    assert (figures["scenes"], figures["frames"]) == (2, 2 * FRAMES)


def test_masks_that_are_off_lose_outline_before_mask() -> None:
    figures = scored(shift=1)

    assert figures["boundary_ap"] < figures["mask_ap"] < 1
    assert 0.3 < figures["boundary_error_px"] <= 1
    assert figures["idf1"] == pytest.approx(1)


def test_new_ids_are_switches() -> None:
    figures = scored(switch_at=FRAMES // 2)

    assert figures["mask_ap"] == pytest.approx(1)
    assert figures["id_switches"] == len(SyntheticScene(4, SIZE_HW, 3).frame(FRAMES)[1])
    assert figures["assa"] < figures["hota"] < figures["deta"]
