"""TensorRT on a GPU against ONNX Runtime on the CPU; leaks, threads, files that do not fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import OUTPUT_NAMES, Engine, EngineOutputs
from streamseg.engines.agreement import compare
from streamseg.engines.load import load_engine
from streamseg.errors import EngineError

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda_gpu"), pytest.mark.timeout(1800)]

Frames = NDArray[np.uint8]
Built = Callable[[str], Path]

TOLERANCES = {
    # precision: share of instances ≥ 0.3 with a partner, median shift of scores, least median IoU of masks
    "fp32": (0.98, 2e-3, 0.99),  # TF32 rounds what goes into products to 11 bits
    "fp16": (0.95, 5e-3, 0.98),
    "bf16": (0.90, 2e-2, 0.95),
}
CYCLES = 10_000
FREE_MARGIN = 64 << 20
"""Bytes that the driver may keep for itself after the first cycles; a leak of one kilobyte a cycle is less
than a sixth of it, one of 8 KB is seen."""


def part(outputs: EngineOutputs, start: int, stop: int) -> EngineOutputs:
    return EngineOutputs(*(getattr(outputs, name)[start:stop] for name in OUTPUT_NAMES))


def assert_near(found: EngineOutputs, expected: EngineOutputs, precision: str) -> None:
    share, shift, iou = TOLERANCES[precision]
    for name in OUTPUT_NAMES:
        have, want = getattr(found, name), getattr(expected, name)
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
    agreement = compare(expected, found, min_score=0.3)
    assert agreement.matched > 0, "nothing was found: the comparison says nothing"
    assert agreement.matched_share >= share
    assert np.median(agreement.score_shift) <= shift
    assert np.median(agreement.mask_iou) >= iou


def opened(path: Path, **options: bool) -> Engine:
    from streamseg.engines.tensorrt_engine import TensorRTEngine

    return TensorRTEngine(path, **options)


@pytest.mark.parametrize("graphs", [True, False], ids=["graph", "no graph"])
@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_every_batch_size_in_every_precision(
    built: Built, pictures: Frames, expected: EngineOutputs, precision: str, graphs: bool
) -> None:
    """1…4 fit the profile; 5 and 6 go through in two chunks."""
    with opened(built(precision), graphs=graphs) as engine:
        for length in range(1, len(pictures) + 1):
            for _ in range(2):
                assert_near(engine.infer(pictures[:length]), part(expected, 0, length), precision)


def test_graph_and_kernels_give_the_same(built: Built, pictures: Frames) -> None:
    with opened(built("fp16"), graphs=True) as one, opened(built("fp16"), graphs=False) as other:
        first, second = one.infer(pictures[:2]), other.infer(pictures[:2])
        for name in OUTPUT_NAMES:
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_outputs_stay_while_the_next_batch_is_under_way(
    built: Built, pictures: Frames, expected: EngineOutputs
) -> None:
    with opened(built("fp32")) as engine:
        frames = pictures[:2].copy()
        engine.submit(frames)
        frames[:] = 0
        first = engine.collect()
        engine.submit(pictures[2:4])
        assert_near(first, part(expected, 0, 2), "fp32")
        assert_near(engine.collect(), part(expected, 2, 4), "fp32")


def test_two_engines_on_two_threads(built: Built, pictures: Frames, expected: EngineOutputs) -> None:
    """Each captures its graphs and runs while the other does."""
    built("fp16")

    def work(start: int) -> None:
        with opened(built("fp16")) as engine:
            for i in range(300):
                length = 1 + i % 3
                found = engine.infer(pictures[start : start + length])
                if i % 50 < 3:
                    assert_near(found, part(expected, start, start + length), "fp16")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, start) for start in (0, 3)]:
            done.result()


def test_ten_thousand_cycles_leak_nothing(built: Built, pictures: Frames) -> None:
    """Create, infer, close. STREAMSEG_CYCLES says another number, for a quick look."""
    from streamseg.engines.cuda_memory import free_bytes

    path, cycles = built("fp16"), int(os.environ.get("STREAMSEG_CYCLES", CYCLES))

    def cycle() -> None:
        with opened(path) as engine:
            engine.infer(pictures[:1])

    for _ in range(5):
        cycle()
    free, resident = free_bytes(), resident_bytes()
    for _ in range(cycles):
        cycle()
    assert free - free_bytes() <= FREE_MARGIN, "memory of the GPU"
    assert resident_bytes() - resident <= 4 * FREE_MARGIN, "memory of the host"


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def resealed(path: Path, content: bytes, into: Path) -> Path:
    """`content` under the fingerprint of `path`, as if it had been built so."""
    from streamseg.engines.fingerprint import read_fingerprint, write_fingerprint
    from streamseg.files import file_sha256

    into.write_bytes(content)
    write_fingerprint(into, replace(read_fingerprint(path), engine_sha256=file_sha256(into)))
    return into


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9, 0.999])
def test_a_truncated_engine(built: Built, tmp_path: Path, kept: float) -> None:
    """Also where the sidecar agrees with the file, so that TensorRT itself has to notice."""
    content = built("fp16").read_bytes()
    path = resealed(built("fp16"), content[: int(len(content) * kept)], tmp_path / "cut.engine")
    with pytest.raises(EngineError, match=r"cut.engine: TensorRT cannot read it") as caught:
        load_engine(path)
    assert "\n" not in str(caught.value)


def test_an_engine_of_another_version(built: Built, tmp_path: Path) -> None:
    from streamseg.engines.fingerprint import read_fingerprint, write_fingerprint

    path = resealed(built("fp16"), built("fp16").read_bytes(), tmp_path / "old.engine")
    fingerprint = read_fingerprint(path)
    write_fingerprint(path, replace(fingerprint, machine=replace(fingerprint.machine, tensorrt="10.0.0.1")))
    with pytest.raises(EngineError, match=r"built with .* 10.0.0.1, here is .*; build it again: "):
        load_engine(path)


def test_the_engine_is_not_reused_after_a_failed_start(built: Built, tmp_path: Path) -> None:
    """A constructor that fails frees what it took: a thousand of them take nothing."""
    from streamseg.engines.cuda_memory import free_bytes

    content = built("fp16").read_bytes()
    path = resealed(built("fp16"), content[: len(content) // 2], tmp_path / "half.engine")
    for _ in range(5):
        with pytest.raises(EngineError):
            load_engine(path)
    free = free_bytes()
    for _ in range(200):
        with pytest.raises(EngineError):
            load_engine(path)
    assert free - free_bytes() <= 16 << 20
