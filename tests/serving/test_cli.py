"""`streamseg run --serve` as a process: from two addresses to a page, and what can be mistaken."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
import requests

from streamseg.errors import ConfigError, MissingDependency
from streamseg.jobs.run import build
from streamseg.streaming.config import load_config

from .browser import Browser
from .conftest import eventually


@pytest.mark.slow
@pytest.mark.rtsp
def test_one_command_from_two_rtsp_addresses_to_a_page_that_shows_both(rtsp_server, free_port, tmp_path):
    rtsp_server.start()
    log = tmp_path / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        sys.executable,
        "-m",
        "streamseg",
        "run",
        rtsp_server.url,
        rtsp_server.url,
        "--engine",
        "shapes",
    ]
    with log.open("w") as written:
        run = subprocess.Popen([*command, "--serve", address], stderr=written)
    try:
        with Browser() as browser:
            eventually(lambda: f"live page http://{address}/" in log.read_text() or run.poll() is not None)
            browser.open(f"http://{address}/")
            browser.until("document.querySelectorAll('.state.live').length === 2", 40)
            browser.until(
                "[...document.querySelectorAll('.screen canvas')].every((one) => one.width === 320)", 40
            )
            states = [one["state"] for one in requests.get(f"http://{address}/api/status").json()["sources"]]
            assert states == ["live", "live"]
            os.kill(run.pid, signal.SIGINT)
            assert run.wait(30) == 130, log.read_text()
    finally:
        run.kill()
        run.wait()


def test_an_address_that_is_taken_is_an_error_before_anything_is_opened():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError) as refused:
            build(load_config(None, {"sources": ["synthetic"], "serve": {"address": address}}))
    assert str(refused.value) == f"serve.address {address}: cannot listen there (Address already in use)"


@pytest.mark.parametrize("address", ["8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", ":80"])
def test_an_address_that_is_none_is_named(address):
    with pytest.raises(ConfigError, match="expected HOST:PORT such as 127"):
        build(load_config(None, {"sources": ["synthetic"], "serve": {"address": address}}))


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    for name in [
        name for name in sys.modules if name.startswith(("streamseg.streaming.live", "streamseg.serving"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependency, match=r"the live page needs .*: pip install 'streamseg\[serve\]'"):
        build(load_config(None, {"sources": ["synthetic"], "serve": {"address": "127.0.0.1:0"}}))
