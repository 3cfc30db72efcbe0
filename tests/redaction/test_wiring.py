"""A run with --redact, whole: every sink's bytes decoded, and key-coloured pixels counted in them."""

import importlib
import json
import subprocess
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import requests

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.errors import ConfigError, EngineError
from streamseg.jobs.audit import verify_audit
from streamseg.redaction import Redacted
from streamseg.redaction.audit_sink import AuditSink
from streamseg.sinks.list_sink import ListSink
from streamseg.streaming.config import load_config
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.live import LivePage
from streamseg.streaming.outputs import open_shared, open_sinks

FRAMES = 50
INFO = EngineInfo("fake", "keys", ("dog", "person"), "stretch", (120, 160), 20, 0.05)


@pytest.fixture(scope="module")
def scene():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        yield importlib.import_module("redaction_scene")


@pytest.fixture(scope="module")
def clip(scene, tmp_path_factory):
    """The key-coloured scene as lossless video, with sound and with a name in its metadata."""
    path = tmp_path_factory.mktemp("clip") / "keys.mkv"
    made = scene.KeyScene(5, objects=4)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Jane Doe"
        container.metadata["location"] = "+48.2-011.5/"
        video = container.add_stream("ffv1", 25)
        video.height, video.width, video.pix_fmt = 120, 160, "bgr0"
        sound = container.add_stream("pcm_s16le", 8000)
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(made.frame(index)[0], "bgr24")
            container.mux(video.encode(frame))
            tone = av.AudioFrame.from_ndarray(np.full((1, 320), 900, np.int16), "s16", "mono")
            tone.sample_rate, tone.pts = 8000, 320 * index
            container.mux(sound.encode(tone))
        container.mux(video.encode(None))
    return path


class KeyEngine:
    """Finds what is key-coloured, misses a fifth of it, and breaks at frame `dies_at` or says NaN."""

    def __init__(self, miss=0.2, dies_at=None, nan_at=()):
        self.random = np.random.default_rng(3)
        self.miss, self.dies_at, self.nan_at = miss, dies_at, nan_at
        self.calls = 0

    def __call__(self, batch):
        made = [self.one(image) for image in batch]
        return EngineOutputs(*(np.stack(column) for column in zip(*made, strict=True)))

    def one(self, image):
        self.calls += 1
        if self.calls == self.dies_at:
            raise EngineError("keys: the device is lost")
        boxes, scores = np.zeros((20, 4), np.float32), np.zeros(20, np.float32)
        masks = np.zeros((20, 60, 80), np.uint8)
        blue, green, red = cv2.split(image.astype(np.int16))
        keys = ((np.minimum(blue, red) - green) > 60).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(keys)
        rows = [k for k in range(1, min(count, 20)) if self.random.random() >= self.miss]
        for row, k in enumerate(rows):
            x, y, w, h, _ = stats[k]
            boxes[row] = x / 160, y / 120, (x + w) / 160, (y + h) / 120
            scores[row] = 0.9 - 0.03 * row
            mask = (labels == k).astype(np.uint8) * 255
            masks[row] = cv2.resize(mask, (80, 60), interpolation=cv2.INTER_AREA)
        if self.calls in self.nan_at:
            scores[: len(rows)] = np.nan
        return boxes, scores, np.ones(20, np.int32), masks, np.int32(len(rows))


def job_of(options, make, sinks=(), page=None, latency_s=0.0):
    config = load_config(None, {"redact": {"classes": ["person"]}, "overlay": {"status": False}, **options})
    shared = [*open_shared(config.output, 1, has_alpha=config.overlay.has_alpha), *sinks]
    opened = open_sinks(config.output, config.sources, shared=shared, has_alpha=config.overlay.has_alpha)
    if config.output.audit:
        for of_source in opened.values():
            of_source.append(AuditSink(config.output.audit, {}))
    return Job(
        config, opened, INFO, lambda: FakeEngine(INFO, make, latency_s=latency_s), page=page and page.part
    )


def pictures_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def jpegs_of(data):
    """The pictures of a motion JPEG."""
    parts = data.split(b"\xff\xd8\xff")[1:]
    whole = [b"\xff\xd8\xff" + part for part in parts if b"\xff\xd9" in part]
    return [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in whole]


class Watching:
    """A viewer of the page: the motion JPEG, clean and painted, and pictures now and then."""

    def __init__(self, address):
        self.address = address
        self.data = {"0": b"", "1": b""}
        self.pictures = []
        self.threads = [threading.Thread(target=self.read, args=(kind,)) for kind in self.data]

    def read(self, kind):
        painted = {"painted": kind}
        url = f"{self.address}api/sources/keys/stream.mjpg"
        with requests.get(url, params=painted, stream=True, timeout=30) as answer:
            try:
                for part in answer.iter_content(4096):
                    self.data[kind] += part
            except requests.RequestException:
                return  # the run has ended

    def look(self):
        for painted in ("0", "1"):
            url = f"{self.address}api/sources/keys/picture.jpg"
            answer = requests.get(url, params={"painted": painted}, timeout=30)
            if answer.status_code == 200:
                self.pictures += jpegs_of(answer.content)


@pytest.mark.slow
def test_no_key_colour_in_anything_that_leaves_a_run(scene, clip, tmp_path):
    video, images, data = tmp_path / "out.mp4", tmp_path / "images", tmp_path / "out.jsonl"
    audit = tmp_path / "run.audit"
    hls = tmp_path / "live.m3u8"
    output = {"video": [str(video), str(hls)], "images": str(images), "jsonl": str(data), "audit": str(audit)}
    asked = {"redact": {"classes": ["person"]}}
    options = {**asked, "sources": [str(clip)], "output": output, "serve": {"address": "127.0.0.1:0"}}
    page = LivePage(load_config(None, options).serve)
    kept = ListSink(needs_canvas=True)
    job = job_of(options, KeyEngine(), [kept], page, latency_s=0.03)
    page.serve(job, ConfigFile(None, options))
    watching = Watching(page.address)
    seen = []
    for result in job.results():
        if not seen:
            for thread in watching.threads:
                thread.start()
        seen.append(result)
        if len(seen) % 10 == 5:
            watching.look()
    for thread in watching.threads:
        thread.join(30)

    assert all(isinstance(result, Redacted) for result in (*seen, *kept.results))
    shown = {
        "source": pictures_of(clip),
        "loop": [result.frame.image for result in seen],
        "canvas": [result.canvas for result in kept.results],
        "mp4": pictures_of(video),
        "hls": pictures_of(hls),
        "images": [cv2.imread(str(path)) for path in sorted(images.iterdir())],
        "picture.jpg": watching.pictures,
        "clean stream": jpegs_of(watching.data["0"]),
        "painted stream": jpegs_of(watching.data["1"]),
    }
    counts = {name: sum(map(scene.key_pixels, pictures)) for name, pictures in shown.items()}
    assert counts.pop("source") > 20_000
    assert counts == dict.fromkeys(counts, 0)
    assert [len(shown[name]) for name in ("loop", "canvas", "mp4", "images")] == [FRAMES] * 4
    assert len(shown["hls"]) > 20
    assert len(shown["picture.jpg"]) >= 6
    assert min(len(shown["clean stream"]), len(shown["painted stream"])) >= 5
    filled = [result.redaction.filled for result in seen]
    assert filled.count(None) > 20

    lines = [json.loads(line) for line in data.read_text().splitlines()]
    assert all(line["instances"] == [] for line in lines)
    assert sum(line["redaction"]["covered"].get("person", 0) for line in lines) > FRAMES
    assert f"about {FRAMES} frames" in verify_audit(str(audit))
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(video)],
        capture_output=True,
        check=True,
    )
    assert [stream["codec_type"] for stream in json.loads(probed.stdout)["streams"]] == ["video"]
    assert b"Jane" not in probed.stdout
    assert b"48.2" not in probed.stdout


@pytest.mark.parametrize("effect", ["blur", "remove", "cutout", "replace=#00b140", "heat"])
def test_effects_are_made_of_redacted_pixels(scene, clip, effect, tmp_path):
    kept = ListSink(needs_canvas=True)
    job = job_of(
        {"sources": [str(clip)], "overlay": {"effects": [effect]}, "max_frames": 30}, KeyEngine(), [kept]
    )
    assert job.run() == 0
    assert sum(scene.key_pixels(result.canvas) for result in kept.results) == 0
    assert len(kept.results) == 30


def test_an_engine_that_dies_leaves_nothing_in_the_clear(scene, clip, tmp_path):
    video = tmp_path / "out.mp4"
    kept = ListSink()
    options = {"sources": [str(clip)], "output": {"video": str(video)}}
    with pytest.raises(EngineError, match="device is lost"):
        job_of(options, KeyEngine(dies_at=40), [kept]).run()
    assert 0 < len(kept.results) < 40
    assert sum(scene.key_pixels(result.frame.image) for result in kept.results) == 0
    assert sum(map(scene.key_pixels, pictures_of(video))) == 0


def test_nonsense_of_the_engine_fills_the_frame(scene, clip):
    kept = ListSink()
    job = job_of({"sources": [str(clip)]}, KeyEngine(0.0, nan_at=(20,)), [kept])
    assert job.run() == 0
    assert sum(scene.key_pixels(result.frame.image) for result in kept.results) == 0
    filled = [result.redaction.filled for result in kept.results]
    assert filled[18:23] == [None, *["engine gave nonsense"] * 3, None]


def test_only_redacted_classes_are_hidden_from_an_engine_asked_for_others(scene, clip):
    """`--classes dog --redact person`: persons are found all the same, and only to be covered."""
    kept = ListSink()
    job = job_of({"sources": [str(clip)], "classes": ["dog"]}, KeyEngine(), [kept])
    assert job.run() == 0
    assert sum(scene.key_pixels(result.frame.image) for result in kept.results) == 0
    assert all(not len(result.instances) for result in kept.results)


def test_without_redaction_nothing_is_added(clip):
    kept = ListSink()
    job = job_of({"sources": [str(clip)], "redact": None}, KeyEngine(), [kept])
    assert job.run() == 0
    assert not any("redact" in part for part in job.pipeline.snapshot()["parts"])
    assert type(kept.results[0]).__name__ == "Result"
    assert kept.results[0].redaction is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"redact": {"classes": ["parson"]}}, r"redact.classes: the engine has no class 'parson'"),
        ({"redact": {"classes": []}}, "redact.classes"),
        ({"redact": {"classes": ["person"], "reveal": [0]}}, "redact.reveal"),
        ({"redact": {"reveal": [7]}}, "redact.classes"),
        ({"redact": {"classes": ["person"], "reveal": [7]}, "sources": ["a.mp4", "b.mp4"]}, "name one"),
        ({"redact": {"classes": ["person"], "reveal": [7]}, "track": {"enabled": False}}, "needs tracks"),
        ({"redact": {"classes": ["person"], "delay_s": 60}}, "redact.delay_s"),
        ({"redact": {"classes": ["person"]}, "max_age_s": 2}, "max_age_s: redaction holds frames back"),
        ({"recording": {"segments": "kept"}}, "recording: keeps the camera's own pictures, uncovered"),
        ({"recording": {"clips": "kept"}}, "recording: keeps the camera's own pictures, uncovered"),
        ({"overlay": {"effects": ["blur:person"]}}, "blur:person: person is redacted"),
        ({"redact": None, "output": {"audit": "a.audit"}}, "output.audit needs redact.classes"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        job_of({"sources": ["a.mp4"], **options}, KeyEngine())
    assert "\n" not in str(caught.value)


def test_an_id_to_reveal_that_no_object_had_is_told(clip, caplog):
    job = job_of({"sources": [str(clip)], "redact": {"classes": ["person"], "reveal": [999]}}, KeyEngine())
    assert job.run() == 0
    assert "redact.reveal 999: no object of keys had that id" in caplog.text
