"""`streamseg eval`: figures that pycocotools confirms from the files it wrote."""

import contextlib
import io
import json

import cv2
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamseg.evaluation.scenes import write_scenes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Annotated frames of synthetic scenes, as a user's folder."""
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "images").mkdir()
    write_scenes(folder / "images", 6, (240, 320))
    (folder / "images" / "instances.json").rename(folder / "instances.json")
    return folder


def pycocotools_stats(truth, detections, kind):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        judge = COCOeval(coco, coco.loadRes(str(detections)), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


def test_figures_are_those_of_pycocotools(streamseg, scenes, tmp_path):
    done = streamseg(
        "eval", "shapes", "--data", scenes, "--json", "ap.json", "--detections", "found.json",
        "--against", "shapes", "--pictures", "pictures",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "ap.json").read_text())
    masks, boxes = (
        pycocotools_stats(scenes / "instances.json", tmp_path / "found.json", kind)
        for kind in ("segm", "bbox")
    )
    names = ("mask_ap", "mask_ap50", "mask_ap75", "mask_ap_small", "mask_ap_medium", "mask_ap_large")
    assert masks[0] > 0.3
    assert [-1 if figures[n] is None else figures[n] for n in names] == pytest.approx(masks[:6], abs=1e-6)
    assert figures["ar"] == pytest.approx(masks[8], abs=1e-6)
    assert figures["box_ap"] == pytest.approx(boxes[0], abs=1e-6)
    assert figures["engine"] == "shapes"
    assert figures["images"] == 6
    compared = figures["against"]
    assert (compared["difference"], compared["low"], compared["high"]) == (0, 0, 0)
    assert f"{100 * figures['mask_ap']:.1f}" in done.stdout
    assert "not judged, the data does not have it: person" in done.stdout
    sheet = cv2.imread(str(tmp_path / "pictures" / "worst.jpg"))
    assert sheet.shape[1] > 1000
    assert not list(tmp_path.rglob("*.part"))


def test_another_runtime_and_precision(streamseg, scenes, tmp_path):
    streamseg("eval", "shapes", "--data", scenes, "--json", "a.json")
    done = streamseg(
        "eval", "shapes", "--data", scenes, "--json", "b.json",
        "--runtime", "onnxruntime", "--precision", "fp32",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert "onnxruntime" in theirs["runtime"]
    assert ours["mask_ap"] == pytest.approx(theirs["mask_ap"], abs=0.05)


def test_the_images_may_lie_elsewhere(streamseg, scenes, tmp_path):
    file = tmp_path / "other.json"
    file.write_text((scenes / "instances.json").read_text())

    done = streamseg("eval", "shapes", "--data", file, "--images", scenes / "images")

    assert done.returncode == 0, done.stderr
    assert "shape" in done.stdout


def test_bad_input_is_one_line(fails, scenes, tmp_path):
    assert "either --data" in fails("eval", "shapes", code=2)
    assert "either --data" in fails("eval", "shapes", "--synthetic", "--pictures", "p", code=2)
    assert "absent.json: no such file or folder" in fails("eval", "shapes", "--data", "absent.json", code=6)
    assert "no image that can be read; image 0" in fails(
        "eval", "shapes", "--data", scenes, "--images", tmp_path, code=6
    )
    assert "mkdir -p" in fails("eval", "shapes", "--data", scenes, "--json", "no/a.json", code=5)
    assert "no such engine" in fails("eval", "missing.onnx", "--data", scenes, code=4)
    (tmp_path / "taken").write_text("")
    assert "taken: is a file" in fails("eval", "shapes", "--data", scenes, "--pictures", "taken", code=5)
