"""SOLO and decoupled SOLO as files: the contract is met, and `export` finds them equal to the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")
pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from streamseg.export.check import sample_frames  # noqa: E402
from streamseg.export.onnx_export import export  # noqa: E402
from streamseg.models.solo.config import SOLO_CONFIGS  # noqa: E402
from streamseg.models.solo.solo import Solo  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("name", ["solo_r50", "decoupled_solo_light_dcn_r50"])
def test_narrow_one(tmp_path: Path, name: str) -> None:
    """A configuration in all its structure, narrow, with random weights."""
    config = replace(
        SOLO_CONFIGS[name],
        classes=("a", "b", "c"),
        input_hw=(96, 160),
        block="basic",
        deform_interval=0,
        stage_blocks=(1, 1, 1, 1),
        stage_widths=(32, 32, 32, 32),
        stem_width=32,
        fpn_width=32,
        grids=(7, 6, 4, 3, 2),
        tower_width=32,
        tower_depth=2,
    )
    torch.manual_seed(0)
    model = Solo(config).eval()
    with torch.no_grad():
        for key, weights in model.head.state_dict().items():
            if "conv_cls" in key or "conv_mask_list" in key:
                weights.mul_(5)

    path = export(model, tmp_path / "solo.onnx", max_detections=20)

    with OnnxRuntimeEngine(path) as engine:
        assert (engine.info.family, engine.info.model, engine.info.resize) == ("solo", name, "fit")
        assert engine.info.mask_finer == 4
        outputs = engine.infer(sample_frames((96, 160)))
    assert outputs.masks.shape == (2, 20, 24, 40)
    assert outputs.count.tolist() == [20, 20]
    assert np.all(np.diff(outputs.scores) <= 0)
    assert np.all((outputs.masks > 127).any(axis=(2, 3)))
