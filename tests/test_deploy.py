"""The files of deploy/: read by the tools whose files they are, as far as these are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from streamseg.streaming.config import load_config

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("name", ["cpu.Dockerfile", "nvidia.Dockerfile"])
def test_hadolint_finds_nothing_and_the_user_is_not_root(name):
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DEPLOY / name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    text = (DEPLOY / name).read_text()
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert "/readyz" in text
    for copied in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE):
        assert all((DEPLOY.parent / one).exists() for one in copied.split())


def test_systemd_knows_every_line_of_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze (Debian package systemd)")
    unit = (DEPLOY / "streamseg.service").read_text()
    (tmp_path / "streamseg.service").write_text(unit.replace("/opt/streamseg/bin/streamseg", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "streamseg.service"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {"Type=notify", "WatchdogSec=60s", "DynamicUser=yes", "SuccessExitStatus=143"} <= set(
        unit.split("\n")
    )


def test_what_compose_mounts_is_there_and_only_srt_is_open_to_others():
    assert set(COMPOSE["services"]) == {"streamseg", "mediamtx", "mosquitto", "prometheus"}
    open_to_others = []
    for service in COMPOSE["services"].values():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        open_to_others += [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")]
        for volume in service.get("volumes", ()):
            place = volume.split(":")[0]
            assert (DEPLOY / place).exists() if place.startswith(".") else place in COMPOSE["volumes"]
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert open_to_others == ["8890:8890/udp"]
    build = COMPOSE["services"]["streamseg"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_the_parts_know_each_other():
    config = load_config(str(DEPLOY / "config" / "streamseg.yaml"))
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    assert target == f"{config.serve.hosts[0]}:8080"
    assert job["authorization"]["credentials_file"] == config.serve.token_file
    assert config.serve.token_file == f"/run/secrets/{next(iter(COMPOSE['secrets']))}"
    assert config.serve.address == "0.0.0.0:8080"
