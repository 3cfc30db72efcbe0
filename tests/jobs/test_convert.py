"""`streamseg convert`, from a real run's data to every format."""

import json
import re
import subprocess
import sys

import pytest

from streamseg.errors import ConfigError, DatasetError
from streamseg.jobs.convert import FORMATS, convert

MASK = {"size": [3, 4], "counts": "0<"}
INSTANCE = {"id": 1, "class": "cat", "score": 0.9, "box": [0, 0, 4, 3], "mask": MASK}


def line(source="cam", index=0, **more):
    frame = {"schema": 1, "source": source, "index": index, "pts": 0.0, "instances": [INSTANCE]}
    return json.dumps(frame | more) + "\n"


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(line())
    return path


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_is_written(data, tmp_path, to):
    out = tmp_path / "out"
    assert convert(data, to, out) == 1
    files = list(out.iterdir()) if out.is_dir() else [out]
    assert "cat" in files[0].read_text() or to in ("mot", "mots", "coco", "ytvis")
    assert files[0].stat().st_size > 10


def test_the_ids_of_another_file(data, tmp_path):
    categories = tmp_path / "coco.json"
    categories.write_text('{"categories": [{"id": 17, "name": "cat"}]}')
    convert(data, "coco", tmp_path / "out.json", categories=categories)
    assert json.loads((tmp_path / "out.json").read_text())[0]["category_id"] == 17


def test_one_of_several_sources(data, tmp_path):
    data.write_text(line() + line("yard"))
    with pytest.raises(ConfigError, match="2 sources; --source one of: cam, yard"):
        convert(data, "mot", tmp_path / "out")
    assert convert(data, "mot", tmp_path / "out", source="yard") == 1
    with pytest.raises(ConfigError, match="--source x: not in"):
        convert(data, "mot", tmp_path / "out", source="x")


def test_the_input_is_not_overwritten(data):
    with pytest.raises(ConfigError, match="would be overwritten"):
        convert(data, "mot", data)


def test_a_mask_that_is_none_is_one_line(data, tmp_path):
    broken = INSTANCE | {"mask": {"size": [2, 2], "counts": "zzzz"}}
    data.write_text(line(instances=[broken]))
    with pytest.raises(DatasetError, match="RLE"):
        convert(data, "mots", tmp_path / "out")


@pytest.mark.slow
def test_a_format_that_is_not_there(data):
    command = [sys.executable, "-m", "streamseg", "convert", str(data), "--to", "moot", "-o", "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "did you mean 'mot'" in done.stderr


@pytest.mark.parametrize("to", FORMATS)
def test_a_record_gives_what_the_json_lines_of_its_run_give(recorded_run, tmp_path, to):
    made = []
    for data in (recorded_run.record, recorded_run.jsonl):
        out = tmp_path / data.suffix[1:]
        assert convert(data, to, out) == 45
        files = sorted(out.iterdir()) if out.is_dir() else [out]
        made.append("".join(path.read_text() for path in files))
    # JSON Lines round boxes to a hundredth of a pixel and scores to four decimals.
    numbers = [re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.1f}", text) for text in made]
    words = [re.sub(r"-?\d+\.\d+", "", text) for text in made]
    assert words[0] == words[1]
    assert len(numbers[0]) > 1000
