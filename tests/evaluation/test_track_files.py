import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle_codec

from streamseg.errors import DatasetError
from streamseg.evaluation.track_files import read_sequence_file


def rle_of(columns: slice, size: tuple[int, int] = (10, 20)) -> dict[str, Any]:
    bits = np.zeros(size, np.uint8, order="F")
    bits[2:6, columns] = 1
    coded = rle_codec.encode(bits)
    return {"size": list(size), "counts": coded["counts"].decode()}


def line(index: int, pts: float, *masks: dict[str, Any] | None) -> str:
    rows = [
        {"id": k + 1, "class": "car", "score": 0.5, "box": [1, 2, 5, 6], "mask": mask}
        for k, mask in enumerate(masks)
    ]
    return json.dumps({"index": index, "pts": pts, "instances": rows})


def test_motchallenge_with_its_seqinfo(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02\nframeRate=30\nseqLength=9\nimWidth=640\nimHeight=480\n"
    )
    path = tmp_path / "gt/gt.txt"
    path.write_text("2,7,10,20,30,40,0,8,1\n1,3,1,1,2,2,1,1,0.5\n")
    file = read_sequence_file(path)
    assert (file.kind, file.length, file.fps, file.frame_hw, file.name) == (
        "mot",
        9,
        30,
        (480, 640),
        "MOT17-02",
    )
    assert sorted(file.frames) == [0, 1]
    frame = file.frames[1]
    assert frame.xyxy.tolist() == [[10, 20, 40, 60]]
    assert (frame.ids.tolist(), frame.class_names, frame.score.tolist()) == ([7], ("8",), [0])
    assert frame.rles is None


def test_detections_have_no_class(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("1,-1,10,20,30,40,0.7,-1,-1,-1\n1,-1,10,20,30,40,9.5,2.25,3,4\n")
    frame = read_sequence_file(path).frames[0]
    assert frame.ids.tolist() == [-1, -1]
    assert frame.class_names == ("", "")
    assert frame.score.tolist() == [0.7, 9.5]


def test_mots(tmp_path: Path) -> None:
    rle = rle_of(slice(3, 8))
    path = tmp_path / "0002.txt"
    path.write_text(f"1 2001 2 10 20 {rle['counts']}\n")
    file = read_sequence_file(path)
    assert (file.kind, file.length, file.frame_hw, file.name) == ("mots", 1, (10, 20), "0002")
    assert file.frames[0].xyxy.tolist() == [[3, 2, 8, 6]]
    assert file.frames[0].rles == (rle,)


def test_our_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(line(0, 0.0, rle_of(slice(1, 3))) + "\n" + line(2, 0.08) + "\n")
    file = read_sequence_file(path)
    assert (file.kind, file.length, file.times) == ("jsonl", 3, {0: 0.0, 2: 0.08})
    assert file.frames[0].class_names == ("car",)


BAD = {
    "gt.txt": {
        "1,2,3\n": r"line 1: needs frame, id, left",
        "1,2,3,4,5,6\n1,2,nan,4,5,6\n": r"line 2: nan is not within",
        "0,2,3,4,5,6\n": r"line 1: 0 is not within 1",
        "1.5,2,3,4,5,6\n": r"line 1: 1.5 is no whole number",
        "1e18,2,3,4,5,6\n": r"line 1: 1e18 is not within",
        "1,2,3,4,5,6\n1,2,3,4,5,6\n": r"frame 1: an id is there twice",
        "1 1 2 10 20\n": r"line 1: needs frame, id, class, height",
        "1 1 2 10 20 zzzz\n": r"line 1: run lengths",
        "1 1 2 100000 100000 a\n": r"larger than any video",
    },
    "a.jsonl": {
        "[]\n": r"line 1: is not a frame",
        "{\n": r"line 1: Expecting",
        line(0, 0.0) + "\n" + line(0, 0.1) + "\n": r"line 2: frame 0 is there twice",
        line(0, float("nan")) + "\n": r"line 1: nan is not within",
        '{"instances": []}\n': r"line 1: no 'index'",
        line(0, 0.0, None, rle_of(slice(1, 3))) + "\n": r"all rows need a mask",
    },
}


@pytest.mark.parametrize(
    ("name", "text", "message"), [(n, text, m) for n, cases in BAD.items() for text, m in cases.items()]
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        read_sequence_file(path)
    assert str(path) in str(error.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_sequence_file(tmp_path / "none.txt")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_sequence_file(tmp_path / "picture.txt")
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=fast\n")
    (tmp_path / "gt.txt").write_text("1,2,3,4,5,6\n")
    with pytest.raises(DatasetError, match=r"seqinfo\.ini: could not convert"):
        read_sequence_file(tmp_path / "gt.txt")
