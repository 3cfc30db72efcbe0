"""The main job, connected: real clips and outputs, with an engine that knows the synthetic scene."""

import json
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from streamseg.addresses import source_ids
from streamseg.capture.synthetic_source import SyntheticSource
from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.errors import ConfigError, CorruptSource, EngineError, SinkError, SourceError
from streamseg.jobs.run import build
from streamseg.jobs.stream import stream
from streamseg.scene import SyntheticScene
from streamseg.sinks.base import close_all
from streamseg.sinks.list_sink import ListSink
from streamseg.streaming import depths
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import open_sinks
from streamseg.streaming.report import status_line, summary

SIZE_HW = (144, 192)
INFO = EngineInfo("fake", "scene", ("shape", "thing"), "stretch", (72, 96), 20, 0.05)


def outputs_of(batch):
    """One square in the middle of every frame, half its width and height."""
    count = len(batch)
    masks = np.zeros((count, 20, 18, 24), np.uint8)
    masks[:, 0, 5:14, 6:18] = 255
    boxes = np.zeros((count, 20, 4), np.float32)
    boxes[:, 0] = 0.25, 0.25, 0.75, 0.75
    scores = np.zeros((count, 20), np.float32)
    scores[:, 0] = 0.9
    return EngineOutputs(boxes, scores, np.zeros((count, 20), np.int32), masks, np.ones(count, np.int32))


def job_of(options, extra=(), make=outputs_of):
    config = load_config(None, options)
    sinks = open_sinks(config.output, config.sources, has_alpha=config.overlay.has_alpha)
    for source_sinks in sinks.values():
        source_sinks.extend(extra)
    return Job(config, sinks, INFO, lambda: FakeEngine(INFO, make))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """25 frames of the scene with uneven times, H.264 with B frames."""
    path = tmp_path_factory.mktemp("clip") / "scene.mp4"
    scene = SyntheticScene(3, SIZE_HW, 4)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", 30)
        video.height, video.width, video.pix_fmt = *SIZE_HW, "yuv420p"
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(scene.frame(index)[0], "bgr24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def times_of(path):
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [frame.time for frame in container.decode(video)]


def test_every_frame_of_a_file_comes_out_with_its_own_time(clip, tmp_path):
    video, data = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    job = job_of({"sources": [str(clip)], "output": {"video": str(video), "jsonl": str(data)}})
    assert job.run() == 0
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(25))
    assert times_of(video) == pytest.approx(times_of(clip), abs=1e-4)
    assert [line["pts"] for line in lines] == pytest.approx(times_of(clip), abs=1e-6)
    numbers = summary(job)["sources"]["scene"]
    assert (numbers["captured"], numbers["delivered"]) == (25, 25)
    assert numbers["dropped"] == {"overrun": 0, "too_old": 0, "unfinished": 0}


def test_the_data_file_says_what_and_where(clip, tmp_path):
    data = tmp_path / "out.jsonl"
    job_of({"sources": [str(clip)], "output": {"jsonl": str(data)}}).run()
    last = json.loads(data.read_text().splitlines()[-1])
    (instance,) = last["instances"]
    assert (instance["class"], instance["id"]) == ("shape", 1)
    assert instance["score"] == pytest.approx(0.9, abs=1e-3)
    assert instance["box"] == pytest.approx([48, 36, 144, 108])
    mask = coco_mask.decode(instance["mask"])
    assert mask.shape == SIZE_HW
    assert mask.sum() == pytest.approx(96 * 72, rel=0.05)
    assert mask[72, 96] == 1


def test_the_overlay_is_drawn_for_video_and_only_then(clip, tmp_path):
    kept = ListSink(needs_canvas=True)
    job_of({"sources": [str(clip)], "max_frames": 3}, [kept]).run()
    result = kept.results[-1]
    assert len(kept.results) == 3
    assert np.abs(result.canvas[72, 96].astype(int) - result.frame.image[72, 96]).max() > 10
    bare = ListSink()
    job_of({"sources": [str(clip)], "max_frames": 3}, [bare]).run()
    assert all(r.canvas is None for r in bare.results)


def test_classes_and_score_choose_what_is_shown(clip):
    for options, count in (({}, 1), ({"classes": ["thing"]}, 0), ({"score": 0.95}, 0)):
        kept = ListSink()
        job_of({"sources": [str(clip)], "max_frames": 2, **options}, [kept]).run()
        assert [len(r.instances) for r in kept.results] == [count] * 2, options


def test_several_sources_keep_their_outputs_and_ids_apart(clip, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    output = {"video": str(tmp_path / "o.mp4"), "jsonl": str(tmp_path / "o.jsonl")}
    job = job_of({"sources": [str(clip), str(other)], "output": output})
    job.run()
    lines = [json.loads(line) for line in Path(output["jsonl"]).read_text().splitlines()]
    for name in ("scene", "other"):
        mine = [line for line in lines if line["source"] == name]
        assert [line["index"] for line in mine] == list(range(25))
        assert mine[-1]["instances"][0]["id"] == 1
        assert len(times_of(tmp_path / f"o-{name}.mp4")) == 25


def test_a_live_source_shows_its_newest_frame_and_counts_the_rest(monkeypatch):
    """A source four times as fast as the engine: each batch ends when four more frames have come."""
    four_more, ended = threading.Semaphore(0), threading.Semaphore(0)

    def make(batch):
        assert four_more.acquire(timeout=60)
        ended.release()
        return outputs_of(batch)

    def at_its_pace(self, original=SyntheticSource.__iter__):
        for count, frame in enumerate(original(self), start=1):
            yield frame
            if count % 4 == 0:
                four_more.release()
                assert ended.acquire(timeout=60)
        four_more.release(4)

    monkeypatch.setattr(SyntheticSource, "__iter__", at_its_pace)
    kept = ListSink()
    job = job_of({"sources": ["synthetic?frames=120&size=96x64"], "drop": "oldest"}, [kept], make=make)
    job.run()
    numbers = summary(job)["sources"]["synthetic"]
    assert numbers["captured"] == 120
    assert numbers["dropped"]["overrun"] > 30
    assert numbers["captured"] == numbers["delivered"] + sum(numbers["dropped"].values())
    indices = [r.frame.index for r in kept.results]
    assert indices == sorted(set(indices))
    assert indices[-1] == 119


def test_a_truncated_file_gives_what_it_has_and_says_so(clip, tmp_path):
    whole = tmp_path / "whole.mkv"
    with av.open(str(clip)) as source, av.open(str(whole), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                target.mux(packet)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    output = tmp_path / "out.mp4"
    with pytest.raises(CorruptSource, match=r"cut\.mkv: .*frames decoded"):
        job_of({"sources": [str(cut)], "output": {"video": str(output)}}).run()
    assert 1 <= len(times_of(output)) < 25


def test_a_failing_engine_leaves_the_files_playable(clip, tmp_path):
    calls = iter(range(100))

    def failing(batch):
        if next(calls) == 10:
            raise EngineError("device lost")
        return outputs_of(batch)

    output = tmp_path / "out.mp4"
    with pytest.raises(EngineError, match="device lost"):
        job_of({"sources": [str(clip)], "output": {"video": str(output)}}, make=failing).run()
    assert len(times_of(output)) >= 1


def test_a_failing_sink_stops_the_run_and_the_others_are_finished(clip, tmp_path):
    output = tmp_path / "out.mp4"
    with pytest.raises(SinkError):
        job_of({"sources": [str(clip)], "output": {"video": str(output)}}, [ListSink(fail_at=5)]).run()
    ahead = depths.FILE + 1  # what waits for the sink that fails, and the one result that waits for room
    assert 1 <= len(times_of(output)) <= 6 + ahead


def test_mistakes_are_found_before_anything_is_read(clip, tmp_path, tiny_engine_path):
    def built(**options):
        return build(load_config(None, {"engine": {"path": str(tiny_engine_path)}, **options}))

    with pytest.raises(ConfigError, match="no source"):
        built()
    with pytest.raises(
        ConfigError, match=r"no class 'sqare' \(did you mean 'square'\?\); it has disc, square, star"
    ):
        built(sources=[str(clip)], classes=["sqare"])
    with pytest.raises(ConfigError, match="is also the input"):
        built(sources=[str(clip)], output={"video": str(clip)})
    with pytest.raises(SinkError, match="does not exist"):
        built(sources=[str(clip)], output={"video": str(tmp_path / "no" / "out.mp4")})
    with pytest.raises(EngineError, match="no such engine"):
        built(sources=[str(clip)], engine={"path": "nothing.onnx"})
    with pytest.raises(SourceError, match=r"missing\.mp4: no such file"):
        built(sources=["missing.mp4"]).run()


def test_a_mistyped_output_does_not_wait_for_a_download(clip, tmp_path):
    class NothingSaid:
        def say(self, text):
            raise AssertionError(text)

    options = {
        "sources": [str(clip)],
        "engine": {"path": "yolact_r50", "cache": str(tmp_path / "cache")},
        "output": {"video": str(tmp_path / "no" / "out.mp4")},
    }
    with pytest.raises(SinkError, match="does not exist"):
        build(load_config(None, options), watcher=NothingSaid())
    assert not (tmp_path / "cache").exists()


def test_the_python_loop_gives_results_and_finishes_outputs(clip, tmp_path, tiny_engine_path):
    output = tmp_path / "out.mp4"
    results = stream(clip, engine=str(tiny_engine_path), output={"video": str(output)})
    indices = []
    for result in results:
        indices.append(result.frame.index)
        if len(indices) == 5:
            break
    results.close()
    assert indices == list(range(5))
    assert len(times_of(output)) >= 5


def test_source_names_are_short_unique_and_without_secrets():
    specs = ["a/clip.mp4", "b/clip.mp4", "rtsp://me:secret@cam.local:554/live/1?x=1", "0"]
    assert source_ids(specs) == ["clip", "clip-2", "cam.local-554-live-1", "0"]


def test_one_of_several_sources_may_fail_without_the_others(clip, tmp_path):
    kept = ListSink()
    job = job_of({"sources": [str(clip), str(tmp_path / "gone.mp4")]}, [kept])
    with pytest.raises(SourceError, match=r"gone\.mp4: no such file"):
        job.run()
    assert [r.frame.index for r in kept.results] == list(range(25))
    assert status_line(job).splitlines()[1].startswith("gone: stopped: ")


def test_the_state_of_each_source_before_and_after_the_run(clip, tmp_path):
    job = job_of({"sources": [str(clip), str(tmp_path / "gone.mp4")]})
    assert [job.state_of(i).state for i in job.streams] == ["connecting", "connecting"]
    with pytest.raises(SourceError):
        job.run()
    whole, gone = (job.state_of(i) for i in job.streams)
    assert (whole.state, whole.reason, whole.detail) == ("ended", None, "")
    assert (gone.state, gone.reason) == ("ended", "not_found")
    assert gone.detail.endswith("gone.mp4: no such file")


RULES = {
    "zones": {"middle": {"polygon": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]], "enter_after": 0.1}},
    "lines": {"gate": {"points": [[0.5, 0], [0.5, 1]]}},
}


def test_rules_are_seen_drawn_and_written(clip, tmp_path):
    video, data, seen = tmp_path / "out.mp4", tmp_path / "events.jsonl", ListSink()
    output = {"video": str(video), "events": str(data)}
    job = job_of({"sources": [str(clip)], "events": RULES, "output": output}, [seen])
    assert job.run() == 0
    started, ended = (json.loads(line) for line in data.read_text().splitlines())
    assert started["type"] == "streamseg.zone.started"
    assert (started["data"]["rule"], started["data"]["track"]) == ("middle", 1)
    assert ended["data"]["detail"]["reason"] == "stream ended"
    assert ended["data"]["event"] == started["data"]["event"]
    [event] = [event for result in seen.results for event in result.events]
    assert event.id == started["data"]["event"]
    assert [mark.name for mark in seen.results[-1].marks] == ["middle", "gate"]
    assert seen.results[-1].marks[0].text == "1 inside, 1 entered"
    numbers = summary(job)["sources"]["scene"]
    assert (numbers["delivered"], numbers["events"]) == (25, 2)
    assert str(data) in summary(job)["outputs"]


def test_a_live_source_that_loses_frames_behind_the_engine_loses_no_event(clip, tmp_path):
    """A sink that takes its time loses frames; the events come all the same."""

    class Slow(ListSink):
        def write(self, result):
            threading.Event().wait(0.05)
            super().write(result)

    data = tmp_path / "events.jsonl"
    options = {"sources": [str(clip)], "drop": "oldest", "events": RULES, "output": {"events": str(data)}}
    job = job_of(options, [Slow()])
    assert job.run() == 0
    assert [json.loads(line)["data"]["phase"] for line in data.read_text().splitlines()] in (
        ["started", "ended"],
        [],  # the mailbox before the engine may lose what the zone waits for
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"output": {"events": "e.jsonl"}}, "needs rules under `events`"),
        ({"events": RULES, "track": {"enabled": False}}, "events need tracks"),
        (
            {"events": {"zones": {"z": {"polygon": [[0, 0], [1, 1]]}}}},
            "zones.z.polygon: .*three points",
        ),
        ({"events": {"lines": {"g": {"points": [[0, 0], [1, 1]], "clases": 3}}}}, "did you mean 'classes'"),
    ],
)
def test_rules_that_cannot_be(options, says):
    with pytest.raises(ConfigError, match=says):
        load_config(None, {"sources": ["synthetic"], **options})


def test_a_class_that_the_engine_does_not_have_in_a_rule():
    rules = {"lines": {"gate": {"points": [[0, 0], [1, 1]], "classes": ["shap"]}}}
    with pytest.raises(ConfigError, match="'gate': the engine has no class 'shap' .did you mean 'shape'"):
        build(load_config(None, {"sources": ["synthetic"], "engine": {"path": "shapes"}, "events": rules}))


def test_a_cut_out_is_written_with_alpha(clip, tmp_path):
    output = {"video": str(tmp_path / "out.webm"), "images": str(tmp_path / "png")}
    job = job_of(
        {"sources": [str(clip)], "overlay": {"effects": ["cutout"]}, "max_frames": 3, "output": output}
    )
    assert job.run() == 0
    image = cv2.imread(str(tmp_path / "png" / "00000001.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (*SIZE_HW, 4)
    assert (image[72, 96, 3], image[5, 5, 3]) == (255, 0)
    assert len(times_of(tmp_path / "out.webm")) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"overlay": {"effects": ["cutout"]}, "output": {"video": "o.mp4"}}, "cutout needs .mov or .webm"),
        ({"output": {"video": "o.mov"}}, "these need the effect"),
        ({"overlay": {"effects": ["cutout"]}, "output": {"show": True}}, "a window shows no alpha"),
        ({"overlay": {"effects": ["blurr"]}}, "did you mean 'blur'"),
    ],
)
def test_effects_that_cannot_be(options, says):
    with pytest.raises(ConfigError, match=says):
        load_config(None, {"sources": ["synthetic"], **options})


def test_an_annotated_video_goes_to_several_places_each_with_the_name_of_its_source(clip, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    videos = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mkv"), "rtsp://user:pw@host/live?x=1"]
    config = load_config(None, {"sources": [str(clip), str(other)], "output": {"video": videos}})
    sinks = open_sinks(config.output, config.sources)
    assert [s.path and s.path.name for s in sinks["other"]] == ["a-other.mp4", "b-other.mkv", None]
    assert sinks["other"][2].address == "rtsp://user:pw@host/live-other?x=1"
    close_all(sink for of_source in sinks.values() for sink in of_source)
    job = job_of({"sources": [str(clip)], "output": {"video": videos[:2]}})
    job.run()
    assert [len(times_of(path)) for path in videos[:2]] == [25, 25]
    assert summary(job)["outputs"] == videos[:2]


def test_an_output_that_cannot_be_leaves_no_program_of_another_behind(clip, tmp_path):
    videos = [str(tmp_path / "live.m3u8"), str(tmp_path / "out.xyz")]
    config = load_config(None, {"sources": [str(clip)], "output": {"video": videos}})
    before = children()
    with pytest.raises(ConfigError, match="no video format for the ending"):
        open_sinks(config.output, config.sources)
    assert children() == before


def children():
    """Of this process."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {number for task in tasks for number in task.read_text(encoding="ascii").split()}
