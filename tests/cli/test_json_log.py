"""`--log-format json`: every line on stderr is one JSON object, from the start to the error."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys

import pytest

from streamseg.cli.json_log import JsonFormatter


def test_a_line_has_time_level_logger_message_and_fields_and_nothing_a_terminal_obeys():
    record = logging.LogRecord("streamseg.x", logging.WARNING, "", 0, "gate %s", ("\x1b[2J",), None)
    record.fields = {"source": "gate", "message": "not this"}
    text = JsonFormatter().format(record)
    line = json.loads(text)
    assert "\x1b" not in text
    assert (line["level"], line["logger"], line["message"]) == ("warning", "streamseg.x", "gate \x1b[2J")
    assert line["source"] == "gate"
    assert line["time"].endswith("Z")
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: why" in json.loads(JsonFormatter().format(record))["traceback"]


@pytest.mark.slow
def test_a_run_logs_json_and_tells_systemd(streamseg, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        asked = ["run", "synthetic?frames=20&size=160x120", "--engine", "shapes", "--log-format", "json"]
        done = streamseg(*asked, env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        manager.setblocking(False)
        told = []
        while True:
            try:
                told.append(manager.recv(4096).decode())
            except BlockingIOError:
                break
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[0]["message"] == "begins"
    assert lines[-1]["message"] == "ended"
    assert lines[-1]["sources"]["synthetic"]["delivered"] == 20
    assert [line["state"] for line in lines if line.get("source") == "synthetic"][-1] == "ended"
    assert told[-1] == "STOPPING=1"


@pytest.mark.slow
def test_a_mistake_is_one_json_line(streamseg):
    done = streamseg("run", "none.mp4", "--log-format", "json")
    assert done.returncode == 3
    *_, line = map(json.loads, done.stderr.splitlines())
    assert line["level"] == "error"
    assert line["message"].startswith("none.mp4: no such file")
