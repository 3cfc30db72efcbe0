"""From a configuration to the first frame."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from streamseg.engines.load import load_engine
from streamseg.engines.sidecar import write_section
from streamseg.files import file_sha256
from streamseg.jobs.run import build
from streamseg.streaming.config import load_config


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_with_a_certificate_is_hashed_once(
    copy_of: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    with load_engine(copy_of, runtime) as engine:
        made_in = {"runtime": engine.runtime, "runtime_name": runtime, "precision": engine.precision}
    candidate = {"path": str(copy_of), "sha256": file_sha256(copy_of), **made_in}
    section = {"verdict": "passed", "faults": [], "candidate": candidate, "edition": 2}
    write_section(copy_of, "certificate", section)
    hashed: list[str] = []
    digest = hashlib.file_digest

    def counting(file: BinaryIO, name: Any) -> Any:
        hashed.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    asked = {"path": str(copy_of), "runtime": runtime}
    job = build(load_config(None, {"sources": ["synthetic?size=160x96"], "engine": asked, "max_frames": 2}))
    assert job.run() == 0
    assert [Path(name) for name in hashed] == [copy_of]
