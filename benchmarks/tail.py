"""The part after the YOLACT network, raw heads → instances, in two forms and two runtimes: one JSON.

    python benchmarks/tail.py [--threads 2] [--rounds 40]

19,248 priors × 80 classes, 100 masks of 138 × 138, batch 1, random heads. `plain` is the published order of
operations with coordinates in planes of their own: every prior enters its classes' top-K, pairs are compared
in one (80, 200, 200) plane. That form took 11.6 ms in ONNX Runtime and 10.4 in OpenVINO on two quiet threads
of a machine of this kind. `ours` is what export writes. Interleaved; the ratio carries over to others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from streamseg.engines.openvino_quiet import openvino
from streamseg.models.yolact import tail
from streamseg.models.yolact.catalog import build_model

Heads = tuple[NDArray[np.float32], ...]
FORMS: dict[str, dict[str, Any]] = {
    "plain": {"MOST_ROWS": 10**6, "BLOCK": tail.TOP_PER_CLASS},
    "ours": {"MOST_ROWS": tail.MOST_ROWS, "BLOCK": tail.BLOCK},
}


class HeadsToInstances(torch.nn.Module):
    """The tail on prototypes as the network gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.tail = tail.yolact_tail(build_model("yolact_r50"))

    def forward(self, loc: Any, conf: Any, coeff: Any, proto: Any) -> tuple[Any, ...]:
        return tuple(self.tail(loc, conf, coeff, proto))


def random_heads(competing: int) -> Heads:
    """Heads in which so many priors have a class above 0.05."""
    rng = np.random.default_rng(1)
    count = len(build_model("yolact_r50").priors)
    conf = rng.normal(0, 2, (1, count, 81))
    conf[..., 0] += 12
    conf[0, rng.permutation(count)[:competing], 0] -= 9
    loc, coeff = rng.normal(0, 0.5, (1, count, 4)), np.tanh(rng.normal(size=(1, count, 32)))
    proto = np.maximum(rng.normal(size=(1, 138, 138, 32)), 0)
    return tuple(np.asarray(x, np.float32) for x in (loc, conf, coeff, proto))


def write(form: str, path: Path) -> Path:
    heads = tuple(torch.from_numpy(x) for x in random_heads(900))
    with patch.multiple(tail, **FORMS[form]):
        torch.onnx.export(HeadsToInstances().eval(), heads, path, dynamo=True, verbose=False)
    return path


def in_onnxruntime(path: Path, threads: int) -> Callable[[Heads], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda heads: session.run(None, dict(zip(names, heads, strict=True)))


def in_openvino(path: Path, threads: int) -> Callable[[Heads], Any]:
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(str(path), "CPU", options).create_infer_request()
    return lambda heads: request.infer(list(heads))


def measure(threads: int, rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {form: write(form, Path(folder) / f"{form}.onnx") for form in FORMS}
        for runtime, load in (("onnxruntime", in_onnxruntime), ("openvino", in_openvino)):
            run = {form: load(path, threads) for form, path in files.items()}
            for competing in (900, 19_248):
                heads = random_heads(competing)
                result[f"{runtime}, {competing} priors compete"] = compared(run, heads, rounds)
    return result


def compared(run: dict[str, Callable[[Heads], Any]], heads: Heads, rounds: int) -> dict[str, float]:
    """Milliseconds of each form, best and median, and `ours` as a share of `plain`, by the best."""
    took: dict[str, list[float]] = {form: [] for form in run}
    for _ in range(rounds + 1):
        for form, infer in run.items():
            began = time.perf_counter()
            infer(heads)
            took[form].append((time.perf_counter() - began) * 1e3)
    best = {form: min(times[1:]) for form, times in took.items()}
    median = {f"{form}_median": round(statistics.median(times[1:]), 1) for form, times in took.items()}
    rounded = {form: round(value, 1) for form, value in best.items()}
    return {**rounded, **median, "ratio": round(best["ours"] / best["plain"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    numbers = measure(options.threads, options.rounds)
    numbers["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "openvino": openvino.__version__,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
