"""What counts, against TrackEval reading the same folders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle_codec

from streamseg.errors import DatasetError
from streamseg.evaluation.track_files import read_sequence_file
from streamseg.evaluation.track_truth import scored_frames
from streamseg.evaluation.tracking_scores import tracking_scores

SEQINFO = "[Sequence]\nname={name}\nframeRate=25\nseqLength=12\nimWidth=200\nimHeight=100\n"


def folders(tmp_path: Path, benchmark: str, truth: str, results: str) -> tuple[Path, Path]:
    """Truth and results of one sequence, as TrackEval wants them to lie."""
    name = f"{benchmark}-01"
    gt = tmp_path / "gt" / f"{benchmark}-train" / name
    data = tmp_path / "trackers" / f"{benchmark}-train" / "t" / "data"
    (gt / "gt").mkdir(parents=True)
    data.mkdir(parents=True)
    (tmp_path / "gt/seqmaps").mkdir()
    (tmp_path / "gt/seqmaps" / f"{benchmark}-train.txt").write_text(f"name\n{name}\n")
    (gt / "seqinfo.ini").write_text(SEQINFO.format(name=name))
    (gt / "gt/gt.txt").write_text(truth)
    (data / f"{name}.txt").write_text(results)
    return gt / "gt/gt.txt", data / f"{name}.txt"


def by_trackeval(tmp_path: Path, benchmark: str, kind: str) -> dict[str, float]:
    import trackeval

    config: dict[str, Any] = {
        "GT_FOLDER": str(tmp_path / "gt"),
        "TRACKERS_FOLDER": str(tmp_path / "trackers"),
        "SPLIT_TO_EVAL": "train",
        "PRINT_CONFIG": False,
    }
    if kind == "mots":
        dataset = trackeval.datasets.MOTSChallenge(config)
    else:
        dataset = trackeval.datasets.MotChallenge2DBox(config | {"BENCHMARK": benchmark})
    metrics = [
        trackeval.metrics.HOTA(),
        trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
        trackeval.metrics.Identity({"PRINT_CONFIG": False}),
    ]
    quiet = {"USE_PARALLEL": False, "PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False}
    quiet |= {
        "OUTPUT_SUMMARY": False,
        "OUTPUT_DETAILED": False,
        "PLOT_CURVES": False,
        "OUTPUT_EMPTY_CLASSES": False,
    }
    found, _ = trackeval.Evaluator(quiet | {"LOG_ON_ERROR": None}).evaluate([dataset], metrics)
    of_one = next(iter(found.values()))["t"]["COMBINED_SEQ"]["pedestrian"]
    scores = {
        "HOTA": float(np.mean(of_one["HOTA"]["HOTA"])),
        "DetA": float(np.mean(of_one["HOTA"]["DetA"])),
        "MOTA": float(of_one["CLEAR"]["MOTA"]),
        "sMOTSA": float(of_one["CLEAR"]["sMOTA"]),
        "IDF1": float(of_one["Identity"]["IDF1"]),
    }
    return {name: 100 * value for name, value in scores.items()} | {"IDSW": int(of_one["CLEAR"]["IDSW"])}


def objects(random: np.random.Generator) -> list[tuple[int, int, np.ndarray]]:
    """frame, id and box of nine objects over twelve frames."""
    start, speed = random.uniform((0, 0), (150, 60), (9, 2)), random.normal(0, 2, (9, 2))
    return [
        (frame, k + 1, np.array([*(start[k] + frame * speed[k]), 25, 30]))
        for frame in range(12)
        for k in range(9)
    ]


@pytest.mark.parametrize("benchmark", ["MOT15", "MOT17", "MOT20"])
def test_boxes_as_trackeval_counts_them(tmp_path: Path, benchmark: str) -> None:
    random = np.random.default_rng(5)
    classes = [-1] * 9 if benchmark == "MOT15" else [1, 1, 1, 1, 7, 8, 6, 3, 1]
    truth, results = [], []
    for frame, name, (x, y, w, h) in objects(random):
        flag = 0 if name == 9 else 1
        truth.append(f"{frame + 1},{name},{x},{y},{w},{h},{flag},{classes[name - 1]},1")
        if random.random() < 0.8:
            dx, dy = random.normal(0, 3, 2)
            known = name + 20 * (frame > 6)
            results.append(f"{frame + 1},{known},{x + dx},{y + dy},{w},{h},0.9,-1,-1,-1")
    paths = folders(tmp_path, benchmark, "\n".join(truth) + "\n", "\n".join(results) + "\n")
    frames = scored_frames(*map(read_sequence_file, paths))
    expected = by_trackeval(tmp_path, benchmark, "mot")
    got = tracking_scores({"a": frames}, of_masks=True)
    assert {name: got[name] for name in expected} == pytest.approx(expected)
    assert 20 < got["HOTA"] < 90


def coded(x: float, y: float, w: float, h: float) -> str:
    bits = np.zeros((100, 200), np.uint8, order="F")
    bits[max(int(y), 0) : int(y + h), max(int(x), 0) : int(x + w)] = 1
    text: str = rle_codec.encode(bits)["counts"].decode()
    return text


def test_masks_as_trackeval_counts_them(tmp_path: Path) -> None:
    """Six objects side by side, some found beside themselves, and one find in the ignored region."""
    truth, results = [], []
    random = np.random.default_rng(1)
    for frame in range(1, 13):
        truth.append(f"{frame} 10000 10 100 200 {coded(0, 70, 200, 30)}")
        results.append(f"{frame} 900 2 100 200 {coded(5 + frame, 65, 20, 25)}")
        for k in range(6):
            x = 5 + 30 * k + frame % 3
            truth.append(f"{frame} {2001 + k} 2 100 200 {coded(x, 10, 20, 40)}")
            if random.random() < 0.85:
                results.append(f"{frame} {k + 1 + 10 * (frame > 5)} 2 100 200 {coded(x + 2 * k, 12, 20, 40)}")
    paths = folders(tmp_path, "MOTS", "\n".join(truth) + "\n", "\n".join(results) + "\n")
    frames = scored_frames(*map(read_sequence_file, paths))
    expected = by_trackeval(tmp_path, "MOTS", "mots")
    got = tracking_scores({"a": frames}, of_masks=True)
    assert {name: got[name] for name in expected} == pytest.approx(expected)
    assert all(900 not in frame.ids for frame in frames)


def json_lines(path: Path, *rows: tuple[int, str, float, tuple[float, float, float, float]]) -> Path:
    instances = [
        {
            "id": name,
            "class": class_name,
            "score": score,
            "box": [box[0], box[1], box[0] + box[2], box[1] + box[3]],
            "mask": {"size": [100, 200], "counts": coded(*box)},
        }
        for name, class_name, score, box in rows
    ]
    path.write_text(json.dumps({"index": 0, "pts": 0.0, "instances": instances}) + "\n")
    return path


def test_a_pixel_is_the_surest_instances_only(tmp_path: Path) -> None:
    truth = json_lines(tmp_path / "t.jsonl", (1, "car", 1, (0, 0, 20, 10)), (2, "car", 1, (20, 0, 20, 10)))
    found = json_lines(
        tmp_path / "f.jsonl", (7, "car", 0.9, (0, 0, 20, 10)), (8, "car", 0.5, (10, 0, 30, 10))
    )
    (frame,) = scored_frames(read_sequence_file(truth), read_sequence_file(found))
    assert frame.similarity.tolist() == [[1, 0], [0, 1]]


def test_other_classes_are_no_match_and_unknown_ones_not_judged(tmp_path: Path) -> None:
    truth = json_lines(tmp_path / "t.jsonl", (1, "car", 1, (0, 0, 20, 10)), (2, "dog", 1, (50, 0, 20, 10)))
    found = json_lines(
        tmp_path / "f.jsonl",
        (3, "dog", 0.9, (0, 0, 20, 10)),
        (4, "cat", 0.9, (50, 0, 20, 10)),
        (5, "dog", 0.9, (50, 20, 20, 10)),
    )
    (frame,) = scored_frames(read_sequence_file(truth), read_sequence_file(found))
    assert frame.ids.tolist() == [3, 5]
    assert frame.similarity.tolist() == [[0, 0], [0, 0]]


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    there = json_lines(tmp_path / "t.jsonl", (1, "car", 1, (0, 0, 20, 10)))
    nothing = json_lines(tmp_path / "n.jsonl")
    for truth, found, counts in (
        (there, nothing, (1, 0)),
        (nothing, there, (0, 0)),
        (nothing, nothing, (0, 0)),
    ):
        (frame,) = scored_frames(read_sequence_file(truth), read_sequence_file(found))
        assert frame.similarity.shape == counts


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1,1,1,1,5,5,1,1,1\n")
    (tmp_path / "f.txt").write_text("3,1,1,1,5,5,1\n")
    with pytest.raises(DatasetError, match=r"f\.txt: has a frame 2"):
        scored_frames(*(read_sequence_file(tmp_path / name) for name in ("t.txt", "f.txt")))
    (tmp_path / "small.txt").write_text(
        "1 1 2 10 20 " + rle_codec.encode(np.zeros((10, 20), np.uint8, order="F"))["counts"].decode() + "\n"
    )
    (tmp_path / "large.txt").write_text(f"1 1 2 100 200 {coded(0, 0, 5, 5)}\n")
    with pytest.raises(DatasetError, match="masks of"):
        scored_frames(*(read_sequence_file(tmp_path / name) for name in ("small.txt", "large.txt")))
