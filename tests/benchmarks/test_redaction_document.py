"""The numbers in docs/redaction.md are those of the committed measurements."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_the_document_has_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    made = importlib.import_module("redaction_document")
    text = made.DOCUMENT.read_text(encoding="utf-8")
    report = made.measured()
    assert made.written(text, report) == text
    rows = report["keys"]["faults"].values()
    leaked, frames = (sum(row[k] for row in rows) for k in ("key_pixels_out", "frames_with_key_pixels_out"))
    assert (leaked == 0) != (f"**It is not zero.** {leaked} key-coloured pixels" in text)
    assert leaked == 0 or f"in {frames} frames of" in text
    assert leaked < 1e-6 * sum(row["key_pixels_in"] for row in rows)
