"""What a run makes of the certificate beside an engine."""

from pathlib import Path

import pytest

from streamseg.certification.certificate import is_bundled
from streamseg.engines.certified import (
    EDITION,
    certificate_of,
    check_certificate,
    needs_certificate,
    refuse_failed,
)
from streamseg.engines.locate import list_engines
from streamseg.engines.sidecar import sidecar_path, write_section
from streamseg.errors import EngineError
from streamseg.files import file_sha256


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "a.engine"
    path.write_bytes(b"a plan")
    return path


def certify(engine, verdict, runtime="tensorrt 11.4 FP16", sha256=None, faults=(), edition=EDITION):
    candidate = {"path": str(engine), "sha256": sha256 or file_sha256(engine), "runtime": runtime}
    section = {"verdict": verdict, "faults": list(faults), "candidate": candidate}
    if edition is not None:
        section["edition"] = edition
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
    assert not needs_certificate(tmp_path / "missing.onnx", "bf16")


@pytest.mark.parametrize(("precision", "needs"), [("fp32", False), ("bf16", True), ("FP16", True)])
def test_half_precision_is_another_network(tmp_path, precision, needs):
    (tmp_path / "a.onnx").write_bytes(b"Conv")
    assert needs_certificate(tmp_path / "a.onnx", precision) is needs


@pytest.mark.parametrize("how", [("openvino", "bf16"), ("openvino", "fp32"), ("onnxruntime", "fp32")])
def test_the_bundled_engines_are_not_warned_of(how):
    """Their BF16 in OpenVINO is certified in the package."""
    runtime, precision = how
    for path in list_engines().values():
        assert check_certificate(path, runtime=runtime, precision=precision) is None


def test_the_certificate_in_the_package_names_no_machine():
    kept = certificate_of(list_engines()["compact"])
    assert kept["edition"] == EDITION
    assert kept["figures"]["matched"] >= 100
    paths = kept["candidate"]["path"], kept["reference"]["path"], kept["footage"]["name"]
    assert not any(Path(path).is_absolute() for path in paths)


TENSORRT = {"runtime": "tensorrt", "precision": "fp16"}


def test_without_one_a_line_says_how_to_get_one(engine):
    said = check_certificate(engine, **TENSORRT)
    assert f"streamseg certify {engine} --against REFERENCE.onnx --runtime tensorrt --precision fp16" in said


def test_a_plain_file_in_half_precision_is_warned_of_with_two_cures(tmp_path):
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"Conv")
    assert check_certificate(onnx, runtime="openvino", precision="fp32") is None
    said = check_certificate(onnx, runtime="openvino", precision="bf16")
    assert said.startswith(f"{onnx}: no certificate for this file in openvino BF16; ")
    assert "--precision fp32; or compare the two: " in said
    assert f"streamseg certify {onnx} --against {onnx} --runtime openvino --precision bf16 --on CLIP" in said
    certify(onnx, "passed", runtime="openvino 2026.4.1 BF16")
    assert check_certificate(onnx, runtime="openvino", precision="bf16") is None


def test_a_passed_one_is_silent(engine):
    certify(engine, "passed")
    assert check_certificate(engine, **TENSORRT) is None
    assert certificate_of(engine)["verdict"] == "passed"
    refuse_failed(engine)


def test_one_in_another_runtime_or_precision_vouches_for_nothing(tmp_path):
    """INT8 certified in ONNX Runtime says nothing of INT8 with the rest in BF16 in OpenVINO."""
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"QLinearConv")
    certify(onnx, "passed", runtime="onnxruntime 1.31.1 INT8, rest FP32")
    assert check_certificate(onnx, runtime="onnxruntime", precision="fp32") is None
    for runtime, precision in (("openvino", "bf16"), ("openvino", "fp32"), ("onnxruntime", "bf16")):
        said = check_certificate(onnx, runtime=runtime, precision=precision)
        expected = f"certified in onnxruntime FP32, but runs in {runtime} {precision.upper()}; compare it"
        assert expected in said


def test_one_that_never_looked_at_boxes_is_none_if_it_passed(engine):
    certify(engine, "passed", edition=None)
    assert "older streamseg, says nothing of boxes" in check_certificate(engine, **TENSORRT)
    certify(engine, "failed", edition=None)
    with pytest.raises(EngineError, match="failed its certificate"):
        check_certificate(engine, **TENSORRT)


def test_a_failed_one_is_refused_with_its_reasons_unless_told(engine):
    certify(engine, "failed", faults=["mask IoU p5 is 0.2", "score shift p95 is 0.3"])
    for refused in (lambda: refuse_failed(engine), lambda: check_certificate(engine, **TENSORRT)):
        with pytest.raises(EngineError, match=r"p5 is 0\.2; score shift.*--allow-failed-cert") as refusal:
            refused()
        assert str(engine) in str(refusal.value)
    refuse_failed(engine, allow_failed=True)
    assert "running it all the same" in check_certificate(engine, **TENSORRT, allow_failed=True)


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_one_of_other_bytes_is_none(engine, verdict):
    certify(engine, verdict, sha256="0" * 64)
    assert certificate_of(engine) is None
    refuse_failed(engine)
    assert "no certificate for this file" in check_certificate(engine, **TENSORRT)


def test_before_it_runs_a_failed_one_is_refused_unless_another_way_is_asked_for(tmp_path):
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"Conv")
    certify(onnx, "failed", runtime="openvino 2026.4.1 BF16")
    for asked in ({"precision": "fp32"}, {"runtime": "onnxruntime"}):
        refuse_failed(onnx, **asked)
    for asked in ({}, {"runtime": "openvino"}, {"precision": "bf16"}):
        with pytest.raises(EngineError, match="failed its certificate in openvino BF16"):
            refuse_failed(onnx, **asked)
    assert check_certificate(onnx, runtime="openvino", precision="fp32") is None


@pytest.mark.parametrize("section", [{}, {"verdict": "passed"}, [], {"candidate": {"sha256": 1}}, "x"])
def test_a_damaged_one_says_what_to_do(engine, section):
    import json

    if isinstance(section, dict) and "candidate" in section:
        section["candidate"]["sha256"] = file_sha256(engine)
    sidecar_path(engine).write_text(json.dumps({"certificate": section}))
    with pytest.raises(EngineError, match=r"a\.engine\.json: damaged certificate; certify again"):
        refuse_failed(engine)


def test_the_packages_own_engines_are_known_however_they_are_named(engine, monkeypatch):
    bundled = list_engines()["compact"]
    monkeypatch.chdir(bundled.parent)
    assert is_bundled(bundled)
    assert is_bundled(Path(bundled.name))
    assert not is_bundled(engine)
