"""`streamseg top` against a real run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamseg.errors import ConfigError, SourceError
from streamseg.jobs.top import read_status, token_of

from .conftest import SCENE, eventually


@pytest.mark.slow
def test_the_sources_of_a_run_are_a_table(served):
    source_id = served.add(SCENE.format(5, 1_000_000))
    eventually(lambda: served.source(source_id)["fps"] > 0)
    command = [sys.executable, "-m", "streamseg", "top", served.address, "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    head, columns, row = done.stdout.strip().splitlines()
    assert head.startswith("squares on fake 20 ms")
    assert columns.split()[:3] == ["source", "state", "fps"]
    assert row.split()[:2] == ["synthetic-5", "live"]
    assert float(row.split()[2]) > 0
    assert served.ask("DELETE", f"/api/sources/{source_id}").status_code == 200


def test_where_no_run_answers_it_is_said_with_the_cure(serve, free_port, tmp_path):
    with pytest.raises(SourceError, match=r"no run of streamseg answers there \(.*[Cc]onnection refused"):
        read_status(f"127.0.0.1:{free_port}", None)
    with pytest.raises(ConfigError, match="expected http://HOST:PORT"):
        read_status("ftp://host", None)
    with pytest.raises(ConfigError, match="--token-file none: cannot be read"):
        token_of("none")
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    run = serve(token=file.read_text().strip(), serve={"token_file": str(file)})
    with pytest.raises(ConfigError, match="wants its token: --token-file FILE"):
        read_status(run.address, None)
    assert read_status(run.address, token_of(str(file)))["engine"] == "squares"
