"""The check of an exported file: what rounding cannot move must agree."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")
pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs  # noqa: E402
from streamseg.errors import ExportError  # noqa: E402
from streamseg.export.check import FULL, _disagreement, _firm, _moved, check_export  # noqa: E402
from streamseg.models.engine_module import EngineModule  # noqa: E402

N = 20


def outputs(**changes: Any) -> EngineOutputs:
    """One frame, N instances side by side, with scores from 0.9 down in steps of 0.02."""
    left = np.arange(N, dtype=np.float32) / N
    boxes = np.stack([left, np.zeros(N), left + 1 / N, np.ones(N)], axis=-1).astype(np.float32)
    masks = np.zeros((1, N, 4, N), np.uint8)
    masks[0, np.arange(N), :, np.arange(N)] = 200
    scores = (0.9 - 0.02 * np.arange(N)).astype(np.float32)
    arrays = {
        "boxes": boxes[None],
        "scores": scores[None],
        "classes": np.ones((1, N), np.int32),
        "masks": masks,
        "count": np.array([N], np.int32),
    }
    return EngineOutputs(**{**arrays, **changes})


def without(row: int) -> EngineOutputs:
    """One instance less."""
    whole = outputs()
    kept = [i for i in range(N) if i != row] + [row]
    scores = whole.scores[:, kept]
    scores[0, -1] = 0
    return outputs(
        boxes=whole.boxes[:, kept],
        scores=scores,
        masks=whole.masks[:, kept],
        count=np.array([N - 1], np.int32),
    )


def scored(row: int, score: float) -> EngineOutputs:
    scores = outputs().scores.copy()
    scores[0, row] = score
    return outputs(scores=scores)


def test_all_is_firm_that_no_draw_moves() -> None:
    same = outputs()
    assert _firm(same, [same, same], FULL) == {(0, row) for row in range(N)}


def test_what_a_draw_moves_is_not_firm() -> None:
    """One draw loses an instance, another gives one a score that is too far off."""
    firm = _firm(outputs(), [without(3), scored(7, 0.755)], FULL)
    assert firm == {(0, row) for row in range(N)} - {(0, 3), (0, 7)}


def test_equal_scores_are_in_no_order() -> None:
    tied = scored(5, 0.9 - 0.02 * 6)
    assert _firm(tied, [tied], FULL) == {(0, row) for row in range(N)} - {(0, 5), (0, 6)}


def test_a_near_tie_may_be_lost() -> None:
    firm = {(0, row) for row in range(N)} - {(0, 3)}
    assert _disagreement(outputs(), without(3), firm, FULL) == ""


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            without(3),
            "1 of 20 instances that rounding cannot move; the first, of class 1 and score 0.8400, is not",
        ),
        (scored(2, 0.8612), "score 0.8600, has a score 0.0012 off and 0.00% of its mask's cells"),
        (outputs(masks=outputs().masks[:, ::-1].copy()), "20 of 20 .* has a score 0 off and 10.00% of"),
        (outputs(classes=np.zeros((1, N), np.int32)), r"0.0% of the instances match \(90% needed\)"),
    ],
)
def test_what_rounding_cannot_explain(found: EngineOutputs, text: str) -> None:
    firm = {(0, row) for row in range(N)}
    problem = _disagreement(outputs(), found, firm, FULL)
    assert re.search(text, problem), problem


def test_heads_move_by_a_share_of_the_largest() -> None:
    heads = torch.tensor([[-4.0, 1.0]]), (torch.zeros(3), torch.tensor([2.0, 0.0]))
    (first, (second, third)) = _moved(heads, 1e-2, 0)
    assert 0 < float((first - heads[0]).abs().max()) <= 4e-2
    assert second.tolist() == [0, 0, 0]
    assert 0 < float((third - heads[1][1]).abs().max()) <= 2e-2
    assert torch.equal(first, _moved(heads, 1e-2, 0)[0])
    assert not torch.equal(first, _moved(heads, 1e-2, 1)[0])


@pytest.mark.slow
def test_a_batch_frozen_by_tracing(tiny_model: Any) -> None:
    module = EngineModule(tiny_model, max_detections=10).eval()
    frames = torch.zeros(2, *tiny_model.config.input_hw, 3, dtype=torch.uint8)
    names = {"input_names": [INPUT_NAME], "output_names": list(OUTPUT_NAMES)}
    program = torch.onnx.export(module, (frames,), dynamo=True, verbose=False, **names)
    with pytest.raises(ExportError, match=r"tiny: ONNX Runtime cannot run the export .*invalid dimensions"):
        check_export(module, program.model_proto.SerializeToString(), FULL, "tiny")
