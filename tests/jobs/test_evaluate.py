"""The whole product on synthetic scenes, scored."""

from pathlib import Path

import pytest

import streamseg
from streamseg.errors import EngineError
from streamseg.jobs.evaluate import evaluate_on_scenes

COMPACT = Path(streamseg.__file__).parent / "bundled" / "compact.onnx"


def test_two_scenes_through_the_pipeline() -> None:
    told = []

    figures = evaluate_on_scenes(COMPACT, scenes=2, frames=8, progress=lambda *counts: told.append(counts))

    assert told == [(k, 16) for k in range(1, 17)]
    assert (figures["scenes"], figures["frames"]) == (2, 16)
    assert figures["instances"] > 16
    for name in ("mask_ap50", "recall", "precision", "hota", "idf1"):
        assert 0.5 < figures[name] <= 1, name
    assert figures["mask_ap"] < figures["mask_ap50"]
    assert 0 < figures["boundary_error_px"] < 10
    assert figures["id_switches"] == pytest.approx(0, abs=4)
    assert "openvino" in figures["runtime"] or "onnxruntime" in figures["runtime"]


def test_scenes_need_an_engine_that_knows_shapes(tiny_engine_path: Path) -> None:
    with pytest.raises(EngineError, match=r"tiny\.onnx: has no class 'shape'"):
        evaluate_on_scenes(tiny_engine_path)
