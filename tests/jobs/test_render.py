"""`streamseg render`: the pictures of a run again, from its record and the clip."""

import av
import numpy as np
import pytest

from streamseg.errors import ConfigError, SourceError
from streamseg.jobs.render import render
from streamseg.records.header import RunHeader
from streamseg.sinks.record_sink import RecordSink


def pictures_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_pictures_equal_those_of_the_run(recorded_run, tmp_path):
    """Masks, outlines, labels, zones and lines with their counts: every pixel."""
    out = tmp_path / "again.mp4"
    done = render(recorded_run.record, str(recorded_run.clip), out, rules=recorded_run.rules)
    live, again = pictures_of(recorded_run.video), pictures_of(out)
    assert done.frames == len(live) == len(again) == 45
    assert done.media_seconds == pytest.approx(44 / 30)
    clip = pictures_of(recorded_run.clip)
    assert np.mean([np.mean(np.abs(a.astype(int) - b)) for a, b in zip(live, clip, strict=True)]) > 3
    for k, (one, other) in enumerate(zip(live, again, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"frame {k}")


def test_masks_equal_those_of_the_run(recorded_run):
    from streamseg.records.store import RunRecord
    from streamseg.streaming.replay import recorded_results

    with RunRecord(recorded_run.record) as recording:
        again = list(recorded_results(recording, recording.takes[0]))
    assert len(again) == 45
    assert sum(len(result.instances) for result in again) > 100
    for live, back in zip(recorded_run.results, again, strict=True):
        np.testing.assert_array_equal(live.tracks.id, back.tracks.id)
        np.testing.assert_array_equal(live.instances.xyxy, back.instances.xyxy)
        for one, other in zip(live.instances.pixels.regions, back.instances.pixels.regions, strict=True):
            assert one.origin_xy == other.origin_xy
            np.testing.assert_array_equal(one.bits, other.bits)


@pytest.mark.slow
def test_any_effect_can_be_had_later(recorded_run, tmp_path):
    out = tmp_path / "cut.mov"
    done = render(recorded_run.record, str(recorded_run.clip), out, effects=["cutout:shape"])
    assert done.frames == 45
    with av.open(str(out)) as container:
        alpha = next(container.decode(video=0)).to_ndarray(format="rgba")[..., 3]
    region = recorded_run.results[0].instances.pixels.areas
    assert abs(np.count_nonzero(alpha > 127) - sum(region)) < 0.2 * sum(region)


def test_another_clip_is_refused(recorded_run, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(recorded_run.clip.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=r"other\.mp4: is not what .*run\.rec was made of.*clip\.mp4"):
        render(recorded_run.record, str(other), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(recorded_run.clip.read_bytes())
    assert render(recorded_run.record, str(moved), tmp_path / "out.mp4").frames == 45


def test_what_cannot_be_drawn(recorded_run, tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        render(recorded_run.record, str(tmp_path / "none.mp4"), tmp_path / "out.mp4")
    with pytest.raises(ConfigError, match="would be overwritten"):
        render(recorded_run.record, str(recorded_run.clip), recorded_run.clip)
    with pytest.raises(ConfigError, match="no such effect"):
        render(recorded_run.record, str(recorded_run.clip), tmp_path / "out.mp4", effects=["blurr"])


@pytest.mark.parametrize(
    ("header", "spec", "expected"),
    [
        ({"redacted": ("shape",)}, "{clip}", "redaction of shape, and the clip would show them"),
        ({}, "rtsp://camera/1", "there is no clip to draw on"),
    ],
)
def test_what_must_not_be_drawn(recorded_run, tmp_path, header, spec, expected):
    path = tmp_path / "other.rec"
    sink = RecordSink(path)
    names = recorded_run.results[0].class_names
    sink.describe(RunHeader(names, **header), lambda _: spec.format(clip=recorded_run.clip))
    sink.write(recorded_run.results[0])
    sink.close()
    with pytest.raises(ConfigError, match=expected):
        render(path, str(recorded_run.clip), tmp_path / "out.mp4")
