import numpy as np

from streamseg.engine_contract import EngineOutputs
from streamseg.engines.agreement import compare


def outputs(
    boxes: list[list[float]], classes: list[int] | None = None, scores: list[float] | None = None
) -> EngineOutputs:
    """One frame with masks of 4 × 4 cells, the upper half set; room for one instance more."""
    n = len(boxes)
    masks = np.zeros((1, n + 1, 4, 4), np.uint8)
    masks[0, :n, :2] = 200
    return EngineOutputs(
        boxes=np.array([[*boxes, [0.0] * 4]], np.float32),
        scores=np.array([[*(scores or np.linspace(0.9, 0.5, n)), 0.0]], np.float32),
        classes=np.array([[*(classes or [0] * n), 0]], np.int32),
        masks=masks,
        count=np.array([n], np.int32),
    )


def test_rows_that_swapped_places_are_partners() -> None:
    a = outputs([[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]], scores=[0.8, 0.7])
    b = outputs([[0.5, 0.5, 0.9, 0.9], [0.1, 0.1, 0.4, 0.45]], scores=[0.71, 0.7])
    b.masks[0, 1, 1] = 0
    agreement = compare(a, b)
    assert (agreement.matched, agreement.matched_share) == (2, 1.0)
    np.testing.assert_allclose(agreement.score_shift, [0.1, 0.01], atol=1e-6)
    np.testing.assert_allclose(agreement.box_shift, [0.05, 0], atol=1e-6)
    np.testing.assert_allclose(agreement.mask_iou, [0.5, 1])
    np.testing.assert_allclose(agreement.cells_differ, [0.25, 0])


def test_another_class_or_place_is_no_partner() -> None:
    a = outputs([[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]], classes=[1, 2])
    b = outputs([[0.1, 0.1, 0.4, 0.4], [0.7, 0.7, 1.0, 1.0]], classes=[2, 2])
    agreement = compare(a, b)
    assert (agreement.matched, agreement.only_reference, agreement.only_other) == (0, 2, 2)


def test_boxes_clipped_to_a_line_have_partners() -> None:
    lines = [
        [0.0, 0.58901256, 0.0, 0.6530027],
        [0.0, 0.52, 0.0, 0.5644],
        [0.3, 1.0, 0.6, 1.0],
        [1.0, 1.0, 1.0, 1.0],
    ]
    agreement = compare(outputs(lines), outputs([[v - 5e-8 for v in line] for line in lines]))
    assert (agreement.matched, agreement.matched_share) == (4, 1.0)
    assert agreement.reference_row[:, 1].tolist() == [0, 1, 2, 3]
    assert compare(outputs(lines[:1]), outputs(lines[1:2])).matched == 0
