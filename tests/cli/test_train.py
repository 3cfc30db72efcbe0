"""`streamseg train` as its user meets it: a folder of pictures in, a checkpoint and an honest AP out."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.errors import ConfigError, DatasetError
from streamseg.models.weights.checkpoint import load_checkpoint

SHORT = ("--epochs", "2", "--batch", "4", "--size", "64x96")
COMMAND = [sys.executable, "-m", "streamseg", "train", "--data", "data", "--out", "run", *SHORT]


@pytest.fixture
def data(tmp_path):
    """See `pictures_in`."""
    return pictures_in(tmp_path / "data")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What `streamseg train` said, and the folder that it worked in: pictures in data, a run in run."""
    folder = tmp_path_factory.mktemp("trained")
    pictures_in(folder / "data")
    return subprocess.run(COMMAND, cwd=folder, capture_output=True, text=True, timeout=500), folder


def pictures_in(folder):
    """Twelve pictures, each with a bright ellipse; one of two classes by its colour."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for k in range(12):
        centre = int(rng.integers(40, 80)), int(rng.integers(35, 55))
        ring = cv2.ellipse2Poly(centre, (28, 20), 0, 0, 360, 15)
        image = rng.integers(0, 90, (90, 120, 3), np.uint8)
        cv2.fillPoly(image, [ring], (60, 180, 240) if k % 2 else (240, 90, 60))
        cv2.imwrite(str(folder / "images" / f"{k}.png"), image)
        images.append({"id": k, "file_name": f"{k}.png", "height": 90, "width": 120})
        annotations.append(
            {
                "id": k,
                "image_id": k,
                "category_id": 1 + k % 2,
                "segmentation": [ring.ravel().tolist()],
                "area": 1760,
                "iscrowd": 0,
            }
        )
    categories = [{"id": 1, "name": "blue"}, {"id": 2, "name": "yellow"}, {"id": 3, "name": "green"}]
    write(folder, {"images": images, "annotations": annotations, "categories": categories})
    return folder


def write(folder, content):
    (folder / "instances.json").write_text(json.dumps(content))


def read(folder):
    return json.loads((folder / "instances.json").read_text())


@pytest.mark.slow
def test_from_pictures_to_a_checkpoint(trained):
    done, folder = trained
    assert done.returncode == 0, done.stderr
    assert "11 images to train on, 1 to measure with; 2 classes; picodet_s at 64x96" in done.stderr
    assert "not trained, no instance of: green" in done.stderr
    assert "mask AP" in done.stdout
    assert done.stdout.splitlines()[-3:] == [
        "streamseg export run/model.pth -o run/model.onnx",
        "streamseg eval run/model.onnx --data run/val.json",
        "streamseg run VIDEO --engine run/model.onnx -o annotated.mp4",
    ]
    run = folder / "run"
    there = {path.name for path in run.iterdir()}
    assert there == {"model.pth", "last.pth", "log.csv", "val.json", "samples"}
    assert load_checkpoint(run / "model.pth").config.classes == ("blue", "yellow")
    assert [i["file_name"] for i in read_val(run)["images"]] == [str(folder / "data" / "images" / "6.png")]
    rows = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    assert [row["iteration"] for row in rows] == ["1", "3", "6"]  # the first, and two measurements
    assert [bool(row["mask_ap"]) for row in rows] == [False, True, True]
    assert all(float(row["loss_dice"]) > 0 for row in rows)
    assert cv2.imread(str(run / "samples" / "000006.jpg")) is not None


def read_val(run):
    return json.loads((run / "val.json").read_text())


@pytest.fixture
def train(data, tmp_path):
    """What the command calls."""
    from streamseg.cli.progress import shown_on_stderr
    from streamseg.jobs.train import TrainOptions, train_on_data

    def run(**options):
        with shown_on_stderr() as watcher:
            train_on_data(TrainOptions(data, tmp_path / "run", **options), watcher)

    return run


def test_broken_labels_are_refused(train, data, tmp_path):
    content = read(data)
    content["annotations"][4]["segmentation"] = [[500, 500, 510, 500, 510, 510]]
    write(data, content)

    with pytest.raises(DatasetError) as raised:
        train(epochs=1)

    assert str(raised.value) == (
        f"{data}: 1 entries cannot be used, the first: 4.png, object 1 (blue): its outline is wholly outside "
        f"the image; all of them: streamseg data check {data}"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either --epochs N or --minutes M"),
        ({"epochs": 1, "minutes": 1.0}, "either --epochs N or --minutes M"),
        ({"minutes": 0.0}, "--epochs and --minutes must be more than 0"),
        ({"epochs": 1, "batch": 0}, "--batch must be 1 or more"),
        ({"epochs": 1, "resume": True}, "no run to resume there"),
        ({"epochs": 1, "device": "tpu"}, "device 'tpu': expected auto, cpu or cuda"),
        ({"epochs": 1, "model": "solo_r50"}, "model solo_r50: SOLO of 2019 is not trained here"),
        (
            {"epochs": 1, "model": "compact"},
            "its network is picodet_s, and the small YOLACT",
        ),
    ],
)
def test_options_that_cannot_be_met(train, tmp_path, options, said):
    with pytest.raises(ConfigError) as raised:
        train(**options)

    assert said in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_validation_images_may_not_be_trained_on(data, tmp_path):
    from streamseg.datasets.for_training import read_training_data

    with pytest.raises(DatasetError, match="12 of its images are trained on, the first is"):
        read_training_data(data, data, None)
    shutil.copytree(data, tmp_path / "other")
    assert len(read_training_data(data, tmp_path / "other", None).val.images) == 12


def test_a_run_is_not_overwritten(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.pth").touch()

    with pytest.raises(ConfigError, match="run: holds a run already; name another folder with --out"):
        train(epochs=1)


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_one_that_is_not(trained, train, data, tmp_path):
    child = subprocess.Popen(COMMAND, cwd=tmp_path, start_new_session=True)
    written = tmp_path / "run" / "last.pth.resume"
    while child.poll() is None and not written.exists():
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was over before it could be killed"
    load_checkpoint(tmp_path / "run" / "last.pth")
    with pytest.raises(ConfigError, match="holds a run already; continue it with --resume"):
        train(epochs=2)

    done = subprocess.run([*COMMAND, "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=500)

    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "run").glob("*.part"))
    runs = [folder / "run" for folder in (tmp_path, trained[1])]
    weights = [load_checkpoint(run / "last.pth").state_dict() for run in runs]
    for key, value in weights[0].items():
        assert value.equal(weights[1][key]), key
    rows = list(csv.DictReader((runs[0] / "log.csv").read_text().splitlines()))
    iterations = [int(row["iteration"]) for row in rows]
    assert iterations == sorted(iterations)
    assert iterations[-1] == 6


@pytest.mark.slow
def test_two_processes_by_torchrun(data, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "streamseg", "train", "--data", str(data), "--out", "run", *SHORT]

    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert done.returncode == 0, done.stderr
    assert "batches of 4, 2 x cpu" in done.stderr
    assert done.stdout.count("mask AP") == 1
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))
    assert rows[-1]["iteration"] == "6"
    assert Path(tmp_path / "run" / "model.pth").exists()
