"""Tracks scored from files, and detections of an engine kept for it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import streamseg
from streamseg.errors import ConfigError, DatasetError, SourceError
from streamseg.evaluation.track_files import read_sequence_file
from streamseg.jobs.detections import kept_detections
from streamseg.jobs.eval_tracks import evaluate_tracks, followed, paired_files
from streamseg.progress import LogWatcher
from streamseg.scene import SyntheticScene
from streamseg.tracking import TrackerConfig

SHAPES = Path(streamseg.__file__).parent / "bundled" / "shapes.onnx"
SEQINFO = "[Sequence]\nname=cross\nframeRate=25\nseqLength=40\nimWidth=400\nimHeight=300\n"


def crossing(folder: Path, with_ids: bool) -> Path:
    """Two boxes that cross; as truth, or as detections of which each is missed now and then."""
    place = folder / "cross" / ("gt/gt.txt" if with_ids else "det/det.txt")
    place.parent.mkdir(parents=True)
    (folder / "cross/seqinfo.ini").write_text(SEQINFO)
    rows = []
    for k in range(40):
        for name, x in ((1, 10 + 8 * k), (2, 330 - 8 * k)):
            if with_ids or (k + 3 * name) % 11:
                rows.append(f"{k + 1},{name if with_ids else -1},{x},{100 + 10 * name},40,80,0.9,-1,-1")
    place.write_text("\n".join(rows) + "\n")
    return folder


def test_our_tracker_on_detections(tmp_path: Path) -> None:
    truth, found = crossing(tmp_path / "a", True), crossing(tmp_path / "b", False)
    told = []
    figures = evaluate_tracks(
        truth, detections=found, json=tmp_path / "out.json", progress=lambda *n: told.append(n)
    )
    assert told == [(0, 1), (1, 1)]
    assert figures["compared"] == "boxes"
    assert figures["all"] == figures["sequences"]["cross"]
    assert figures["all"]["IDSW"] == 0
    assert figures["all"]["AssA"] > 85
    assert json.loads((tmp_path / "out.json").read_text()) == figures


def test_results_are_scored_as_they_are(tmp_path: Path) -> None:
    truth = crossing(tmp_path, True) / "cross/gt/gt.txt"
    figures = evaluate_tracks(truth, results=truth)
    assert figures["all"] == {"HOTA": 100, "AssA": 100, "DetA": 100, "MOTA": 100, "IDF1": 100, "IDSW": 0}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    truth = crossing(tmp_path / "a", True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="either --results or --detections"):
        evaluate_tracks(truth)
    with pytest.raises(DatasetError, match=r"no cross\.txt, cross\.jsonl or cross/det/det\.txt"):
        paired_files(truth, tmp_path / "empty")
    with pytest.raises(DatasetError, match="no sequence in it"):
        paired_files(tmp_path / "empty", truth)
    with pytest.raises(DatasetError, match="two files that are there, or two folders"):
        paired_files(truth, tmp_path / "none")
    plain = tmp_path / "det.txt"
    plain.write_text("1,-1,1,1,5,5,0.9\n")
    with pytest.raises(DatasetError, match="give --fps"):
        followed(read_sequence_file(plain), TrackerConfig())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video of the synthetic scene and its truth as MOTChallenge has it."""
    folder = tmp_path_factory.mktemp("scene")
    video, truth = folder / "scene.avi", folder / "gt.txt"
    made = SyntheticScene(seed=4, size_hw=(240, 320))
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    rows = []
    for k in range(12):
        image, there = made.frame(k)
        writer.write(image)
        for name, (x1, y1, x2, y2) in zip(there.ids.tolist(), there.xyxy.tolist(), strict=True):
            rows.append(f"{k + 1},{name + 1},{x1},{y1},{x2 - x1},{y2 - y1},1,1,1")
    writer.release()
    truth.write_text("\n".join(rows) + "\n")
    return video, truth


@pytest.mark.slow
def test_detections_are_found_once_and_known_by_content(scene: tuple[Path, Path], tmp_path: Path) -> None:
    video, truth = scene
    first = kept_detections(SHAPES, video, 0.1, LogWatcher(), cache=tmp_path)
    assert len(first.read_text().splitlines()) == 12
    first.write_text(first.read_text() + "\n")  # what is kept is read, not made again
    renamed = tmp_path / "another.avi"
    renamed.write_bytes(video.read_bytes())
    assert kept_detections(SHAPES, renamed, 0.1, LogWatcher(), cache=tmp_path) == first
    assert first.read_text().endswith("\n\n")
    assert kept_detections(SHAPES, video, 0.2, LogWatcher(), cache=tmp_path) != first
    assert not list((tmp_path / "detections").glob("*.part"))
    figures = evaluate_tracks(truth, detections=first)
    assert figures["all"]["HOTA"] > 50
    with pytest.raises(SourceError, match="no such file"):
        kept_detections(SHAPES, tmp_path / "none.mp4", 0.1, LogWatcher(), cache=tmp_path)


def told_to(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamseg", "eval-tracks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_command_prints_a_table_and_its_mistakes(scene: tuple[Path, Path], tmp_path: Path) -> None:
    truth = crossing(tmp_path, True) / "cross/gt/gt.txt"
    done = told_to(truth, "--results", truth)
    assert done.stdout.split() == [
        *("boxes", "HOTA", "AssA", "DetA", "MOTA", "IDF1", "IDSW"),
        *("all", "100.00", "100.00", "100.00", "100.00", "100.00", "0"),
    ]
    done = told_to(truth, "--results", truth, "--video", scene[0])
    assert (done.returncode, done.stderr) == (
        2,
        "streamseg: eval-tracks: give one of --results, --detections, --video\n",
    )
    done = told_to(truth, "--video", scene[0])
    assert (done.returncode, done.stderr) == (2, "streamseg: eval-tracks: --video and --engine go together\n")


def test_a_record_is_its_own_truth(recorded_run):
    """And equals the JSON Lines of its run."""
    for results in (recorded_run.record, recorded_run.jsonl):
        figures = evaluate_tracks(recorded_run.record, results=results)
        assert figures["compared"] == "masks"
        assert figures["all"]["HOTA"] == pytest.approx(100, abs=0.01)
