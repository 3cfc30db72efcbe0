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
    assert sum(row["key_pixels_out"] for row in report["keys"]["faults"].values()) == 0
