"""`streamseg zones` with a real window, drawn on by xdotool; and without a display."""

import os
import shutil
import subprocess
import sys

import pytest

from streamseg.streaming.config import load_config

COMMAND = f"{sys.executable} -m streamseg zones synthetic -o zones.yaml"
SCRIPT = f"""
openbox & {COMMAND} & job=$!
window=$(timeout 60 xdotool search --sync --onlyvisible --name 'streamseg zones' | head -1)
click() {{ xdotool mousemove --window $window $1 $2 click 1; sleep 0.3; }}
sleep 1
click 100 100; click 500 100; click 500 400; xdotool key --window $window z; sleep 0.3
click 640 100; click 640 600; xdotool key --window $window l; sleep 0.3
xdotool key --window $window s
wait $job
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_drawn_with_the_mouse(tmp_path):
    missing = [tool for tool in ("xvfb-run", "openbox", "xdotool") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    command = ["xvfb-run", "-a", "-s", "-screen 0 1400x900x24", "bash", "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    rules = load_config(str(tmp_path / "zones.yaml")).events
    (x1, y1), (x2, _), (_, y3) = rules.zones["zone 1"].polygon
    assert (x1, y1, x2, y3) == pytest.approx((100 / 1280, 100 / 720, 500 / 1280, 400 / 720), abs=0.02)
    assert len(rules.lines["line 1"].points) == 2


@pytest.mark.slow
def test_without_a_display_it_is_one_line(tmp_path):
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(COMMAND.split(), cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 5
    assert "no display" in done.stderr
    assert "docs/events.md" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "zones.yaml").write_text("events: {}")
    done = subprocess.run(COMMAND.split(), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "zones.yaml: is there already" in done.stderr
