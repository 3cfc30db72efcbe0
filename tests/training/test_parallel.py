import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from pathlib import Path
from streamseg.training.parallel import run_ranks

def work(place):
    Path(sys.argv[1]).with_suffix(".part").write_text(str(os.getpid()))
    os.replace(Path(sys.argv[1]).with_suffix(".part"), sys.argv[1])
    while not place.orphaned:
        time.sleep(0.02)

if __name__ == "__main__":
    run_ranks(1, work)
"""


@pytest.mark.slow
def test_a_rank_notices_that_its_program_was_killed(tmp_path: Path) -> None:
    program, said = tmp_path / "program.py", tmp_path / "pid"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, program, said]) as parent:
        wait_until(said.exists, 120)
        rank = int(said.read_text())
        assert is_running(rank)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(rank), 60)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
