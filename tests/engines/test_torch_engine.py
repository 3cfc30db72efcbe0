"""TorchEngine beyond the conformance suite: what is asked of it, and what it does to a network for a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra `models`")

import torch

from streamseg.engine_contract import OUTPUT_NAMES, EngineOutputs
from streamseg.engines.agreement import compare
from streamseg.engines.torch_cuda_module import GpuModule, fold_batch_norms
from streamseg.engines.torch_engine import TorchEngine
from streamseg.errors import ConfigError, EngineError
from streamseg.models.deform import DeformConv
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import build_network

if TYPE_CHECKING:
    from streamseg.models.yolact.yolact import Yolact

Frames = NDArray[np.uint8]


def run(module: Any, frames: Frames) -> EngineOutputs:
    with torch.inference_mode():
        return EngineOutputs(*(tensor.numpy() for tensor in module(torch.from_numpy(frames))))


def shaken(network: Any) -> Any:
    """BatchNorm with statistics and weights that matter, as after training."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for values in (module.running_mean, module.bias):
                    values.normal_(0, 0.2, generator=generator)
                for values in (module.running_var, module.weight):
                    values.uniform_(0.7, 1.4, generator=generator)
    return network.eval()


@pytest.mark.parametrize("name", ["yolact_r50", "yolact_darknet53", "yolact_plus_r50", "solov2_light_r18"])
def test_folding_leaves_the_backbone_as_it_was(name: str) -> None:
    """No BatchNorm2d is left, and the maps are the same: 1e-4 of their size, in float32."""
    network = shaken(build_network(name)).backbone
    picture = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = network(picture)
        fold_batch_norms(network)
        found = network(picture)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    for have, want in zip(found, expected, strict=True):
        assert (have - want).abs().max() < 1e-4 * want.abs().max()


def test_gpu_module_in_float32_equals_the_engine_module(tiny_model: Yolact, pictures: Frames) -> None:
    module = EngineModule(tiny_model, max_detections=20, score_threshold=0.5)
    fast = GpuModule(module, torch.float32)
    agreement = compare(run(module, pictures), run(fast, pictures))
    assert agreement.matched > 30
    assert agreement.matched_share == 1
    assert agreement.score_shift.max() < 1e-4
    assert agreement.cells_differ.max() < 0.01
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in module.modules()), "the caller's was changed"


@pytest.mark.parametrize(("dtype", "shift"), [("float16", 0.02), ("bfloat16", 0.1)])
def test_gpu_module_in_half_precision(tiny_model: Yolact, pictures: Frames, dtype: str, shift: float) -> None:
    """Types of the contract, weights in half and channels last, results near; the tail is as it was."""
    module = EngineModule(tiny_model, max_detections=20, score_threshold=0.5)
    fast = GpuModule(module, getattr(torch, dtype))
    weight = next(fast.network.parameters())
    assert weight.dtype == getattr(torch, dtype)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert fast.around.tail.priors.dtype == torch.float32
    expected, found = run(module, pictures), run(fast, pictures)
    for name in OUTPUT_NAMES:
        have, want = getattr(found, name), getattr(expected, name)
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
    agreement = compare(expected, found, min_score=0.6)
    assert agreement.matched_share > 0.8
    assert np.median(agreement.score_shift) < shift
    assert np.median(agreement.mask_iou) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["solov2_light_r18", "decoupled_solo_light_r50", "solo_r50"])
def test_heads_of_every_kind_in_half_precision(name: str) -> None:
    """Coordinates join maps of the network's type; the tail gets float32, level by level too."""
    from streamseg.engines.torch_cuda_module import in_float

    network = build_network(name, input_hw=(64, 64)).eval()
    fast = GpuModule(EngineModule(network), torch.bfloat16)
    with torch.inference_mode():
        heads = fast.network(torch.zeros(1, 3, *network.config.input_hw, dtype=torch.bfloat16))
    flat = [t for head in in_float(heads) for t in (head if isinstance(head, tuple) else (head,))]
    assert {t.dtype for t in flat} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_deformable_convolutions_in_half_precision(dtype: str) -> None:
    torch.manual_seed(0)
    conv, x = DeformConv(4, 6, 1).eval(), torch.randn(1, 4, 9, 9)
    torch.nn.init.normal_(conv.conv_offset_mask.weight, std=0.3)
    with torch.inference_mode():
        expected = conv(x)
        found = conv.to(getattr(torch, dtype))(x.to(getattr(torch, dtype)))
    assert found.dtype == getattr(torch, dtype)
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"precision": "int8", "device": "cpu"}, ConfigError, "'int8': torch on the CPU has auto and fp32"),
        ({"device": "tpu"}, ConfigError, "device 'tpu': torch has auto, cpu and cuda"),
        ({"device": "cpu", "compiled": True}, ConfigError, "compiled: torch is the reference on the CPU"),
    ],
)
def test_options_that_torch_has_not(
    tiny_checkpoint: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        TorchEngine(tiny_checkpoint, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(tiny_checkpoint: Path) -> None:
    with pytest.raises(EngineError, match="device cuda: torch sees no GPU; use cpu"):
        TorchEngine(tiny_checkpoint, device="cuda")
    with TorchEngine(tiny_checkpoint) as engine:
        assert engine.runtime == f"torch {torch.__version__} FP32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_torch_failing_on_the_gpu_is_an_engine_error() -> None:
    from streamseg.engines.torch_cuda import CudaRunner

    with pytest.raises(EngineError, match=r"torch cannot use the GPU \(.+\)$"):
        CudaRunner(torch.nn.Identity(), (8, 8), tf32=False, graphs=True, compiled=False)
