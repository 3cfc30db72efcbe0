"""Two real engines on real frames: ONNX files in ONNX Runtime and OpenVINO, on the CPU."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.certification.certificate import describe, require_passed
from streamseg.certification.thresholds import Thresholds
from streamseg.engines.certified import certificate_of
from streamseg.engines.load import load_engine
from streamseg.engines.sidecar import sidecar_path
from streamseg.errors import ConfigError, EngineError, NotCertified, SinkError, SourceError
from streamseg.files import file_sha256
from streamseg.jobs.certify import certify_engine
from streamseg.jobs.run import build
from streamseg.streaming.config import load_config

HOW = {"score": 0.6, "runtime": "onnxruntime", "against_runtime": "onnxruntime", "frames": 30}


def test_an_engine_agrees_with_itself_and_keeps_no_certificate_of_it(tiny_engine_path, copy_of, footage):
    done = []
    certificate = certify_engine(
        copy_of, tiny_engine_path, footage, **HOW, on_frame=lambda k, n: done.append((k, n))
    )
    assert certificate.passed
    assert certificate.compares_itself
    assert certificate.figures.iou == {"p1": 1, "p5": 1, "p50": 1, "mean": 1}
    assert certificate.figures.boundary_px == {"p95": 0, "mean": 0}
    assert certificate.figures.score_shift == {"mean": 0, "p95": 0, "max": 0}
    assert certificate.figures.matched == certificate.figures.reference >= 50
    assert certificate.figures.box_iou == {"p1": 1, "p5": 1, "p50": 1, "mean": 1}
    assert certificate.figures.nearer == ()
    assert certificate.one_at_a_time == ""
    assert certificate.worst == ()
    assert done == [(k + 1, 30) for k in range(30)]
    assert not sidecar_path(copy_of).exists()
    assert any("shows only that the check works" in line for line in describe(certificate))


@pytest.mark.slow
def test_another_runtime_passes_and_its_certificate_is_kept(tiny_engine_path, copy_of, footage):
    how = HOW | {"runtime": "openvino", "precision": "fp32"}
    certificate = certify_engine(copy_of, tiny_engine_path, footage, **how)
    assert certificate.passed, certificate.faults
    kept = certificate_of(copy_of)
    assert kept == json.loads(json.dumps(certificate.as_dict()))
    assert kept["candidate"]["sha256"] == kept["reference"]["sha256"] == file_sha256(copy_of)
    assert kept["candidate"]["runtime"].startswith("openvino")
    assert kept["candidate"]["runtime"].endswith("FP32")
    assert kept["footage"]["frames"] == 30
    assert kept["edition"] == 2
    assert kept["figures"]["box_iou"]["p5"] > 0.9
    assert kept["thresholds"]["max_missed"] == Thresholds().max_missed
    assert kept["speed"]["ratio"] > 0
    build(load_config(None, {"sources": ["synthetic"], "engine": {"path": str(copy_of)}}))


def perturbed(weights):
    return weights * (1 + 0.3 * np.random.default_rng(0).standard_normal(weights.shape))


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [lambda w: w[:, ::-1], lambda w: w * 1.5, perturbed],
    ids=["colour order", "normalisation", "weights"],
)
def test_a_broken_engine_fails_and_is_not_run(tiny_engine_path, altered, footage, tmp_path, change):
    broken = altered(change)
    certificate = certify_engine(broken, tiny_engine_path, footage, **HOW, pictures=tmp_path / "pictures")
    assert certificate.verdict == "failed"
    with pytest.raises(NotCertified, match=r"altered\.onnx: not certified: .*allowed|wanted"):
        require_passed(certificate)
    assert certificate_of(broken)["faults"] == list(certificate.faults)
    worst = certificate.worst[0]
    assert worst.missed + worst.extra + worst.changed > 0
    assert cv2.imread(worst.picture).shape == (96, 2 * 160 + 4, 3)
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    config = load_config(None, {"sources": ["synthetic"], "engine": {"path": str(broken)}})
    with pytest.raises(EngineError, match="failed its certificate"):
        build(config)


@pytest.mark.slow
def test_a_run_may_be_told_to_use_a_failed_engine(tiny_engine_path, altered, footage, caplog):
    broken = altered(lambda w: w[:, ::-1])
    certify_engine(broken, tiny_engine_path, footage, **HOW)
    engine = {"path": str(broken), "allow_failed_certificate": True, "runtime": "onnxruntime"}
    (said,) = said_by_a_run(engine, caplog)
    assert "failed its certificate in onnxruntime FP32" in said
    assert "running it all the same" in said


def said_by_a_run(engine, caplog):
    with caplog.at_level(logging.WARNING):
        build(load_config(None, {"sources": ["synthetic"], "engine": engine, "max_frames": 2})).run()
    return [record.message for record in caplog.records]


@pytest.mark.slow
def test_nothing_is_said_of_engines_as_exported(tiny_engine_path, caplog):
    for engine in ({"path": "compact"}, {"path": str(tiny_engine_path), "precision": "fp32"}):
        assert said_by_a_run(engine, caplog) == []


def test_a_run_is_told_that_half_precision_was_never_compared(copy_of, caplog):
    """The choice is the runtime's (`auto`), so only the opened engine can tell."""
    opened = load_engine(copy_of)
    with opened:
        ran = opened.runtime
    said = said_by_a_run({"path": str(copy_of)}, caplog)
    if ran.endswith("FP32"):  # a CPU without BF16
        assert said == []
        return
    (line,) = said
    assert f"{copy_of}: no certificate for this file in openvino BF16" in line
    assert "--precision fp32" in line


@pytest.mark.slow
def test_a_certificate_in_one_runtime_does_not_vouch_for_another(tiny_engine_path, copy_of, footage, caplog):
    how = HOW | {"runtime": "openvino", "precision": "fp32"}
    assert certify_engine(copy_of, tiny_engine_path, footage, **how).passed
    engine = {"path": str(copy_of), "runtime": "openvino", "precision": "fp32"}
    assert said_by_a_run(engine, caplog) == []
    if load_bf16():
        (line,) = said_by_a_run(engine | {"precision": "bf16"}, caplog)
        assert "certified in openvino FP32, but runs in openvino BF16" in line


def load_bf16():
    from streamseg.engines.openvino_engine import CORE

    return "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_an_interrupted_comparison_leaves_nothing(tiny_engine_path, altered, footage, tmp_path):
    broken = altered(lambda w: w[:, ::-1])

    def interrupted(done, of):
        if done == 5:
            raise KeyboardInterrupt

    written = {"pictures": tmp_path / "pictures", "json": tmp_path / "c.json"}
    with pytest.raises(KeyboardInterrupt):
        certify_engine(broken, tiny_engine_path, footage, **HOW, **written, on_frame=interrupted)
    assert not sidecar_path(broken).exists()
    assert not written["json"].exists()
    assert list(written["pictures"].glob("*")) == []


@pytest.mark.slow
def test_footage_without_objects_is_not_enough_and_leaves_what_was_kept(tiny_engine_path, copy_of, footage):
    how = HOW | {"runtime": "openvino", "precision": "fp32"}
    certify_engine(copy_of, tiny_engine_path, footage, **how)
    before = sidecar_path(copy_of).read_text()
    poor = certify_engine(copy_of, tiny_engine_path, footage, **(how | {"score": 1.0, "frames": 3}))
    assert poor.verdict == "not enough"
    with pytest.raises(NotCertified, match="the reference finds 0 instances in 3 frames"):
        require_passed(poor)
    assert sidecar_path(copy_of).read_text() == before


@pytest.mark.slow
def test_a_folder_of_images(tiny_engine_path, copy_of, tmp_path):
    folder = write_images(tmp_path / "images", 12)
    how = HOW | {"thresholds": Thresholds(min_instances=1)}
    first = certify_engine(copy_of, tiny_engine_path, str(folder), **how)
    assert first.passed
    assert first.footage.frames == 12
    assert certify_engine(copy_of, tiny_engine_path, str(folder), **how).footage == first.footage
    (folder / "2.png").write_bytes(b"not an image")
    with pytest.raises(SourceError, match=r"2\.png: not an image that can be decoded"):
        certify_engine(copy_of, tiny_engine_path, str(folder), **how)


def test_a_folder_without_images(tiny_engine_path, copy_of, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no images in this folder"):
        certify_engine(copy_of, tiny_engine_path, str(tmp_path / "empty"), **HOW)


def write_images(folder: Path, count: int) -> Path:
    from streamseg.scene import SyntheticScene

    folder.mkdir()
    scene = SyntheticScene(3, (96, 160), 4)
    for k in range(count):
        cv2.imwrite(str(folder / f"{k}.png"), scene.frame(10 * k)[0])
    return folder


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["disc", "square", "moon"], "lacks 'star' and has 'moon' in addition"),
        (["disc", "square", "star", "moon"], "has 'moon' in addition"),
        (["square", "disc", "star"], "has its classes in another order (0 is 'square', not 'disc')"),
    ],
)
def test_other_classes_are_refused(tiny_engine_path, altered, footage, classes, said):
    with pytest.raises(EngineError) as refusal:
        certify_engine(altered(classes=json.dumps(classes)), tiny_engine_path, footage, **HOW)
    assert said in str(refusal.value)
    assert "altered.onnx" in str(refusal.value)


def test_an_engine_that_lists_too_little_is_refused(tiny_engine_path, copy_of, footage):
    with pytest.raises(ConfigError, match=r"lists nothing below 0\.5.*ask for 0\.5 plus the margin"):
        certify_engine(copy_of, tiny_engine_path, footage, **(HOW | {"score": 0.5}))


def test_no_frames_are_no_comparison(tiny_engine_path, copy_of, footage):
    with pytest.raises(ConfigError, match="frames: 0, at least 1 is needed"):
        certify_engine(copy_of, tiny_engine_path, footage, **(HOW | {"frames": 0}))


def test_what_cannot_be_written_is_said_before_anything_runs(tiny_engine_path, copy_of, footage, tmp_path):
    ran = []
    (tmp_path / "file").touch()
    for more in ({"json": tmp_path / "nowhere" / "c.json"}, {"pictures": tmp_path / "file"}):
        with pytest.raises(SinkError):
            certify_engine(
                copy_of, tiny_engine_path, footage, **HOW, **more, on_frame=lambda *k: ran.append(k)
            )
    assert ran == []
