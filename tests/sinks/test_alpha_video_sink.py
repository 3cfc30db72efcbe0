"""Videos with alpha, read back by PyAV."""

from dataclasses import replace

import av
import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.sinks.alpha_video_sink import AlphaVideoSink


def cut_out(make_result, index):
    """Red on nothing: a square that moves."""
    canvas = np.zeros((64, 96, 4), np.uint8)
    canvas[..., 2] = 200
    canvas[16:48, 16 + 4 * index : 48 + 4 * index, 3] = 255
    return replace(make_result(index, hw=(64, 96)), canvas=canvas)


@pytest.mark.parametrize("ending", [".mov", ".webm"])
def test_alpha_and_times_come_back(make_result, tmp_path, ending):
    path = tmp_path / f"out{ending}"
    sink = AlphaVideoSink(path)
    for index in range(5):
        sink.write(cut_out(make_result, index))
    sink.close()
    options = {} if ending == ".mov" else {"vcodec": "libvpx-vp9"}
    alphas, times = decoded(path, options)
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=2e-3)
    for index, alpha in enumerate(alphas):
        assert alpha[24:40, 24 + 4 * index : 40 + 4 * index].min() > 230
        assert alpha[:8].max() < 25


def decoded(path, options):
    alphas, times = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if not options:
            frames = container.decode(stream)
        else:  # FFmpeg's own VP9 decoder does not know alpha
            codec = av.CodecContext.create(options["vcodec"], "r")
            codec.extradata = stream.codec_context.extradata
            frames = [
                f for packet in container.demux(stream) for f in codec.decode(packet if packet.size else None)
            ]
        for frame in frames:
            times.append(float(frame.pts * frame.time_base) if frame.time_base else frame.pts / 1000)
            alphas.append(frame.to_ndarray(format="bgra")[..., 3])
    return alphas, times


def test_a_picture_without_alpha_is_refused(make_result, tmp_path):
    sink = AlphaVideoSink(tmp_path / "out.mov")
    with pytest.raises(SinkError, match="without alpha"):
        sink.write(make_result(0))
    sink.close()


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=".mov or .webm"):
        AlphaVideoSink(tmp_path / "out.mp4")
