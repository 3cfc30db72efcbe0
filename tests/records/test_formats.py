"""Each format, read back by the tool that it is for."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from trackeval.datasets import MotChallenge2DBox, MOTSChallenge, YouTubeVIS

from streamseg.records.coco_results import coco_results, youtube_vis_results
from streamseg.records.labelling import cvat_video, labelme_file
from streamseg.records.read import read_frames
from streamseg.records.tracking_text import mot_lines, mots_lines

CATEGORIES = {"car": 3, "person": 1}


@pytest.fixture
def frames(recorded):
    return list(read_frames(recorded))


def challenge(kind, tmp_path, lines, ground_truth):
    """TrackEval's own reader on a folder laid out as it wants."""
    for folder, text in (("gt/seq/gt/gt.txt", ground_truth), ("trackers/ours/data/seq.txt", lines)):
        path = tmp_path / folder
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{line}\n" for line in text))
    return kind(
        {
            "GT_FOLDER": str(tmp_path / "gt"),
            "TRACKERS_FOLDER": str(tmp_path / "trackers"),
            "TRACKERS_TO_EVAL": ["ours"],
            "SEQ_INFO": {"seq": 3},
            "SKIP_SPLIT_FOL": True,
            "DO_PREPROC": False,
            "PRINT_CONFIG": False,
        }
    )


def test_trackeval_reads_mot(frames, tmp_path):
    lines = list(mot_lines(frames))
    assert lines[0] == "1,1,11.00,11.00,30.00,20.00,0.9000,-1,-1,-1"
    truth = [f"{line.rsplit(',', 4)[0]},1,1,1" for line in lines]
    data = challenge(MotChallenge2DBox, tmp_path, lines, truth).get_raw_seq_data("ours", "seq")
    assert [ids.tolist() for ids in data["tracker_ids"]] == [[1, 7], [1], [1, 7]]
    assert data["tracker_dets"][0][0].tolist() == [11, 11, 30, 20]


def test_trackeval_reads_mots_and_finds_no_overlap(frames, tmp_path):
    lines = list(mots_lines(frames))
    data = challenge(MOTSChallenge, tmp_path, lines, lines).get_raw_seq_data("ours", "seq")
    assert [ids.tolist() for ids in data["tracker_ids"]] == [[1, 7], [1], [1, 7]]
    assert [c.tolist() for c in data["tracker_classes"]] == [[1, 2], [1], [1, 2]]
    car, person = (rle_codec.decode(rle) for rle in data["tracker_dets"][0])
    assert car.sum() == 600  # the surer one keeps what both have
    assert person.sum() == 600 - 10 * 10
    assert not (car & person).any()


def test_pycocotools_reads_results(frames, tmp_path):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": k, "height": 60, "width": 80} for k in range(3)],
        "categories": [{"id": number, "name": name} for name, number in CATEGORIES.items()],
        "annotations": [],
        "info": {},
    }
    truth.createIndex()
    path = tmp_path / "results.json"
    path.write_text(json.dumps(coco_results(frames, CATEGORIES)))
    found = truth.loadRes(str(path))
    assert [len(found.getAnnIds(imgIds=[k])) for k in range(3)] == [3, 2, 3]
    first = found.loadAnns(found.getAnnIds(imgIds=[0], catIds=[1]))[0]
    assert (first["bbox"], first["score"]) == ([30, 20, 20, 30], 0.8)
    assert found.annToMask(first).sum() == 600


def uncompressed(rle):
    """As YouTube-VIS has its ground truth: lengths as numbers."""
    if rle is None:
        return None
    flat = rle_codec.decode(rle).ravel(order="F")
    ends = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    return {"size": rle["size"], "counts": np.diff(ends, prepend=0).tolist()}


def test_trackeval_reads_youtube_vis(frames, tmp_path):
    results = youtube_vis_results(frames, CATEGORIES)
    assert [len(one["segmentations"]) for one in results] == [3, 3]
    assert results[1]["segmentations"][1] is None
    truth = {
        "videos": [{"id": 1, "width": 80, "height": 60, "length": 3, "file_names": ["seq/0"] * 3}],
        "categories": [{"id": number, "name": name} for name, number in CATEGORIES.items()],
        "annotations": [
            {
                **one,
                "segmentations": [uncompressed(rle) for rle in one["segmentations"]],
                **{"id": k, "iscrowd": 0, "height": 60, "width": 80},
                **{"areas": [1] * 3, "bboxes": [[0, 0, 1, 1]] * 3},
            }
            for k, one in enumerate(results, 1)
        ],
    }  # fmt: skip
    for folder, made in (("gt/youtube_vis_a", truth), ("trackers/youtube_vis_a/ours/data", results)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "it.json").write_text(json.dumps(made))
    data = YouTubeVIS(
        {
            "GT_FOLDER": f"{tmp_path}/gt/",
            "TRACKERS_FOLDER": f"{tmp_path}/trackers/",
            "TRACKERS_TO_EVAL": ["ours"],
            "SPLIT_TO_EVAL": "a",
            "PRINT_CONFIG": False,
        }
    ).get_raw_seq_data("ours", "seq")
    assert sorted(len(ids) for ids in data["tracker_ids"]) == [1, 2, 2]
    assert np.allclose(np.diag(data["similarity_scores"][0]), 1)


def test_labelme_has_a_polygon_for_each_part(frames):
    made = labelme_file(frames[0], "00000000.jpg")
    assert (made["imageHeight"], made["imageWidth"], made["imagePath"]) == (60, 80, "00000000.jpg")
    car, person, untracked = made["shapes"]
    assert (car["label"], car["group_id"], untracked["group_id"]) == ("car", 1, None)
    assert sorted(map(tuple, person["points"])) == [
        (30.25, 20.25),
        (30.25, 49.75),
        (49.75, 20.25),
        (49.75, 49.75),
    ]


def test_cvat_has_a_track_for_each_object(frames):
    root = ElementTree.fromstring(cvat_video(frames))
    car, person = root.findall("track")
    assert (car.get("label"), person.get("label")) == ("car", "person")
    shown = [(p.get("frame"), p.get("outside")) for p in person.findall("polygon")]
    assert shown == [("0", "0"), ("1", "1"), ("2", "0")]
    assert car.find("polygon").get("points").split(";")[0] == "10.2,10.2"
