"""Whether an exported file does what the network does, before anybody gets it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs
from streamseg.engines.agreement import Agreement, compare
from streamseg.errors import ExportError
from streamseg.models.engine_module import EngineModule

__all__ = ["FULL", "HALF", "Tolerance", "check_export", "sample_frames"]

Rows = set[tuple[int, int]]
"""Instances, as (frame, row)."""


class Tolerance(NamedTuple):
    """What may differ between the file in ONNX Runtime and the network in torch."""

    heads: float
    """What rounding may do to the raw heads, relative to the largest value of each."""
    score: float
    """Difference of a score."""
    cells: float
    """Share of a mask's cells that differ by more than two levels."""
    firm_share: float
    """Of the instances that rounding does not move, those that must agree in all of this."""
    matched_share: float
    """Of all instances, those that need a partner of their class and place."""


FULL = Tolerance(heads=2e-5, score=1e-3, cells=0.01, firm_share=0.98, matched_share=0.9)
"""Heads of two float32 implementations differ by 2e-6 (ONNX Runtime, YOLACT++) to 1.4e-5 (docs/parity.md).
That turns near ties of NMS, so instances that heads moved by `heads` do not move must agree. Not every one:
on noise, a network of random weights may be wholly sure of more instances than are listed, and which are is
up to the runtime's sort; final scores do not show it where they are multiplied by a verdict on the mask. Of
YOLACT++ 113 instances had the probability 1 for 100 places: 1 of 154 firm ones and 3 % of all had no
partner. Of SOLOv2 none of 199."""
HALF = Tolerance(heads=2e-3, score=2e-2, cells=0.1, firm_share=0.95, matched_share=0.8)
"""Weights rounded to 11 bits."""
DRAWS = 3
"""How often the heads are moved: of an instance that rounding moves half the time, one in eight is missed."""
TIE = 1e-6
"""Scores nearer to each other than this are in no order."""


def sample_frames(input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(2, h, w, 3) uint8: noise, and soft blobs with edges, which is nearer to a picture."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, *input_hw, generator=rng)
    coarse = torch.rand(1, 3, 6, 8, generator=rng)
    smooth = interpolate(coarse, size=input_hw, mode="bilinear")
    blocks = interpolate((coarse > 0.7).float(), size=input_hw, mode="nearest")
    frames = torch.cat([noise, 0.6 * smooth + 0.4 * blocks]).permute(0, 2, 3, 1) * 255
    result: NDArray[np.uint8] = frames.to(torch.uint8).contiguous().numpy()
    return result


def check_export(module: EngineModule, content: bytes, tolerance: Tolerance, name: str) -> None:
    """Raise ExportError, with the differences, unless the file `content` does what `module` does.

    `name` stands for the file in messages.
    """
    frames = sample_frames(module.model.config.input_hw)
    with torch.inference_mode():
        heads = module.model(module.normalised(torch.from_numpy(frames)))
        expected = _outputs(module, heads)
        moved = [_outputs(module, _moved(heads, tolerance.heads, seed)) for seed in range(DRAWS)]
    found = _run(content, frames, name)
    for output in OUTPUT_NAMES:
        have, want = getattr(found, output), getattr(expected, output)
        if have.dtype != want.dtype or have.shape != want.shape:
            raise ExportError(
                f"{name}: {output} is {have.dtype} {have.shape}, expected {want.dtype} {want.shape}"
            )
    problem = _disagreement(expected, found, _firm(expected, moved, tolerance), tolerance)
    if problem:
        raise ExportError(f"{name}: the export differs from the network: {problem}")


def _outputs(module: EngineModule, heads: tuple[Any, ...]) -> EngineOutputs:
    return EngineOutputs(*(tensor.numpy() for tensor in module.tail(*heads)))


def _moved(heads: Any, relative: float, seed: int) -> Any:
    """`heads`, a tensor or a tuple of such, with each value moved by up to a share of the largest."""
    if not isinstance(heads, Tensor):
        return tuple(_moved(part, relative, seed + 100 * i) for i, part in enumerate(heads))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(heads.shape, generator=generator) * 2 - 1
    return heads + noise * (relative * heads.abs().amax())


def _run(content: bytes, frames: NDArray[np.uint8], name: str) -> EngineOutputs:
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        results: Any = session.run(list(OUTPUT_NAMES), {INPUT_NAME: frames})
        alone: Any = session.run(list(OUTPUT_NAMES), {INPUT_NAME: frames[:1]})
    except Exception as error:  # ONNX Runtime's exceptions derive from Exception alone
        raise ExportError(f"{name}: ONNX Runtime cannot run the export ({error})") from error
    # Tracing may have frozen the two frames' batch somewhere inside.
    if any(len(output) != 1 for output in alone):
        raise ExportError(f"{name}: gives {[len(output) for output in alone]} results for one frame")
    return EngineOutputs(*results)


def _firm(expected: EngineOutputs, moved: list[EngineOutputs], tolerance: Tolerance) -> Rows:
    """Instances that rounding cannot move: equal for all moved heads, and alone with their score."""
    firm = set.intersection(*(_equal(compare(expected, other), tolerance) for other in moved))
    for b, count in enumerate(expected.count):
        scores = expected.scores[b, :count]  # descending
        close = np.flatnonzero(np.abs(np.diff(scores)) <= TIE)
        firm -= {(b, int(row)) for row in (*close, *(close + 1))}
    return firm


def _equal(agreement: Agreement, tolerance: Tolerance) -> Rows:
    equal = (agreement.score_shift <= tolerance.score) & (agreement.cells_differ <= tolerance.cells)
    return {(int(b), int(row)) for b, row in agreement.reference_row[equal]}


def _disagreement(expected: EngineOutputs, found: EngineOutputs, firm: Rows, tolerance: Tolerance) -> str:
    """What exceeds the tolerance; empty when nothing does."""
    agreement = compare(expected, found)
    if agreement.matched_share < tolerance.matched_share:
        return f"{agreement.matched_share:.1%} of the instances match ({tolerance.matched_share:.0%} needed)"
    wrong = firm - _equal(agreement, tolerance)
    if len(wrong) <= (1 - tolerance.firm_share) * len(firm):
        return ""
    first = min(wrong)
    pair = np.flatnonzero((agreement.reference_row == first).all(axis=1))
    what = "is not there"
    if len(pair):
        shift, cells = agreement.score_shift[pair[0]], agreement.cells_differ[pair[0]]
        what = f"has a score {shift:.2g} off and {cells:.2%} of its mask's cells"
    b, row = first
    return (
        f"{len(wrong)} of {len(firm)} instances that rounding cannot move; the first, of class"
        f" {expected.classes[b, row]} and score {expected.scores[b, row]:.4f}, {what}"
    )
