"""TorchEngine on a GPU against the same checkpoint in float32 on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.engine_contract import OUTPUT_NAMES, EngineOutputs
from streamseg.engines.agreement import compare
from streamseg.engines.torch_engine import TorchEngine

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("torch_gpu"), pytest.mark.timeout(1800)]

Frames = NDArray[np.uint8]

TOLERANCES = {
    # precision: share of instances ≥ 0.6 with a partner, median shift of scores, least median IoU of masks;
    # random weights, far touchier than trained ones
    "fp32": (0.99, 1e-4, 0.999),
    "fp16": (0.90, 1e-2, 0.97),
    "bf16": (0.80, 5e-2, 0.90),
}
CYCLES = 200
FREE_MARGIN = 64 << 20


@pytest.fixture(scope="module")
def checkpoint(tiny_model: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from streamseg.models.weights.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    save_checkpoint(tiny_model, tiny_model.state_dict(), path)  # type: ignore[arg-type, attr-defined]
    return path


@pytest.fixture(scope="module")
def frames() -> Frames:
    """(4, 64, 96, 3): soft noise."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (4, 8, 12, 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2))


@pytest.fixture(scope="module")
def expected(checkpoint: Path, frames: Frames) -> EngineOutputs:
    with TorchEngine(checkpoint, device="cpu") as engine:
        return engine.infer(frames)


def assert_near(found: EngineOutputs, expected: EngineOutputs, precision: str) -> None:
    share, shift, iou = TOLERANCES[precision]
    for name in OUTPUT_NAMES:
        have, want = getattr(found, name), getattr(expected, name)
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
    agreement = compare(expected, found, min_score=0.6)
    assert agreement.matched > 0, "nothing was found: the comparison says nothing"
    assert agreement.matched_share >= share
    assert np.median(agreement.score_shift) <= shift
    assert np.median(agreement.mask_iou) >= iou


@pytest.mark.parametrize("graphs", [True, False], ids=["graph", "no graph"])
@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_every_precision_and_batch_size(
    checkpoint: Path, frames: Frames, expected: EngineOutputs, precision: str, graphs: bool
) -> None:
    with TorchEngine(checkpoint, precision=precision, device="cuda", graphs=graphs) as engine:
        assert precision.upper() in engine.runtime
        for length in (1, 4, 2, 3, 1, 4):
            rows = EngineOutputs(*(getattr(expected, name)[:length] for name in OUTPUT_NAMES))
            assert_near(engine.infer(frames[:length]), rows, precision)


def test_compiled(checkpoint: Path, frames: Frames, expected: EngineOutputs) -> None:
    with TorchEngine(checkpoint, precision="fp16", device="cuda", compiled=True) as engine:
        assert engine.runtime.endswith("FP16 compiled")
        assert_near(engine.infer(frames), expected, "fp16")


def test_outputs_stay_while_the_next_batch_is_under_way(
    checkpoint: Path, frames: Frames, expected: EngineOutputs
) -> None:
    with TorchEngine(checkpoint, precision="fp32", device="cuda") as engine:
        batch = frames.copy()
        engine.submit(batch)
        batch[:] = 0
        first = engine.collect()
        engine.submit(batch)
        assert_near(first, expected, "fp32")
        engine.collect()


def test_cycles_leak_nothing(checkpoint: Path, frames: Frames) -> None:
    import torch

    def cycle() -> None:
        with TorchEngine(checkpoint, device="cuda") as engine:
            engine.infer(frames[:1])

    for _ in range(5):
        cycle()
    free, _ = torch.cuda.mem_get_info()
    for _ in range(CYCLES):
        cycle()
    assert free - torch.cuda.mem_get_info()[0] <= FREE_MARGIN
