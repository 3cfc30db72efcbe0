"""The parts of benchmarks/gpu.py that need no GPU: counting, turns, the table, and the refusal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `models`")

import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a benchmark's module by name."""
    import importlib

    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


class TwoConvolutions(torch.nn.Module):
    """3 → 8 channels by 3×3, then 8 → 4 by 1×1 and a product, on frames as engines take them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.second = torch.nn.Conv2d(8, 4, 1, bias=False)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(frames.float().permute(0, 3, 1, 2))).flatten(2)
        return x @ x.transpose(1, 2)


def test_arithmetic_and_traffic_are_counted(scripts: Any) -> None:
    roofline = scripts("roofline")
    first, second, product = roofline.count(TwoConvolutions(), (6, 10), 2)
    cells = 2 * 6 * 10
    assert first.flops == 2 * cells * 8 * 27
    assert first.elements == cells * (3 + 8) + 8 * 27 + 8
    assert second.flops == 2 * cells * 4 * 8
    assert product.flops == 2 * cells * 4 * 4
    assert product.elements == 2 * cells * 4 + 2 * 4 * 4


def test_yolact_r50_has_its_known_arithmetic(scripts: Any) -> None:
    """59 G multiply-adds at 550 × 550. A deformable convolution counts as the one it replaces."""
    from streamseg.models.engine_module import EngineModule
    from streamseg.models.network import build_network

    flops = {}
    for name in ("yolact_r50", "yolact_plus_r50"):
        operations = scripts("roofline").count(EngineModule(build_network(name).eval()), (550, 550), 1)
        flops[name] = sum(op.flops for op in operations)
        deformable = [op for op in operations if op.name == "deform_conv2d"]
        assert len(deformable) == (0 if name == "yolact_r50" else 13)
    assert flops["yolact_r50"] == pytest.approx(118.4e9, rel=0.01)
    assert flops["yolact_plus_r50"] > flops["yolact_r50"]


def test_a_bound_is_the_slower_of_arithmetic_and_memory(scripts: Any) -> None:
    roofline = scripts("roofline")
    peak = roofline.Peak(half_tflops=1.0, gigabytes_per_s=1.0)
    computes = roofline.Operation("convolution", flops=10**9, elements=1)
    copies = roofline.Operation("mm", flops=1, elements=10**6)
    assert roofline.bound_seconds([computes], "fp16", peak) == pytest.approx(1e-3)
    assert roofline.bound_seconds([computes], "fp32", peak) == pytest.approx(2e-3)
    assert roofline.bound_seconds([copies], "fp16", peak) == pytest.approx(2e-3)
    assert roofline.bound_seconds([copies], "int8", peak) == pytest.approx(1e-3)
    assert roofline.bound_seconds([computes, copies], "fp16", peak) == pytest.approx(3e-3)


def test_jobs_take_turns_and_only_ends_are_waited_for(scripts: Any) -> None:
    rounds = scripts("gpu_rounds")
    order: list[str] = []

    def job(name: str, seconds: float) -> Any:
        def wait() -> None:
            order.append(f"wait {name}")
            time.sleep(seconds)

        return rounds.Job(lambda: order.append(name), wait)

    timings = rounds.interleaved({"a": job("a", 0.002), "b": job("b", 0.0)}, rounds=2, calls=3)
    of_a, of_b = ["a", "wait a"] * 3 + ["a"] * 3 + ["wait a"], ["b", "wait b"] * 3 + ["b"] * 3 + ["wait b"]
    warm_up = ["a"] * 5 + ["wait a"] + ["b"] * 5 + ["wait b"]
    assert order == warm_up + of_a + of_b + of_a + of_b
    assert len(timings["a"].alone_s) == 6
    assert len(timings["a"].rows_s) == 2
    assert timings["a"].latency_ms(0.5) >= 2
    assert 0.002 / 3 <= timings["a"].each_s < timings["a"].latency_ms(0.99)


def test_table(scripts: Any) -> None:
    gpu = scripts("gpu")
    timing = scripts("gpu_rounds").Timing
    on_device, on_host = timing([0.001, 0.001], [0.0005]), timing([0.002], [0.002])
    measured = gpu.row("tensorrt graph", on_device, on_host, 0.0001, batch=2)
    assert measured["frames_per_s"] == pytest.approx(4000)
    assert measured["roofline"] == pytest.approx(0.2)
    other = gpu.row("onnxruntime CUDA FP32", None, on_host, 0.0001, batch=2)
    report = {
        "gpu": "NVIDIA H200",
        "versions": "torch 2",
        "rows": [
            {"model": "yolact_r50", "precision": "fp16", "batch": 2, **row} for row in (measured, other)
        ],
        "share_after_the_network": {"yolact_r50 fp16": 0.123},
        "left_out": ["TensorRT: not installed"],
    }
    assert gpu.table(report).splitlines() == [
        "| model | precision | batch | contender | p50 ms | p99 ms | frames/s | of roofline |"
        " host frames/s |",
        "|---|---|---|---|---|---|---|---|---|",
        "| yolact_r50 | fp16 | 2 | tensorrt graph | 1.00 | 1.00 | 4,000 | 20% | 1,000 |",
        "| yolact_r50 | fp16 | 2 | onnxruntime CUDA FP32 | 2.00 | 2.00 | 1,000 | – | 1,000 |",
        "",
        "NVIDIA H200; torch 2.",
        "After the network, in torch at batch 1: yolact_r50 fp16 12%.",
        "Left out: TensorRT: not installed.",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_and_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "gpu.py")], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "benchmarks/gpu.py: needs an NVIDIA GPU, and torch sees none; nothing was measured\n"
    )
