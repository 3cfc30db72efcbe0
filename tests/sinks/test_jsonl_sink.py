import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from streamseg.errors import SinkError
from streamseg.masks import full_frame
from streamseg.sinks.jsonl_sink import SCHEMA_VERSION, JsonlSink
from streamseg.structures import Stamps

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "jsonl.schema.json").read_text())
JSON_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def conforms(value, schema, at="line"):
    """The part of JSON Schema that jsonl.schema.json uses; unknown keywords fail."""
    known = {"$schema", "title", "type", "required", "additionalProperties", "properties", "items", "const"}
    assert schema.keys() <= known | {"minimum", "maximum", "minItems", "maxItems", "pattern"}
    if "const" in schema:
        assert value == schema["const"], at
        return
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert isinstance(value, tuple(t for name in types for t in np.atleast_1d(JSON_TYPES[name]))), at
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys() <= schema.get("properties", value).keys(), at
        for key, each in value.items():
            conforms(
                each, schema.get("properties", {}).get(key, schema["additionalProperties"]), f"{at}.{key}"
            )
    elif isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), at
        for i, each in enumerate(value):
            conforms(each, schema["items"], f"{at}[{i}]")
    elif isinstance(value, str):
        assert re.search(schema.get("pattern", ""), value), at
    elif value is not None:
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), at


def lines_of(path: Path) -> list[dict]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jsonl"


def test_a_line_says_what_the_result_says(path, make_result, two_instances):
    sink = JsonlSink(path)
    before = datetime.now(UTC)
    sink.write(make_result(12, 3.1400001, instances=two_instances, ids=[7, -1]))
    sink.close()
    (line,) = lines_of(path)
    assert (line["schema"], line["source"], line["index"], line["pts"]) == (SCHEMA_VERSION, "cam", 12, 3.14)
    assert abs((datetime.fromisoformat(line["captured"]) - before).total_seconds()) < 1
    assert 0 <= line["age_ms"] < 1000
    assert (line["captured_from"], line["recent_age_ms"], line["coasted"]) == (None, None, False)
    assert line["processed"] >= line["captured"]
    first, second = line["instances"]
    assert (first["id"], first["class"], first["score"]) == (7, "café", 0.9123)
    assert (second["id"], second["class"], second["score"]) == (None, "person", 0.5)
    assert second["box"] == [80, 48, 120, 80]
    assert sink.frames == 1


def test_three_clocks_and_the_age_after_each_stage(path, make_result):
    """Media time; the sender's own; and the time of the line, which the former two do not touch."""
    made = make_result(3, 1.5)
    told = replace(made.frame, utc_ns=1_700_000_000_123_000_000, utc_from="prft")
    stamps = Stamps(segment=told.captured_ns + 20_000_000, track=told.captured_ns + 21_500_000)
    JsonlSink(path).write(
        replace(made, frame=told, stamps=stamps, recent_age_ms=(9.04, 20.0, 33.3), coasted=True)
    )
    (line,) = lines_of(path)
    assert (line["pts"], line["captured"], line["captured_from"]) == (1.5, "2023-11-14T22:13:20.123Z", "prft")
    assert abs((datetime.fromisoformat(line["processed"]) - datetime.now(UTC)).total_seconds()) < 5
    assert line["stage_ms"] == {"segment": 20.0, "track": 21.5, "overlay": None}
    assert (line["recent_age_ms"], line["coasted"]) == ([9.0, 20.0, 33.3], True)
    conforms(line, SCHEMA)


def test_a_clock_that_is_set_a_day_on_or_back(path, make_result, monkeypatch):
    sink, day, real = JsonlSink(path), 86_400 * 10**9, time.time_ns
    for index, set_by in enumerate((0, -day, 0, day)):
        monkeypatch.setattr(time, "time_ns", lambda by=set_by: real() + by)
        sink.write(make_result(index))
    at = [datetime.fromisoformat(line["processed"]) for line in lines_of(path)]
    assert [round((moment - at[0]).total_seconds() / 86_400) for moment in at] == [0, 0, 0, 1]
    assert at == sorted(at)


def test_every_line_conforms_to_the_published_schema(path, make_result, two_instances):
    sink = JsonlSink(path)
    sink.write(make_result(0))
    sink.write(make_result(1, instances=two_instances))
    sink.write(make_result(2, instances=two_instances, ids=[1, 2]))
    for line in lines_of(path):
        conforms(line, SCHEMA)


# pycocotools 2.0.11 under numpy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_masks_decode_with_pycocotools_to_the_frame(path, make_result, two_instances):
    sink = JsonlSink(path)
    sink.write(make_result(instances=two_instances))
    for k, instance in enumerate(lines_of(path)[0]["instances"]):
        pixels = coco.decode(instance["mask"])
        assert pixels.shape == (96, 128)
        assert pixels.sum() > 500
        np.testing.assert_array_equal(
            pixels.astype(bool), full_frame(two_instances.masks, two_instances.xyxy, k)
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", ["score", "box", "pts"])
def test_what_json_has_no_word_for_is_refused(path, make_result, two_instances, column, value):
    sink = JsonlSink(path)
    sink.write(make_result(0, instances=two_instances))
    if column != "pts":
        getattr(two_instances, {"score": "score", "box": "xyxy"}[column])[0] = value
    bad = make_result(1, value if column == "pts" else None, instances=two_instances)
    with pytest.raises(SinkError, match=r"out.jsonl: frame 1 of cam: a number that is not finite"):
        sink.write(bad)
    sink.close()
    assert [line["index"] for line in lines_of(path)] == [0]
    assert sink.frames == 1


def test_the_age_is_the_time_since_capture(path, make_result):
    result = make_result()
    time.sleep(0.05)
    JsonlSink(path).write(result)
    now = (time.monotonic_ns() - result.frame.captured_ns) / 1e6
    assert 50 <= lines_of(path)[0]["age_ms"] <= now


def test_lines_are_in_the_file_before_the_next_frame(path, make_result):
    sink = JsonlSink(path)
    for i in range(3):
        sink.write(make_result(i))
        assert [line["index"] for line in lines_of(path)] == list(range(i + 1))


def test_an_existing_file_is_replaced_by_the_first_frame_and_not_before(path, make_result):
    path.write_text("precious\n")
    sink = JsonlSink(path)
    assert path.read_text() == "precious\n"
    sink.write(make_result(5))
    assert [line["index"] for line in lines_of(path)] == [5]


def test_closing_twice_is_closing_once_and_writing_afterwards_is_refused(path, make_result):
    sink = JsonlSink(path)
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="already closed"):
        sink.write(make_result())


def test_a_dash_is_standard_output(capfd, make_result):
    sink = JsonlSink("-")
    sink.write(make_result(3))
    sink.close()
    assert json.loads(capfd.readouterr().out)["index"] == 3
    os.fstat(1)  # still open


def test_a_reader_that_goes_away_is_one_line(make_result, monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setattr(os, "dup", lambda fd: writing)
    os.close(reading)
    with pytest.raises(SinkError, match="standard output: the program reading it has gone away"):
        JsonlSink("-").write(make_result())


def test_a_missing_folder_is_reported_at_once(tmp_path):
    with pytest.raises(SinkError, match="create it: mkdir -p"):
        JsonlSink(tmp_path / "nowhere" / "out.jsonl")


def test_a_full_device_is_one_line(make_result):
    sink = JsonlSink("/dev/full")
    with pytest.raises(SinkError, match=r"/dev/full: the disk is full"):
        sink.write(make_result())
    sink.close()


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import result
from streamseg.errors import SinkError
from streamseg.sinks.jsonl_sink import JsonlSink

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sink = JsonlSink(sys.argv[1])
try:
    for i in range(100):
        sink.write(result(i))
except SinkError as error:
    print(error)
"""


def test_a_line_that_does_not_fit_is_taken_back(path):
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path), folder], capture_output=True, text=True)
    assert re.fullmatch(rf"{path}: too large for this file system .*\n", done.stdout), done.stderr
    lines = lines_of(path)
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert 800 < path.stat().st_size <= 1000


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from conftest import result
from streamseg.sinks.jsonl_sink import JsonlSink

sink = JsonlSink(sys.argv[1])
for i in range(1_000_000):
    sink.write(result(i))
    print(i, flush=True)
"""


def test_a_kill_leaves_whole_lines(path):
    folder = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), folder], stdout=subprocess.PIPE, text=True
    )
    with process:
        for reported in process.stdout:
            if int(reported) == 200:
                process.kill()
                break
    assert process.returncode == -9
    lines = lines_of(path)
    assert len(lines) >= 201
    assert [line["index"] for line in lines] == list(range(len(lines)))


def test_a_pipe_keeps_its_reader_from_start_to_end(tmp_path, make_result):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    sink = JsonlSink(pipe)
    for k in range(3):
        sink.write(make_result(k))
    sink.close()
    said, _ = reader.communicate(timeout=60)
    assert [json.loads(line)["index"] for line in said.splitlines()] == [0, 1, 2]


def test_a_pipe_without_a_reader_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("streamseg.sinks.line_file._READER_SECONDS", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SinkError, match="pipe: nobody reads this pipe; start its reader first"):
        JsonlSink(tmp_path / "pipe")


def test_a_pipe_whose_reader_goes_away_is_one_line(tmp_path, make_result):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonlSink(pipe)
    sink.write(make_result())
    os.close(reader)
    with pytest.raises(SinkError, match="pipe: the program reading it has gone away"):
        sink.write(make_result(1))
