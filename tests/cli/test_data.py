"""`streamseg data check` on good and broken labels."""

import cv2
import numpy as np
import pytest


def labelled(folder, line):
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    cv2.imwrite(str(folder / "images/a.jpg"), np.zeros((40, 60, 3), np.uint8))
    (folder / "labels/a.txt").write_text(line)
    (folder / "data.yaml").write_text("train: images\nnames: [cup]\n")


@pytest.mark.slow
def test_counts_and_a_sheet(streamseg, tmp_path):
    labelled(tmp_path, "0 0.1 0.1 0.9 0.1 0.9 0.9")

    done = streamseg("data", "check", ".", "--sheet", "sheet.jpg")

    assert done.returncode == 0, done.stderr
    assert "data.yaml: 1 images, 1 objects" in done.stdout
    assert "nothing is broken" in done.stdout
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape == (270, 1440, 3)


def test_broken_labels_are_an_exit_code(streamseg, tmp_path):
    labelled(tmp_path, "0 0.1 0.1 0.9\n")

    done = streamseg("data", "check", "data.yaml")

    assert done.returncode == 1
    assert "a.txt, line 1: 3 numbers after the class" in done.stdout
    assert "1 entries cannot be used" in done.stdout


@pytest.mark.slow
def test_no_data_set(fails):
    assert "no data set that is known here" in fails("data", "check", ".", code=6)
