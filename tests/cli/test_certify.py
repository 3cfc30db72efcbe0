"""`streamseg certify` as a process: what it prints, its exit code, its files."""

import json

import pytest

pytestmark = pytest.mark.slow

FOOTAGE = "synthetic?frames=40&size=320x192&objects=6"


def test_the_bundled_engine_in_bf16_or_as_fast_as_it_goes_here(streamseg, tmp_path):
    done = streamseg(
        *("certify", "shapes", "--against", "shapes", "--against-runtime", "onnxruntime", "--on", FOOTAGE),
        *("--frames", "24", "--json", "certificate.json"),
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("PASSED")
    assert "mask IoU       p1" in done.stdout
    assert "box IoU        p1" in done.stdout
    written = json.loads((tmp_path / "certificate.json").read_text())
    assert written["verdict"] == "passed"
    assert written["figures"]["frames"] == 24
    assert written["figures"]["matched"] >= 50
    assert f" {written['speed']['candidate_ms']:.1f} ms a frame" in done.stdout


def test_too_little_to_compare_is_no_pass(fails):
    said = fails(
        *("certify", "shapes", "--against", "shapes", "--on", FOOTAGE, "--frames", "2", "--score", "1"),
        code=1,
        timeout=500,
    )
    assert "not certified: the reference finds 0 instances in 2 frames, at least 20 are needed" in said
