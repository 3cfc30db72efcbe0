"""The command line as its user meets it: a process, its exit code and what it printed."""

import subprocess
import sys

import pytest


@pytest.fixture
def streamseg(tmp_path):
    """Run `streamseg …` in an empty folder; stdout and stderr are captured."""

    def run(*arguments, cwd=tmp_path, timeout=500, env=None):
        command = [sys.executable, "-m", "streamseg", *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=env)

    return run


def last_line(done):
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def fails(streamseg):
    """Run, and check that it ended with an exit code, one last line, and no traceback."""

    def run(*arguments, code, **more):
        done = streamseg(*arguments, **more)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert last_line(done).startswith("streamseg: ")
        return last_line(done)

    return run
