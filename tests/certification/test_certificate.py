"""What a run makes of the certificate beside an engine."""

from pathlib import Path

import pytest

from streamseg.certification.certificate import is_bundled
from streamseg.engines.certified import certificate_of, check_certificate, needs_certificate
from streamseg.engines.locate import list_engines
from streamseg.engines.sidecar import file_sha256, sidecar_path, write_section
from streamseg.errors import EngineError


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "a.engine"
    path.write_bytes(b"a plan")
    return path


def certify(engine, verdict, runtime="tensorrt 11.4 FP16", sha256=None, faults=()):
    candidate = {"path": str(engine), "sha256": sha256 or file_sha256(engine), "runtime": runtime}
    section = {"verdict": verdict, "faults": list(faults), "candidate": candidate}
    write_section(engine, "certificate", section)


@pytest.mark.parametrize(
    ("name", "content", "needs"),
    [
        ("a.engine", b"", True),
        ("a.plan", b"", True),
        ("a.onnx", b"... Conv ...", False),
        ("a.onnx", b"... DequantizeLinear ...", True),
        ("a.onnx", b"... QLinearConv ...", True),
        ("a.onnx", b"", False),
        ("a.pth", b"DequantizeLinear", False),
    ],
)
def test_what_was_built_from_another_needs_one(tmp_path, name, content, needs):
    (tmp_path / name).write_bytes(content)
    assert needs_certificate(tmp_path / name) is needs


def test_a_missing_file_needs_none(tmp_path):
    assert not needs_certificate(tmp_path / "missing.onnx")


def test_the_bundled_engines_are_not_warned_of():
    assert [check_certificate(path) for path in list_engines().values()] == [None]


def test_without_one_a_line_says_how_to_get_one(engine):
    assert f"streamseg certify {engine} --against" in check_certificate(engine)


def test_a_passed_one_is_silent(engine):
    certify(engine, "passed")
    assert check_certificate(engine) is None
    assert certificate_of(engine)["verdict"] == "passed"


def test_a_failed_one_is_refused_with_its_reasons_unless_told(engine):
    certify(engine, "failed", faults=["mask IoU p5 is 0.2", "score shift p95 is 0.3"])
    with pytest.raises(EngineError, match=r"p5 is 0\.2; score shift.*--allow-failed-certificate") as refusal:
        check_certificate(engine)
    assert str(engine) in str(refusal.value)
    assert "running it all the same" in check_certificate(engine, allow_failed=True)


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_one_of_other_bytes_is_none(engine, verdict):
    certify(engine, verdict, sha256="0" * 64)
    assert certificate_of(engine) is None
    assert "no certificate for this file" in check_certificate(engine)


def test_one_in_another_precision_or_runtime_is_none(tmp_path):
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"Conv")
    certify(onnx, "failed", runtime="openvino 2026.4.1 BF16")
    assert check_certificate(onnx, precision="fp32") is None
    assert check_certificate(onnx, runtime="onnxruntime") is None
    for asked in ({}, {"runtime": "openvino"}, {"precision": "bf16"}):
        with pytest.raises(EngineError, match="failed its certificate"):
            check_certificate(onnx, **asked)


@pytest.mark.parametrize("section", [{}, {"verdict": "passed"}, [], {"candidate": {"sha256": 1}}, "x"])
def test_a_damaged_one_says_what_to_do(engine, section):
    import json

    if isinstance(section, dict) and "candidate" in section:
        section["candidate"]["sha256"] = file_sha256(engine)
    sidecar_path(engine).write_text(json.dumps({"certificate": section}))
    with pytest.raises(EngineError, match=r"a\.engine\.json: damaged certificate; certify again"):
        check_certificate(engine)


def test_the_packages_own_engines_are_known_however_they_are_named(engine, monkeypatch):
    bundled = list_engines()["compact"]
    monkeypatch.chdir(bundled.parent)
    assert is_bundled(bundled)
    assert is_bundled(Path(bundled.name))
    assert not is_bundled(engine)
