"""Faults planted into the bundled engine, and what `streamseg certify` says of each: the table in
docs/certify.md.

    python benchmarks/planted_faults.py CLIP … [--frames 60] [--also ENGINE …] [--only WORD …] [--out FILE]

Every candidate runs in ONNX Runtime in FP32, as does the reference, so that what differs is the fault. BF16
in OpenVINO (FP32 where the CPU has no BF16) and the engines named by `--also` are compared with it as well.
`--only` keeps candidates that have one of the words in their name.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faults import FAULTS, HARMLESS, planted, swapped_classes
from numpy.typing import NDArray

from streamseg.capture.sampling import sampled_frames
from streamseg.certification.comparison import Figures
from streamseg.certification.thresholds import Thresholds
from streamseg.certification.trial import Trial
from streamseg.certification.verdict import judge
from streamseg.engine_contract import Engine, EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.load import load_engine
from streamseg.engines.locate import find_engine
from streamseg.structures import Frame

__all__ = ["Late", "Remembering", "try_engine"]


class Remembering(BaseEngine):
    """An engine that computes the same batch once: a reference for many candidates."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.info, engine.runtime_name, engine.runtime_version, engine.precision)
        self._engine = engine
        self._known: dict[int, EngineOutputs] = {}
        self._now: EngineOutputs | None = None

    def _start(self, frames: NDArray[np.uint8]) -> None:
        key = hash(frames.tobytes())
        if key not in self._known:
            self._known[key] = copied(self._engine.infer(frames))
        self._now = self._known[key]

    def _finish(self) -> EngineOutputs:
        assert self._now is not None
        return self._now

    def _release(self) -> None:
        self._engine.close()


class Late(BaseEngine):
    """An engine that gives every batch the results of another one before it."""

    def __init__(self, engine: Engine, behind: int = 1) -> None:
        super().__init__(engine.info, engine.runtime_name, engine.runtime_version, engine.precision)
        self._engine = engine
        self._results: deque[EngineOutputs] = deque(maxlen=behind + 1)

    def _start(self, frames: NDArray[np.uint8]) -> None:
        self._results.append(copied(self._engine.infer(frames)))

    def _finish(self) -> EngineOutputs:
        last, now = self._results[0], self._results[-1]
        return last if len(last.count) == len(now.count) else now

    def _release(self) -> None:
        self._engine.close()


def copied(outputs: EngineOutputs) -> EngineOutputs:
    """Outputs that the engine's next call does not overwrite."""
    return EngineOutputs(**{name: array.copy() for name, array in outputs.arrays().items()})


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate on one clip."""

    clip: str
    fault: str
    harmless: bool
    figures: Figures
    verdict: str
    reasons: tuple[str, ...]
    holds: bool
    """Whether no single frame, left out, would change the verdict."""

    @property
    def right(self) -> bool:
        return (self.verdict == "passed") == self.harmless


def try_engine(reference: Engine, candidate: Engine, frames: list[Frame]) -> Trial:
    """A trial with the defaults of `streamseg certify`."""
    trial = Trial(reference, candidate, score=0.3, margin=0.05, thresholds=Thresholds())
    trial.run(frames, len(frames), lambda: None)
    return trial


def judged(clip: str, fault: str, harmless: bool, trial: Trial) -> Row:
    figures, limits = trial.total.figures(), Thresholds()
    verdict, reasons = judge(figures, limits)
    without = [judge(trial.total.without(k).figures(), limits)[0] for k in range(trial.frames)]
    return Row(clip, fault, harmless, figures, verdict, reasons, all(other == verdict for other in without))


def rows(clip: str, count: int, also: list[Path], only: list[str]) -> Iterator[Row]:
    """Every candidate on one clip, as it is done."""
    bundled = find_engine("shapes")
    frames = list(sampled_frames(clip, count))
    name = Path(clip).name if Path(clip).exists() else "synthetic"
    with Remembering(load_engine(bundled, "onnxruntime")) as reference:
        for fault, harmless, engine in candidates(bundled, also, only):
            with engine:
                yield judged(name, fault, harmless, try_engine(reference, engine, frames))


def candidates(bundled: Path, also: list[Path], only: list[str]) -> Iterator[tuple[str, bool, Engine]]:
    """Name, whether it is harmless, and the engine."""

    def wanted(name: str) -> bool:
        return not only or any(word in name for word in only)

    for name, path, runtime in [("BF16", bundled, "openvino"), *((p.stem, p, "onnxruntime") for p in also)]:
        if wanted(name):
            yield name, True, load_engine(path, runtime)
    names = load_engine(bundled, "onnxruntime").info.classes
    table = list(range(len(names)))
    cat, dog = names.index("cat"), names.index("dog")
    table[cat], table[dog] = dog, cat
    edits: list[tuple[str, bool, Any]] = [(name, True, edit) for name, edit in HARMLESS.items()]
    edits += [(name, False, edit) for name, edit in FAULTS.items()]
    edits += [("cat and dog exchanged", False, swapped_classes(table))]
    with tempfile.TemporaryDirectory(prefix="streamseg-") as folder:
        for k, (name, harmless, edit) in enumerate(edits):
            if not wanted(name):
                continue
            file = planted(bundled, edit, Path(folder) / f"{k}.onnx")
            yield name, harmless, load_engine(file, "onnxruntime")
            file.unlink()
    if wanted("results of the frame before"):
        yield "results of the frame before", False, Late(load_engine(bundled, "onnxruntime"))


HEAD = (
    "| candidate | clip | instances | missed or other class | extra | reach the score | weak | mask IoU p5 "
    "| box IoU p5 | boundary | shift p95 | nearer an altered picture | verdict |\n" + "|---" * 13 + "|"
)


def line(row: Row) -> str:
    f = row.figures
    nearest = max(f.nearer, key=lambda n: n.nearer / max(n.frames, 1), default=None)
    cells = [
        row.fault,
        row.clip,
        f"{f.due}",
        f"{f.missed + f.changed}",
        f"{f.extra}",
        f"{(f.candidate - f.reference) / max(f.reference, 1):+.0%}",
        f"{f.weak_reference} → {f.weak_candidate}",
        f"{f.iou['p5']:.3f}" if f.iou else "–",
        f"{f.box_iou['p5']:.3f}" if f.box_iou else "–",
        f"{f.boundary_share:.3%}" if f.boundary_share is not None else "–",
        f"{f.score_shift['p95']:.3f}" if f.score_shift else "–",
        f"{nearest.nearer} of {nearest.frames}" if nearest else "–",
        (row.verdict if row.verdict == "passed" else f"**{row.verdict}**")
        + ("" if row.holds else ", by a frame"),
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--also", nargs="*", type=Path, default=[])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = [HEAD]
    print(HEAD)
    wrong = []
    for clip in asked.clips:
        for row in rows(clip, asked.frames, asked.also, asked.only):
            lines.append(line(row))
            print(lines[-1], *([] if row.right else row.reasons), sep="\n   ", flush=True)
            wrong += [] if row.right else [f"{row.fault} on {row.clip}: {row.verdict}"]
    print(*(wrong or ["every verdict is right"]), sep="\n")
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
