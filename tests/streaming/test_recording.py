"""Streams of a real server recorded while they are decoded, and the main stream beside the sub-stream."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import av
import pytest

from streamseg.engines.fake_engine import FakeEngine
from streamseg.errors import ConfigError, UnknownSource
from streamseg.jobs.run import build
from streamseg.sinks.list_sink import ListSink
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import open_sinks
from streamseg.streaming.recording import Recording
from streamseg.streaming.report import status_line, summary
from tests.conftest import RtspServer
from tests.streaming.test_job import INFO, outputs_of

SECONDS = 30


def running(options, extra=()):
    """A job in a thread of its own."""
    config = load_config(None, options)
    recording = Recording(config)
    sinks = open_sinks(config.output, config.sources)
    for of_source in sinks.values():
        of_source.extend(extra)
    job = Job(config, sinks, INFO, lambda: FakeEngine(INFO, outputs_of), recording=recording)
    thread = threading.Thread(target=job.run)
    thread.start()
    return job, thread


def eventually(look):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.05)
    return pytest.fail("it never came true")


def heights(folder: Path) -> list[int]:
    """Of the files that can be read, also while they are being written."""
    found = []
    for path in sorted(folder.glob("*/*.mp4")):
        try:
            with av.open(str(path)) as container:
                found.append(container.streams.video[0].codec_context.height)
        except (av.FFmpegError, IndexError):
            continue
    return found


def connections_to(port: int) -> int:
    """Of this machine, established, seen from the client's end."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    ends = [(line.split()[2].split(":")[1], line.split()[3]) for line in lines]
    return ends.count((f"{port:04X}", "01"))


@pytest.mark.slow
@pytest.mark.rtsp
def test_what_is_decoded_is_recorded_from_the_same_connection(rtsp_server, tmp_path, probe_segments):
    rtsp_server.start(320, 240)
    kept = ListSink()
    record = {"segments": str(tmp_path / "all"), "segment_s": 1, "clips": str(tmp_path / "clips")}
    record |= {"before_s": 0.5, "after_s": 0.5}
    job, thread = running({"sources": [rtsp_server.url], "recording": record}, [kept])
    (source_id,) = job.streams
    try:
        eventually(lambda: len(heights(tmp_path / "all")) >= 3)
        port = int(rtsp_server.url.split(":")[2].split("/")[0])
        assert connections_to(port) == 1
        job.clip(source_id, "mine")
        with pytest.raises(UnknownSource, match="there is no source 'gate'"):
            job.clip("gate")
        eventually(lambda: heights(tmp_path / "clips"))
    finally:
        job.pipeline.stop(5)
        thread.join(SECONDS)
    whole = probe_segments(tmp_path / "all")
    assert sum(whole) >= len(kept.results) > 30
    # What came last may have been read and not yet decoded.
    assert 0 <= sum(whole) - job.pipeline.snapshot()["items"]["captured"] <= 2
    assert all(count >= 30 for count in whole[:-1])
    (clip,) = (tmp_path / "clips").glob("*/*_mine.mp4")
    assert probe_segments(clip.parents[1])[0] >= 15
    counters = summary(job)["sources"][source_id]
    assert (counters["segments"], counters["clips"], counters["record_lost"]) == (len(whole), 1, 0)


@pytest.fixture
def probe_segments():
    """Pictures that can be decoded of each file of a folder."""

    def count(folder):
        found = []
        for path in sorted(folder.glob("*/*.mp4")):
            with av.open(str(path)) as container:
                found.append(sum(1 for _ in container.decode(video=0)))
        return found

    return count


@pytest.mark.slow
@pytest.mark.rtsp
def test_the_main_stream_is_recorded_while_the_engine_sees_the_sub_stream(rtsp_server, tmp_path, free_port):
    rtsp_server.start(320, 240)
    main = RtspServer(free_port + 1)
    main.start(640, 480)
    kept = ListSink()
    options = {
        "sources": [rtsp_server.url],
        "recording": {"segments": str(tmp_path), "segment_s": 1},
        "capture": {"main": main.url, "max_backoff_s": 0.5, "read_timeout_s": 2},
    }
    job, thread = running(options, [kept])
    try:
        eventually(lambda: len(heights(tmp_path)) >= 2)
        main.kill()
        eventually(lambda: "not recorded: rtsp://" in status_line(job))
        main.start(480, 320)
        eventually(lambda: 320 in heights(tmp_path))
        eventually(lambda: "not recorded" not in status_line(job))
    finally:
        job.pipeline.stop(5)
        thread.join(SECONDS)
        main.kill()
    found = heights(tmp_path)
    assert found == sorted(found, reverse=True)
    assert set(found) == {480, 320}
    assert {result.frame.size_hw for result in kept.results} == {(240, 320)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sources": ["a.mp4"], "recording": {"segments": "OUT"}}, "recording: a.mp4 is no stream"),
        ({"sources": ["0"], "recording": {"clips": "OUT"}}, "recording: 0 is no stream"),
        (
            {"sources": ["rtsp://a/b"], "capture": {"main": "rtsp://a/c"}},
            "a main stream is there to be recorded",
        ),
        (
            {
                "sources": ["rtsp://a/b", "rtsp://c/d"],
                "capture": {"main": "rtsp://a/c"},
                "recording": {"segments": "OUT"},
            },
            "capture.main: of which camera",
        ),
        ({"sources": ["rtsp://a/b"], "recording": {"segments": "FILE"}}, "FILE: "),
    ],
)
def test_what_cannot_be_recorded_is_refused_at_once(tmp_path, options, said):
    (tmp_path / "FILE").write_text("", encoding="utf-8")
    record = {key: value.replace("OUT", str(tmp_path)) for key, value in options.get("recording", {}).items()}
    record = {key: value.replace("FILE", str(tmp_path / "FILE")) for key, value in record.items()}
    with pytest.raises(Exception, match=said.replace("FILE", str(tmp_path / "FILE"))) as caught:
        build(load_config(None, {**options, "recording": record}))
    assert caught.type.__module__ == "streamseg.errors"


def test_a_run_tells_whether_it_copies_packets(tmp_path):
    """What a run that redacts asks."""
    assert not load_config(None, {"sources": ["rtsp://a/b"]}).copies_packets
    for key in ("segments", "clips"):
        config = load_config(None, {"sources": ["rtsp://a/b"], "recording": {key: str(tmp_path)}})
        assert config.copies_packets


def test_a_clip_without_a_folder_is_refused():
    config = load_config(None, {"sources": ["synthetic?frames=3"]})
    job = Job(config, open_sinks(config.output, config.sources), INFO, lambda: FakeEngine(INFO, outputs_of))
    with pytest.raises(ConfigError, match=r"a clip needs a folder: recording.clips \(--clips\)"):
        job.clip("synthetic")
    job.close()
