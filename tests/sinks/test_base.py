import pytest

from streamseg.errors import SinkError
from streamseg.sinks.base import close_all
from streamseg.sinks.jsonl_sink import JsonlSink
from streamseg.sinks.list_sink import ListSink
from streamseg.sinks.null_sink import NullSink
from streamseg.sinks.video_sink import VideoSink


class Stuck(NullSink):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def close(self):
        raise SinkError(self.name)


def test_every_sink_is_closed_even_if_some_fail():
    good = ListSink()
    with pytest.raises(SinkError, match="first") as caught:
        close_all([Stuck("first"), Stuck("second"), good])
    assert good.closed == 1
    assert caught.value.__notes__ == ["also while closing: second"]


def test_several_sinks_take_the_same_result(tmp_path, make_result, two_instances):
    kept = ListSink()
    sinks = [
        VideoSink(tmp_path / "a.mp4"),
        VideoSink(tmp_path / "a.mkv"),
        JsonlSink(tmp_path / "a.jsonl"),
        kept,
    ]
    for i in range(3):
        result = make_result(i, instances=two_instances)
        for sink in sinks:
            sink.write(result)
    close_all(sinks)
    assert [result.frame.index for result in kept.results] == [0, 1, 2]
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 3
    assert (tmp_path / "a.mp4").stat().st_size > 1000
    assert (tmp_path / "a.mkv").stat().st_size > 1000


def test_the_list_fails_when_told_to(make_result):
    sink = ListSink(fail_at=1)
    sink.write(make_result())
    with pytest.raises(SinkError, match="told to fail at 1"):
        sink.write(make_result())
