"""The table of a run, also of one that was interrupted."""

import csv

import pytest

from streamseg.errors import TrainingError
from streamseg.training.csv_log import CsvLog
from streamseg.training.schedule import Standing


def progress(iteration):
    return Standing(
        iteration, images=4 * iteration, elapsed_s=2.0 * iteration, waited_s=0.5, losses={"box": 1.25}
    )


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_lines(tmp_path):
    log = CsvLog(tmp_path / "log.csv", 0, images=8)
    log.add(progress(1), 1e-3)
    log.add(progress(2), 5e-4, mask_ap=0.5)

    assert read(tmp_path / "log.csv")[1] == {
        "iteration": "2",
        "epoch": "1.00",
        "minutes": "0.07",
        "images_per_second": "2.00",
        "waiting_share": "0.1250",
        "learning_rate": "5.000e-04",
        "mask_ap": "0.5000",
        "loss_box": "1.2500",
    }


def test_a_resumed_run_replaces_what_it_does_again(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path, 0, images=8)
    for iteration in range(1, 6):
        log.add(progress(iteration), 1e-3)
    with path.open("a") as file:
        file.write("6,half a li")

    CsvLog(path, 3, images=8).add(progress(4), 1e-3)

    assert [row["iteration"] for row in read(path)] == ["1", "2", "3", "4"]


def test_a_log_that_cannot_be_written(tmp_path):
    with pytest.raises(TrainingError, match=r"log.csv: cannot be written \(No such file or directory\)"):
        CsvLog(tmp_path / "gone" / "log.csv", 0, images=8).add(progress(1), 1e-3)
