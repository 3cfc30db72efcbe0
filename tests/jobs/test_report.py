"""`streamseg report`: what a person reads of a record."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.jobs.report import report
from streamseg.records.header import RunHeader
from streamseg.records.store import RecordWriter, RunRecord
from streamseg.records.tally import TakeTally
from streamseg.sinks.record_sink import RecordSink


class Page(HTMLParser):
    """Tags that were opened, addresses that they name, and the text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data + "\n"

    def pictures(self):
        contents = [base64.b64decode(address.partition(",")[2]) for address in self.addresses]
        return [cv2.imdecode(np.frombuffer(content, np.uint8), 1) for content in contents]


def recorded(path, results, header, spec="clip.mp4"):
    sink = RecordSink(path)
    sink.describe(header, lambda _: spec)
    for result in results:
        sink.write(result)
    sink.close()
    return path


def tracks_of(results):
    return {track for result in results for track in result.tracks.id.tolist() if track > 0}


def test_a_page_of_its_own(recorded_run, tmp_path):
    out = tmp_path / "report.html"
    assert report(recorded_run.record, out) == 1
    page = Page(out)
    assert "script" not in page.tags
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    [heat] = page.pictures()  # without the clip, of no object
    assert re.search(rf"\n45\n{len(tracks_of(recorded_run.results))}\n", page.text)
    assert "shapes.onnx" in page.text
    covered = np.zeros((180, 320), np.uint8)
    for result in recorded_run.results:
        for (x, y), bits in result.instances.pixels.regions:
            covered[y : y + bits.shape[0], x : x + bits.shape[1]] |= bits
    bright = cv2.resize(heat, (320, 180), interpolation=cv2.INTER_AREA).max(axis=2) > 40
    assert np.count_nonzero(bright & (covered > 0)) > 0.8 * np.count_nonzero(covered)
    assert np.count_nonzero(bright & (cv2.dilate(covered, np.ones((9, 9))) == 0)) < 300


def test_with_the_clip_there_are_pictures_of_objects(recorded_run, tmp_path):
    out = tmp_path / "report.html"
    report(recorded_run.record, out, [str(recorded_run.clip)])
    _, *objects = Page(out).pictures()
    assert len(objects) == min(len(tracks_of(recorded_run.results)), 12)
    assert all(picture.std() > 5 for picture in objects)


def test_counts_are_those_of_the_run(recorded_run):
    with RunRecord(recorded_run.record) as recording:
        [take] = recording.takes
        tally = TakeTally(len(take.header.classes))
        for block in recording.blocks(take):
            tally.add(block)
    edges, counts = tally.over_time(10)
    assert edges.tolist() == [0.0, 1.0, 2.0]
    first = [len(r.instances) for r in recorded_run.results if r.frame.pts_seconds < 1]
    assert counts[0].sum() == pytest.approx(np.mean(first))
    seen = [r.frame.pts_seconds for r in recorded_run.results if 1 in r.tracks.id]
    assert (tally.stays[1].first, tally.stays[1].last) == (seen[0], seen[-1])
    assert tally.heat().max() == 1.0


def test_what_is_redacted_has_no_picture_and_no_place(recorded_run, tmp_path):
    header = RunHeader(recorded_run.results[0].class_names, redacted=("shape",))
    path = recorded(tmp_path / "r.rec", recorded_run.results, header, str(recorded_run.clip))
    report(path, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert "Made with redaction of shape" in page.text
    [heat] = page.pictures()
    assert heat.max() < 10
    with pytest.raises(ConfigError, match="redaction of shape"):
        report(path, tmp_path / "again.html", [str(recorded_run.clip)])
    assert not (tmp_path / "again.html").exists()


def test_names_are_text(recorded_run, tmp_path):
    names = tuple(f"<script>alert({k})</script>" for k in range(len(recorded_run.results[0].class_names)))
    header = RunHeader(names, engine="<img src=x onerror=alert(1)>", colours=("red;}</style><script>",))
    path = recorded(tmp_path / "x.rec", recorded_run.results, header, "<b>clip</b>")
    report(path, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert not {"script", "b"} & set(page.tags)
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "<script>alert(" in page.text


def test_what_cannot_be_written(recorded_run, tmp_path):
    with pytest.raises(SinkError, match="does not exist"):
        report(recorded_run.record, tmp_path / "none" / "x.html")
    with pytest.raises(ConfigError, match="would be overwritten"):
        report(recorded_run.record, recorded_run.record)


def test_an_empty_record_says_so(tmp_path):
    writer = RecordWriter(tmp_path / "e.rec", continues=False)
    writer.begin(RunHeader(("a",)))
    writer.close()
    with pytest.raises(ConfigError, match="no frame was recorded"):
        report(tmp_path / "e.rec", tmp_path / "x.html")
