"""Every family, in every precision, through the real TensorRT API, on a machine without a GPU."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamseg.engines.build_options import BuildOptions
from streamseg.engines.fingerprint import read_fingerprint
from streamseg.engines.locate import read_info
from streamseg.errors import ConfigError, EngineError, ExportError
from streamseg.files import file_sha256

trt = pytest.importorskip(
    "tensorrt", reason="needs TensorRT or TensorRT-RTX (tests/install_tensorrt_host.sh)"
)
torch = pytest.importorskip("torch", reason="needs the extra `models`")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(trt, "ComputeCapability") and not torch.cuda.is_available(),
        reason="TensorRT builds on a GPU only; without one TensorRT-RTX stands in",
    ),
]

FAMILIES = (
    "yolact_lite",
    "yolact_r50",
    "yolact_plus_r50",
    "mmdet_yolact_r50",
    "solov2_light_r50",
    "rtmdet_ins_tiny",
    "maskrcnn_resnet50_fpn",
)
WEIGHTED = ("CONVOLUTION", "DECONVOLUTION")
SUMS = ("NORMALIZATION", "GRID_SAMPLE", "TOPK", "SOFTMAX", "MATRIX_MULTIPLY")
KEPT_FP32_CONVOLUTIONS = {"yolact_plus_r50": 6}
"""Those of the network that judges masks, which is part of the tail."""
KEPT_FP16_CONVOLUTIONS = {"yolact_plus_r50": 6, "maskrcnn_resnet50_fpn": 1}
"""Deformable ones and their offsets, and the transposed one, not quantised."""
LOW_PRODUCTS = {"maskrcnn_resnet50_fpn": 4}
"""Layers of the network that are products, not convolutions."""


class Quiet:
    def __init__(self, on_phase: Callable[[], None] = lambda: None) -> None:
        self.phases: list[tuple[str, float, float]] = []
        self._on_phase = on_phase

    def say(self, text: str) -> None: ...

    def progress(self, what: str, done: float, total: float | None) -> None:
        assert total is not None
        self.phases.append((what, done, total))
        self._on_phase()


def slim(name: str) -> Any:
    """A network of a family with few and narrow layers, every kind of which is there."""
    from streamseg.models.rcnn.config import RCNN_CONFIGS
    from streamseg.models.rcnn.network import MaskRcnn
    from streamseg.models.rtmdet.config import RTMDET_CONFIGS
    from streamseg.models.rtmdet.network import RtmDet
    from streamseg.models.solo.config import SOLO_CONFIGS
    from streamseg.models.solo.solo import Solo
    from streamseg.models.yolact.catalog import CONFIGS, resized
    from streamseg.models.yolact.yolact import Yolact

    if name in RTMDET_CONFIGS:
        narrow = {"stage_widths": (16, 32, 48, 64), "neck_width": 32, "input_hw": (64, 96)}
        return in_range(RtmDet(replace(RTMDET_CONFIGS[name], classes=("a", "b"), **narrow)))
    if name in RCNN_CONFIGS:
        narrow = {"stage_blocks": (1,) * 4, "width": 16, "head_width": 32, "proposals": 50, "norm_eps": 1e-5}
        config = replace(RCNN_CONFIGS[name], classes=("a", "b"), channels=None, input_hw=(64, 96), **narrow)
        return in_range(MaskRcnn(config))
    stages: dict[str, Any] = {"stage_blocks": (1,) * 4, "stem_width": 16, "stage_widths": (32, 32, 48, 64)}
    common = {"classes": ("a", "b"), "fpn_width": 32, **stages}
    if name in CONFIGS:
        heads = {"proto_widths": (16, 16), "proto_up_width": 16, "head_width": 32, "mask_dim": 8}
        side = 256 if name == "yolact_plus_r50" else 96
        return Yolact(replace(resized(CONFIGS[name], (side, side)), **common, **heads)).eval()
    heads = {"tower_width": 32, "tower_depth": 1, "kernel_width": 32, "feature_width": 32}
    grids = (12, 10, 8, 6, 4)
    return Solo(replace(SOLO_CONFIGS[name], **common, **heads, grids=grids, input_hw=(64, 96))).eval()


def in_range(model: Any) -> Any:
    """With statistics of noise in its normalisations: without, sixty layers of random weights shrink what
    they are given to 1e-30, which has no INT8 scale."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # those of one pass, whole
    with torch.no_grad():
        model.train()(torch.randn(4, 3, *model.config.input_hw))
    return model.eval()


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tiny_engine_path, tmp_path_factory) -> tuple[str, Path]:
    """Name and exported engine."""
    from streamseg.export.onnx_export import export

    if request.param == "yolact_lite":
        return "yolact_lite", tiny_engine_path
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("family") / f"{request.param}.onnx"
        return request.param, export(slim(request.param), path, max_detections=20)


def build(source: Path, output: Path, **options: Any) -> Path:
    from streamseg.compile.build import build_engine

    return build_engine(source, output, BuildOptions(**options), Quiet())


def precisions(source: Path, **options: Any) -> Counter[tuple[str, str]]:
    from streamseg.compile.build import inspect_network

    quantized = options.pop("quantized", None)
    layers = inspect_network(source, BuildOptions(**options), quantized=quantized)
    return Counter((layer.kind, layer.precision) for layer in layers)


def of_kinds(counts: Counter[tuple[str, str]], kinds: tuple[str, ...]) -> dict[str, int]:
    result: Counter[str] = Counter()
    for (kind, precision), count in counts.items():
        result[precision] += count if kind in kinds else 0
    return {precision: count for precision, count in result.items() if count}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_builds(family: tuple[str, Path], tmp_path: Path, precision: Any) -> None:
    _, source = family
    engine = build(source, tmp_path / "a.engine", precision=precision, batch=(1, 2, 4))
    fingerprint = read_fingerprint(engine)
    assert fingerprint.info == read_info(source)
    assert fingerprint.options == BuildOptions(precision=precision, batch=(1, 2, 4))
    assert fingerprint.machine.tensorrt == trt.__version__
    assert fingerprint.onnx_sha256 == file_sha256(source)
    assert (tmp_path / fingerprint.onnx).resolve() == source.resolve()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.engine", "a.engine.json"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_network_in_the_precision_asked_for(family: tuple[str, Path], precision: Any) -> None:
    name, source = family
    counts = precisions(source, precision=precision)
    convolutions = of_kinds(counts, WEIGHTED)
    if precision != "fp32":
        assert convolutions.pop("fp32", 0) == KEPT_FP32_CONVOLUTIONS.get(name, 0)
    assert set(convolutions) == {precision}
    sums = of_kinds(counts, SUMS)
    if precision != "fp32":
        assert sums.pop(precision, 0) == LOW_PRODUCTS.get(name, 0)
    assert set(sums) == {"fp32"}


def test_int8_builds_and_is_int8(family: tuple[str, Path], tmp_path: Path) -> None:
    from streamseg.compile.build import build_engine
    from streamseg.compile.quantize import quantize
    from streamseg.export.check import sample_frames

    name, source = family
    frames = list(sample_frames(read_info(source).input_hw))
    quantized = quantize(source, tmp_path / "int8.onnx", frames, signed=True)
    options = BuildOptions(precision="int8", batch=(1, 2, 4), calibrate="clip.mp4")
    build_engine(source, tmp_path / "a.engine", options, Quiet(), quantized=quantized)

    convolutions = of_kinds(
        precisions(source, precision="int8", calibrate="clip.mp4", quantized=quantized), WEIGHTED
    )
    assert convolutions.pop("int8") > 20
    assert convolutions.get("fp16", 0) == KEPT_FP16_CONVOLUTIONS.get(name, 0)
    assert convolutions.get("fp32", 0) == KEPT_FP32_CONVOLUTIONS.get(name, 0)


def test_progress_is_told(tiny_engine_path: Path, tmp_path: Path) -> None:
    from streamseg.compile.build import build_engine

    watcher = Quiet()
    build_engine(tiny_engine_path, tmp_path / "a.engine", BuildOptions(), watcher)
    assert len({name for name, _, _ in watcher.phases}) > 3
    assert all(0 <= done <= total for _, done, total in watcher.phases)


def test_interrupt_leaves_no_file(tiny_engine_path: Path, tmp_path: Path) -> None:
    from streamseg.compile.build import build_engine

    watcher = Quiet(lambda: os.kill(os.getpid(), signal.SIGINT) if len(watcher.phases) == 20 else None)
    with pytest.raises(KeyboardInterrupt):
        build_engine(tiny_engine_path, tmp_path / "a.engine", BuildOptions(), watcher)
    assert 20 <= len(watcher.phases) < 40
    assert list(tmp_path.iterdir()) == []


def test_a_failed_build_keeps_the_engine_before(tiny_engine_path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.engine").write_bytes(b"before")
    with pytest.raises(EngineError, match=r"tiny\.onnx: TensorRT.* cannot build it \(.+\)"):
        build(tiny_engine_path, tmp_path / "a.engine", workspace_gib=1e-4)
    assert (tmp_path / "a.engine").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch": (2, 1, 4)}, "batch 2:1:4: MIN:OPT:MAX must rise, from 1 to 64"),
        ({"precision": "int8"}, "needs --calibrate CLIP"),
        ({"calibrate": "clip.mp4"}, "only int8 and mixed are calibrated, this is fp16"),
        ({"workspace_gib": 0.0}, "workspace 0: GiB"),
    ],
)
def test_options_are_checked(
    tiny_engine_path: Path, tmp_path: Path, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build(tiny_engine_path, tmp_path / "a.engine", **options)


def test_output_is_checked_first(tiny_engine_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.plan: a TensorRT engine ends in \.engine"):
        build(tiny_engine_path, tmp_path / "a.plan")
    with pytest.raises(EngineError, match="there is no folder .*nowhere"):
        build(tiny_engine_path, tmp_path / "nowhere" / "a.engine")


def test_sources_that_cannot_be_built_from(tiny_engine_path: Path, tmp_path: Path) -> None:
    import onnx

    from streamseg.compile.quantize import quantize
    from streamseg.export.check import sample_frames

    cpu = quantize(tiny_engine_path, tmp_path / "cpu.onnx", list(sample_frames((64, 96))))
    with pytest.raises(ConfigError, match=r"cpu\.onnx: INT8 for the CPU; build from the FP32 file"):
        build(cpu, tmp_path / "a.engine")
    with pytest.raises(ConfigError, match=r"x\.pth: engines are built from \.onnx files"):
        build(tmp_path / "x.pth", tmp_path / "a.engine")
    model = onnx.load(tiny_engine_path)
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ExportError, match=r"bare\.onnx: cannot tell its network .* streamseg export"):
        build(tmp_path / "bare.onnx", tmp_path / "a.engine")
