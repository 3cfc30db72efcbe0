"""What only OpenVINO does; what it shares with every runtime is in test_conformance.py."""

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTED = """
import os, signal, sys, time
from streamseg.engines.openvino_engine import OpenVinoEngine

first, second = OpenVinoEngine(sys.argv[1]), OpenVinoEngine(sys.argv[1])
first.close()
second.close()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.slow
def test_ctrl_c_after_engines_that_were_closed_in_the_order_they_were_opened(tiny_engine_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, tiny_engine_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
