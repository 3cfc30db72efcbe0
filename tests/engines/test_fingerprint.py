"""What an engine's sidecar says of its origin, and what keeps an engine from running elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamseg.engine_contract import EngineInfo
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.fingerprint import (
    Fingerprint,
    read_fingerprint,
    rebuild_command,
    stale,
    write_fingerprint,
)
from streamseg.engines.machine import Machine
from streamseg.engines.sidecar import sidecar_path, write_section
from streamseg.errors import EngineError
from streamseg.files import file_sha256

H200 = Machine("11.4.0.106", "TensorRT", "NVIDIA H200", "9.0", "13.0")
INFO = EngineInfo("yolact", "yolact_r50", ("person", "Käfer"), "stretch", (550, 544), 100, 0.05)
OPTIONS = BuildOptions(precision="int8", batch=(1, 4, 16), calibrate="my clip.mp4", frames=64)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "yolact.engine"
    path.write_bytes(b"plan")
    digest = file_sha256(path)
    write_fingerprint(path, Fingerprint(INFO, H200, OPTIONS, "../onnx/yolact.onnx", "ab" * 32, digest))
    return path


def test_comes_back_as_written_beside_a_certificate(engine: Path) -> None:
    write_section(engine, "certificate", {"passed": True})
    fingerprint = read_fingerprint(engine)
    assert fingerprint.info == INFO
    assert fingerprint.machine == H200
    assert fingerprint.options == OPTIONS
    assert fingerprint.onnx_sha256 == "ab" * 32
    write_fingerprint(engine, fingerprint)
    assert json.loads(sidecar_path(engine).read_text())["certificate"] == {"passed": True}


def test_rebuild_command_has_what_differs_from_the_defaults(engine: Path) -> None:
    folder = engine.parent
    assert rebuild_command(engine, read_fingerprint(engine)) == (
        f"streamseg build {folder.parent}/onnx/yolact.onnx -o {folder}/yolact.engine"
        " --precision int8 --batch 1:4:16 --calibrate 'my clip.mp4' --frames 64"
    )
    assert BuildOptions().arguments() == []


@pytest.mark.parametrize(
    ("changes", "portable", "expected"),
    [
        ({}, "no", []),
        (
            {"tensorrt": "11.5.0.1"},
            "no",
            ["built with TensorRT 11.4.0.106, here is TensorRT 11.5.0.1"],
        ),
        (
            {"flavour": "TensorRT-RTX", "tensorrt": "1.7.1.116"},
            "no",
            ["built with TensorRT 11.4.0.106, here is TensorRT-RTX 1.7.1.116"],
        ),
        (
            {"gpu": "NVIDIA L4", "compute_capability": "8.9"},
            "no",
            ["built for NVIDIA H200 (9.0), here is NVIDIA L4 (8.9)"],
        ),
        ({"gpu": "NVIDIA L4", "compute_capability": "8.9"}, "ampere_plus", []),
        (
            {"gpu": "Tesla T4", "compute_capability": "7.5"},
            "ampere_plus",
            ["built for NVIDIA H200 (9.0), here is Tesla T4 (7.5)"],
        ),
        ({"gpu": "NVIDIA H100"}, "same_compute_capability", []),
        ({"gpu": "NVIDIA H100"}, "no", ["built for NVIDIA H200 (9.0), here is NVIDIA H100 (9.0)"]),
        (
            {"gpu": "", "compute_capability": "", "driver": ""},
            "no",
            ["built for NVIDIA H200 (9.0), here is no GPU"],
        ),
        ({"driver": "12.9"}, "no", ["built under a driver for CUDA 13.0, here is one for 12.9"]),
        ({"driver": "13.10"}, "no", []),
    ],
)
def test_stale_names_what_differs(
    engine: Path, changes: dict[str, str], portable: Any, expected: list[str]
) -> None:
    built = read_fingerprint(engine)
    built = replace(built, options=replace(OPTIONS, portable=portable))
    assert stale(built, replace(H200, **changes)) == expected


def test_an_engine_built_without_a_gpu_fits_any(engine: Path) -> None:
    anywhere = Machine("1.7.1.116", "TensorRT-RTX")
    built = replace(read_fingerprint(engine), machine=anywhere)
    assert stale(built, replace(anywhere, gpu="GeForce", compute_capability="8.6", driver="13.0")) == []


def test_missing_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"plan")
    with pytest.raises(
        EngineError, match=r"a\.engine: no fingerprint in .*a\.engine\.json; .*streamseg build"
    ):
        read_fingerprint(path)


def test_another_file_than_the_sidecar_speaks_of(engine: Path) -> None:
    engine.write_bytes(b"pla")
    with pytest.raises(EngineError, match="damaged, or not the file .* streamseg build .*--precision int8"):
        read_fingerprint(engine)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("machine", {"tensorrt": 11}, "machine.tensorrt"),
        ("options", {"precision": "int4"}, "options.precision"),
        ("input_hw", [550], "input_hw"),
        ("metadata", {}, "no streamseg.* metadata"),
    ],
)
def test_damaged_section(engine: Path, key: str, value: Any, complaint: str) -> None:
    sections = json.loads(sidecar_path(engine).read_text())
    sections["fingerprint"][key] = value
    sidecar_path(engine).write_text(json.dumps(sections))
    with pytest.raises(EngineError, match=complaint):
        read_fingerprint(engine)
