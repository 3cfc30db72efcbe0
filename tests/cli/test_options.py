"""Options that several verbs share say the same in each."""

import re

import pytest
from typer.testing import CliRunner

from streamseg.cli import app
from streamseg.cli.options import seconds_from_text
from streamseg.cli.run import _record_and_segments
from streamseg.engine_contract import PRECISIONS, RUNTIME_NAMES
from streamseg.errors import ConfigError


@pytest.mark.parametrize("verb", ["run", "eval", "certify"])
def test_help_lists_every_runtime_and_precision(verb: str) -> None:
    done = CliRunner().invoke(app, [verb, "--help"], terminal_width=300, env={"COLUMNS": "300"})
    assert done.exit_code == 0
    text = re.sub(r"\s+", " ", done.output)
    assert ", ".join(["auto", *RUNTIME_NAMES]) + "." in text
    assert ", ".join(["auto", *PRECISIONS]) + "." in text


@pytest.mark.parametrize(
    ("text", "seconds"), [("150ms", 0.15), ("0.5s", 0.5), (" 2 ", 2.0), ("1.5 ms", 0.0015), (None, None)]
)
def test_times(text: str | None, seconds: float | None) -> None:
    assert seconds_from_text("--max-age", text) == seconds


@pytest.mark.parametrize("text", ["", "fast", "-1s", "1h", "1e3", "nan", "1.ms"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--max-age .*: expected a time, such as 150ms or 0.5s"):
        seconds_from_text("--max-age", text)


def test_a_record_and_a_folder_of_streams() -> None:
    """`--record` means both: what is seen in a file, streams as they come in a folder."""
    assert _record_and_segments([]) == (None, None)
    assert _record_and_segments(["run.rec"]) == ("run.rec", None)
    assert _record_and_segments(["streams", "run.rec"]) == ("run.rec", "streams")
    for twice in (["a.rec", "b.rec"], ["a", "b"]):
        with pytest.raises(ConfigError, match="asked for already"):
            _record_and_segments(twice)
