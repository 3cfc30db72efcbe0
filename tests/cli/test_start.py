"""The first half second of the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTED_WHILE_LOADING = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["streamseg", "--help"]
from streamseg.__main__ import main
main()
"""


def test_ctrl_c_while_it_loads_is_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING], capture_output=True, text=True, timeout=500
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.slow
def test_a_run_goes_on_where_nothing_can_be_said(tmp_path: Path) -> None:
    """Standard error on a full disk."""
    command = [
        sys.executable,
        "-m",
        "streamseg",
        "run",
        "synthetic?frames=8&size=160x96",
        "--jsonl",
        "o.jsonl",
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, timeout=300)

    assert (done.returncode, done.stdout) == (0, b"")
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 8
