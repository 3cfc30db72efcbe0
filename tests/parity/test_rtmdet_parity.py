"""RTMDet-Ins-tiny against mmdetection on the same weights: torch in every run, files by `make parity`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def reference_script(script_of: Callable[[str], ModuleType]) -> ModuleType:
    """benchmarks/rtmdet_reference.py."""
    return script_of("rtmdet_reference")


def assert_equal_but_for_rounding(found: Any, pictures: int) -> None:
    """Every detection is there; none differs but in pixels that a mask's 8 bits cannot decide."""
    assert found.expected >= 35 * pictures
    assert found.equal + found.rounding >= 0.99 * found.expected, found.differing
    assert found.score < 1e-3
    assert found.pixels < 0.5


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_in_torch_on_one_picture(
    reference_script: ModuleType, parity: ModuleType, shared_dir: Path, tmp_path: Path
) -> None:
    script = reference_script
    model = script.reference_network(shared_dir, tmp_path)
    engine = parity.ModuleEngine(parity.EngineModule(model))

    found = script.measure(engine, list(script.pictures(shared_dir, 1)))

    assert_equal_but_for_rounding(found, 1)
    exact = script.measure_logits(parity.EngineModule(model), list(script.pictures(shared_dir, 1)))
    assert exact["masks"] == found.expected
    assert exact["least_iou"] > 0.99


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_in_every_runtime_on_all_pictures(
    reference_script: ModuleType, parity: ModuleType, shared_dir: Path, tmp_path: Path
) -> None:
    script = reference_script
    cases = list(script.pictures(shared_dir, 10))
    assert sum(case.left_out for case in cases) == 69  # 45 of a picture of which every score is 1
    model = script.reference_network(shared_dir, tmp_path)
    file = parity.export(model, tmp_path / "rtmdet.onnx")

    with parity.OnnxRuntimeEngine(file) as engine:
        assert_equal_but_for_rounding(script.measure(engine, cases), 9)
    with script.OpenVinoEngine(file, precision="fp32") as engine:
        assert_equal_but_for_rounding(script.measure(engine, cases), 9)
