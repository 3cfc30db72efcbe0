"""Names of files and classes do not reach the terminal as orders to it."""

import contextlib
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import streamseg
from streamseg.cli import app, eval_table, progress
from streamseg.cli.terminal import LogFormatter, lines_printable

ESCAPE = "\x1b[31m"
COMPACT = Path(streamseg.__file__).parent / "bundled" / "compact.onnx"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{ESCAPE}e.onnx").write_bytes(COMPACT.read_bytes())
    return tmp_path


def test_lines_stay_lines():
    assert lines_printable(f"a{ESCAPE}\nb\r") == "a\\x1b[31m\nb\\r"


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", [("engines", "."), ("data", "check", f"{ESCAPE}.json"), ("run", f"{ESCAPE}.mp4")]
)
def test_verbs_print_no_escape(folder, streamseg, verb):
    (folder / f"{ESCAPE}.json").write_text(json.dumps({"images": [], "categories": [], "annotations": []}))
    done = streamseg(*verb)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[31m" in done.stdout + done.stderr


@pytest.mark.slow
def test_what_run_says_of_its_files(folder, streamseg):
    """The headline, the warning of its certificate, the table, what it wrote."""
    (folder / f"{ESCAPE}e.onnx.json").write_text("{}")
    small = "synthetic?frames=2&size=160x96"
    done = streamseg("run", small, "--engine", f"{ESCAPE}e.onnx", "--jsonl", f"{ESCAPE}o.jsonl")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr
    assert "wrote \\x1b[31mo.jsonl" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_live_line_in_a_terminal(tmp_path):
    """Drawn over and over in its place; then the summary, and the end."""
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "streamseg",
        "run",
        "synthetic?frames=60&size=160x96",
        "--jsonl",
        "o.jsonl",
    ]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(command, cwd=tmp_path, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the other end has been closed
            while chunk := os.read(ours, 65536):
                said += chunk
    os.close(ours)
    assert process.returncode == 0
    assert said.count(b"\x1b[2K") >= 1
    assert b"wrote o.jsonl" in said


def test_logs_and_tracebacks():
    try:
        raise ValueError(ESCAPE)
    except ValueError:
        record = logging.LogRecord("streamseg", logging.ERROR, "", 0, ESCAPE, None, sys.exc_info())
    said = LogFormatter().format(record)
    assert said.startswith("ERROR streamseg: \\x1b[31m\nTraceback")
    assert "\x1b" not in said


def test_progress(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with progress.shown_on_stderr() as watcher:
        watcher.say(f"building {ESCAPE}\nagain")
    assert said.getvalue() == "building \\x1b[31m\nagain\n"


def test_tables_of_eval(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(eval_table, "_console", lambda: Console(file=said, width=300))
    nothing = {key: [] for key in eval_table.NOTES}
    figures = {"per_class": {ESCAPE: {"images": 1, "instances": 1}}, "images": 1, "instances": 1}
    how = {"engine": ESCAPE, "runtime": "r", "seconds": 1.0, "calibration": {"ece": None}}
    eval_table.print_data(figures | how | nothing | {"left_out": [ESCAPE], "per_stuff": {ESCAPE: {}}})
    assert said.getvalue().count("\\x1b[31m") == 4
    assert "\x1b" not in said.getvalue()


def test_what_models_lists():
    done = CliRunner().invoke(app, ["models", "--cache", ESCAPE])
    assert re.search("\x1b", done.output) is None
