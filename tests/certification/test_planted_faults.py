"""Faults of each kind planted into the bundled engine, on a synthetic scene.

All that there are, on real footage too: `python benchmarks/planted_faults.py`. The reference runs once and
is remembered; candidates run as files.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from streamseg.capture.sampling import sampled_frames
from streamseg.certification.thresholds import Thresholds
from streamseg.certification.trial import weak_score
from streamseg.certification.verdict import judge
from streamseg.engines.load import load_engine
from streamseg.engines.locate import find_engine
from streamseg.errors import EngineError
from streamseg.tracking.config import TrackerConfig

pytest.importorskip("onnx", reason="needs the extra `models`")
pytestmark = pytest.mark.slow

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
faults = importlib.import_module("faults")
planted_faults = importlib.import_module("planted_faults")
sys.path.pop(0)

FOOTAGE = "synthetic:3?frames=200&size=448x320&objects=6"
CAUGHT = {
    "red and blue exchanged": "a picture with red and blue exchanged",
    "mean off by 10": "a picture brighter by 8 levels",
    "class ids rotated": "missed or of another class",
    "masks of half the resolution": "mask IoU p5",
    "boxes × 1.05": "box IoU p5",
    "scores × 0.7": "score shift p95",
    "scores NaN": "",
    "none between 0.1 and 0.3": "below the score that a tracker would use",
    "each twice": "that the reference does not have",
    "rows of a batch exchanged": "",
}
"""A fault for each way of being found, and what is said of it."""
HARMLESS = ("boxes half a pixel to the right", "brighter by half a level", "scores × 0.99")


@pytest.fixture(scope="module")
def frames():
    return list(sampled_frames(FOOTAGE, 16))


@pytest.fixture(scope="module")
def reference():
    with planted_faults.Remembering(load_engine(find_engine("shapes"), "onnxruntime")) as engine:
        yield engine


@pytest.fixture
def tried(reference, frames):
    """Verdict, reasons, and the verdicts with any one frame left out."""

    def run(engine):
        with engine:
            trial = planted_faults.try_engine(reference, engine, frames)
        limits = Thresholds()
        verdict, reasons = judge(trial.total.figures(), limits)
        others = {judge(trial.total.without(k).figures(), limits)[0] for k in range(trial.frames)}
        return verdict, " ".join(reasons), others

    return run


def planted(edit, tmp_path):
    return load_engine(faults.planted(find_engine("shapes"), edit, tmp_path / "planted.onnx"), "onnxruntime")


@pytest.mark.parametrize("name", CAUGHT)
def test_a_fault_is_caught_and_no_single_frame_decides_it(name, tried, tmp_path):
    verdict, said, others = tried(planted(faults.FAULTS[name], tmp_path))
    assert verdict == "failed", said
    assert others == {"failed"}
    assert CAUGHT[name] in said


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_passes_whichever_frame_is_left_out(name, tried, tmp_path):
    verdict, said, others = tried(planted(faults.HARMLESS[name], tmp_path))
    assert verdict == "passed", said
    assert others == {"passed"}


def test_results_of_the_frame_before_are_caught(tried):
    late = planted_faults.Late(load_engine(find_engine("shapes"), "onnxruntime"))
    verdict, said, others = tried(late)
    assert (verdict, others) == ("failed", {"failed"}), said


def test_weak_is_what_the_tracker_uses_and_every_engine_lists():
    assert weak_score(0.3, 0.01, 0.05) == pytest.approx(TrackerConfig.for_score_threshold(0.3).low_score)
    assert weak_score(0.3, 0.01, 0.15) == 0.15


class OneAtATime(planted_faults.Remembering):
    def _start(self, frames):
        if len(frames) > 1:
            raise EngineError("a batch of one only")
        super()._start(frames)


def test_an_engine_without_batches_is_tried_with_single_frames(reference, frames):
    with OneAtATime(load_engine(find_engine("shapes"), "onnxruntime")) as engine:
        trial = planted_faults.try_engine(reference, engine, frames)
    assert trial.one_at_a_time == "a batch of one only"
    assert trial.frames == len(frames)
    assert trial.total.figures().iou["p1"] == 1
