"""The synthetic scene as a source."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from streamseg.capture.source import SourceOptions
from streamseg.capture.synthetic_source import SceneSpec, SyntheticSource, parse_synthetic
from streamseg.errors import SourceError


def test_what_is_left_out_is_a_default() -> None:
    assert parse_synthetic("synthetic") == SceneSpec(0, (720, 1280), None, 30.0, None)
    assert parse_synthetic("synthetic:7") == SceneSpec(seed=7)


def test_everything_can_be_said() -> None:
    spec = parse_synthetic("synthetic:3?frames=20&size=640x360&objects=4&fps=10")
    assert spec == SceneSpec(3, (360, 640), 4, 10.0, 20)


def test_options_fill_the_gaps() -> None:
    options = SourceOptions(size_hw=(100, 200), fps=5)
    assert parse_synthetic("synthetic?fps=7", options) == SceneSpec(0, (100, 200), None, 7, None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("synthetic:x", "not of the form"),
        ("synthetic:-1", "not of the form"),
        ("synthetic?color=red", "unknown setting 'color'; the form is"),
        ("synthetic?size=10", "size=10: expected WIDTHxHEIGHT"),
        ("synthetic?size=10x10", "size=10x10: expected WIDTHxHEIGHT"),
        ("synthetic?frames=many", "frames=many: expected a whole number"),
        ("synthetic?objects=0", "objects=0: expected a whole number, 1…250"),
        ("synthetic?fps=", "fps=: expected a whole number"),
    ],
)
def test_nonsense_is_named(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_synthetic(spec)


def test_frames_truth_and_end() -> None:
    spec = SceneSpec(seed=5, size_hw=(120, 160), fps=10, frames=4)
    with SyntheticSource(spec, "s") as source:
        frames = list(source)
        truth = source.truth(2)
        assert (source.size_hw, source.fps, source.frame_count, source.live) == ((120, 160), 10, 4, False)
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    image, expected = spec.scene().render(0.2)
    np.testing.assert_array_equal(frames[2].image, image)
    np.testing.assert_array_equal(truth.labels, expected.labels)


def test_endless_until_interrupted() -> None:
    with SyntheticSource(SceneSpec(size_hw=(64, 64)), "s") as source:
        frames = iter(source)
        assert len(list(itertools.islice(frames, 40))) == 40
        source.interrupt()
        assert list(frames) == []
