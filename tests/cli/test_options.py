"""Options that several verbs share say the same in each."""

import re

import pytest
from typer.testing import CliRunner

from streamseg.cli import app
from streamseg.engine_contract import PRECISIONS, RUNTIME_NAMES


@pytest.mark.parametrize("verb", ["run", "eval", "certify"])
def test_help_lists_every_runtime_and_precision(verb: str) -> None:
    done = CliRunner().invoke(app, [verb, "--help"], terminal_width=300, env={"COLUMNS": "300"})
    assert done.exit_code == 0
    text = re.sub(r"\s+", " ", done.output)
    assert ", ".join(["auto", *RUNTIME_NAMES]) + "." in text
    assert ", ".join(["auto", *PRECISIONS]) + "." in text
