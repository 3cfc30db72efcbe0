"""The tables in docs/tracking.md are those of the committed measurements."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_the_document_has_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    made = importlib.import_module("tracking_document")
    text = made.DOCUMENT.read_text()
    assert made.written(text, made.measured()) == text
    assert text.count("| ByteTrack TS |") == 5


def test_simulated_detections_are_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.syspath_prepend(FOLDER)
    data = importlib.import_module("tracking_sequences")
    truth = [
        (np.array([1, 2]), np.array([[10.0 + k, 10, 50 + k, 90], [30.0, 12, 70, 96]])) for k in range(40)
    ]
    sequence = data.BoxSequence("s", 25.0, (200, 300), truth, [])
    once, again, other = (data.simulated(sequence, seed) for seed in (1, 1, 2))
    for (score, boxes), (score_again, boxes_again) in zip(once.detections, again.detections, strict=True):
        assert np.array_equal(score, score_again)
        assert np.array_equal(boxes, boxes_again)
    assert any(len(a[0]) != len(b[0]) for a, b in zip(once.detections, other.detections, strict=True))
    # The second stands in front of the first.
    mean = {k: np.mean([s.max() for s, _ in d.detections if len(s)]) for k, d in enumerate((once, other))}
    assert all(0.5 < value <= 0.99 for value in mean.values())
    assert data.frames_seen(10, "every3") == [0, 3, 6, 9]
    burst = data.frames_seen(200, "burst5")
    assert set(np.diff(burst)) == {1, 6}
