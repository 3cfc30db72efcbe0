import json

import pytest

from streamseg.errors import DatasetError
from streamseg.records.read import read_frames


def test_frames_as_they_were(recorded):
    frames = list(read_frames(recorded))
    assert [(f.source, f.index, len(f.instances)) for f in frames] == [
        ("cam", 0, 3),
        ("cam", 1, 2),
        ("cam", 2, 3),
    ]
    one = frames[0].instances[0]
    assert (one.track, one.class_name, one.box) == (1, "car", (10, 10, 40, 30))
    assert (one.region.origin_xy, one.region.bits.shape) == ((10, 10), (20, 30))


def test_a_last_line_that_broke_off_is_left_out(recorded):
    recorded.write_bytes(recorded.read_bytes()[:-20])
    assert len(list(read_frames(recorded))) == 2


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"schema": 2}',
        '{"schema": 1, "source": "a", "index": -1, "pts": 0, "instances": []}',
    ],
)
def test_another_line_is_named(recorded, line):
    recorded.write_text(line + "\n")
    with pytest.raises(DatasetError, match=r"data.jsonl line 1: not a line of streamseg run --jsonl"):
        list(read_frames(recorded))


def test_masks_of_two_sizes_in_one_frame(recorded):
    made = json.loads(recorded.read_text().splitlines()[0])
    made["instances"][1]["mask"]["size"] = [10, 10]
    recorded.write_text(json.dumps(made) + "\n")
    with pytest.raises(DatasetError, match="several sizes"):
        list(read_frames(recorded))


def test_no_file(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        list(read_frames(tmp_path / "none.jsonl"))
