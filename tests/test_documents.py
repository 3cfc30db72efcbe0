"""The tests and scripts that documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["docs/robustness.md", "docs/latency.md", "docs/redaction.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    scripts = re.findall(r"`(?:python )?(benchmarks/\w+\.\w+)", text)
    assert tests
    for path, name in [*tests, *((script, "") for script in scripts)]:
        assert (ROOT / path).is_file(), path
        assert f"def {name}" in (ROOT / path).read_text() or not name, f"{path}::{name}"
