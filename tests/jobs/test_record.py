"""What `--record` says of the run: engine, certificate, clip."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.engines.engine_file import open_engine_file
from streamseg.jobs.obtain import engine_path
from streamseg.jobs.run import build
from streamseg.overlay.palette import PALETTE
from streamseg.records.header import clip_fingerprint
from streamseg.records.store import RecordReader
from streamseg.streaming.config import load_config


def test_a_record_names_its_engine_and_its_clip(recorded_run):
    engine = open_engine_file(engine_path("shapes", None, None))
    with RecordReader(recorded_run.record) as recording:
        [take] = recording.takes
    assert take.header.engine_sha256 == engine.sha256
    assert take.header.classes == engine.info.classes
    assert take.header.engine.startswith("shapes.onnx")
    assert take.header.redacted == ()
    assert len(take.header.colours) == len(PALETTE)
    assert take.header.colours[0] == "#{2:02x}{1:02x}{0:02x}".format(*PALETTE[0])
    assert (take.header.certificate == "") == (take.header.certificate_sha256 == "")
    assert take.spec == str(recorded_run.clip)
    assert take.fingerprint == clip_fingerprint(str(recorded_run.clip))


@pytest.mark.slow
def test_pandas_opens_it_as_the_document_says(recorded_run):
    document = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
    first, second = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    for code, name, columns in (
        (first, "seen", "['track'].nunique()"),
        (second, "boxes", "[2].nunique()"),
    ):
        assert len(code.strip().splitlines()) == 3
        done = subprocess.run(
            [sys.executable, "-c", f"{code}\nprint({name}{columns}, len({name}))"],
            cwd=recorded_run.folder, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        tracks, rows = map(int, done.stdout.split())
        assert tracks == len({t for r in recorded_run.results for t in r.tracks.id.tolist() if t > 0})
        assert rows > 3
    assert rows == sum(len(result.instances) for result in recorded_run.results)


@pytest.mark.slow
def test_a_record_of_a_run_that_redacts_says_so_and_has_no_place(tmp_path):
    record = tmp_path / "run.rec"
    options = {
        "sources": ["synthetic"],
        "engine": {"path": "shapes"},
        "max_frames": 40,
        "redact": {"classes": ["shape"]},
        "output": {"record": str(record)},
    }
    assert build(load_config(None, options)).run() == 0
    with RecordReader(record) as recording:
        [take] = recording.takes
        instances = [int(block.start[-1]) for block in recording.blocks(take)]
    assert take.header.redacted == ("shape",)
    assert instances
    assert sum(instances) == 0
