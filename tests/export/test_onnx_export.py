"""The file: tensors and metadata, the check before it is written, half weights, parity with the original."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")
onnx = pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.engines.agreement import compare  # noqa: E402
from streamseg.engines.locate import read_info  # noqa: E402
from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from streamseg.errors import ExportError  # noqa: E402
from streamseg.export import onnx_export  # noqa: E402
from streamseg.export.check import sample_frames  # noqa: E402
from streamseg.export.onnx_export import export  # noqa: E402
from streamseg.models.engine_module import EngineModule  # noqa: E402

if TYPE_CHECKING:
    from streamseg.models.yolact.yolact import Yolact

IMAGES = ("scene_a_640x480", "scene_b_375x500", "scene_c_1280x720", "yolact_example_0")


def test_module_normalises_bgr_frames(tiny_model: Yolact) -> None:
    """The network must receive RGB planes, mean and deviation applied per channel."""
    seen: list[Any] = []
    model = type(tiny_model)(
        replace(tiny_model.config, mean_rgb=(123.68, 116.78, 103.94), std_rgb=(58.4, 57.12, 57.38))
    )
    model.eval().register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    frame = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    frame[..., 0], frame[..., 2] = 10, 200  # blue, red
    EngineModule(model)(frame)
    expected = [(200 - 123.68) / 58.40, (0 - 116.78) / 57.12, (10 - 103.94) / 57.38]
    assert seen[0].shape == (1, 3, 64, 96)
    assert seen[0][0, :, 5, 7].tolist() == pytest.approx(expected, rel=1e-6)


def test_an_engine_may_know_some_classes_only(tiny_model: Yolact) -> None:
    first, _, third = tiny_model.config.classes
    frame = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)

    everything = EngineModule(tiny_model, max_detections=600)(frame)
    chosen = EngineModule(tiny_model, max_detections=400, classes=[third, first])

    assert chosen.info().classes == (third, first)
    found = chosen(frame)
    of_class = [found.scores[0][(found.classes[0] == k) & (found.scores[0] > 0.05)] for k in (0, 1)]
    expected = [
        everything.scores[0][(everything.classes[0] == k) & (everything.scores[0] > 0.05)] for k in (2, 0)
    ]
    assert sum(map(len, expected)) > 0
    torch.testing.assert_close(of_class, expected)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["zebra"], "class 'zebra': yolact_lite has "),
        ([], "name each class once, and at least one"),
        (["{0}", "{0}"], "name each class once"),
    ],
)
def test_classes_that_cannot_be_chosen(tiny_model: Yolact, classes: list[str], said: str) -> None:
    names = [name.format(tiny_model.config.classes[0]) for name in classes]
    with pytest.raises(ExportError, match=said):
        EngineModule(tiny_model, classes=names)


def test_file_tells_what_was_exported(tiny_model: Yolact, tiny_engine_path: Path) -> None:
    module = EngineModule(tiny_model, max_detections=20, score_threshold=0.5)
    assert read_info(tiny_engine_path) == module.info()
    model = onnx.load(tiny_engine_path)
    assert {entry.key: entry.value for entry in model.metadata_props}["streamseg.contract"] == "2"
    graph = model.graph
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "frames": ["B", 64, 96, 3],
        "boxes": ["B", 20, 4],
        "scores": ["B", 20],
        "classes": ["B", 20],
        "masks": ["B", 20, 16, 24],
        "count": ["B"],
    }
    operators = {node.op_type for node in graph.node}
    assert not operators & {"NonMaxSuppression", "NonZero", "Compress", "Loop", "If", "Scan", "BitShift"}


@pytest.fixture
def graph_at_hand(tiny_engine_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Spare the conversion, half a minute on a busy machine: `export` gets the graph made before."""
    proto = onnx.load(tiny_engine_path)
    monkeypatch.setattr(onnx_export, "_onnx_from_module", lambda module: proto)
    return proto


def test_export_that_differs_never_appears(tiny_model: Yolact, graph_at_hand: Any, tmp_path: Path) -> None:
    weights = next(t for t in graph_at_hand.graph.initializer if len(t.dims) == 4)
    array = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(array * 1.5, weights.name))
    with pytest.raises(ExportError, match=r"differs from the network: .*(match|rounding cannot move)"):
        export(tiny_model, tmp_path / "bad.onnx", max_detections=20, score_threshold=0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("graph_at_hand")
def test_half_weights_and_checkpoint(tiny_model: Yolact, tiny_engine_path: Path, tmp_path: Path) -> None:
    """Half the file, the same instances; the checkpoint's name and digest are on record."""
    checkpoint = tmp_path / "weights.pth"
    checkpoint.write_bytes(b"weights")
    tiny_model.train()
    path = export(
        tiny_model,
        tmp_path / "half.onnx",
        max_detections=20,
        score_threshold=0.5,
        half_weights=True,
        checkpoint=checkpoint,
    )
    assert tiny_model.training  # the caller's network is left as it was
    tiny_model.eval()
    info = read_info(path)
    assert (info.checkpoint, info.checkpoint_sha256) == ("weights.pth", sha256(b"weights").hexdigest())
    assert path.stat().st_size < 0.56 * tiny_engine_path.stat().st_size
    frames = sample_frames((64, 96))
    with OnnxRuntimeEngine(path) as half, OnnxRuntimeEngine(tiny_engine_path) as full:
        agreement = compare(full.infer(frames), half.infer(frames), min_score=0.55)
    assert agreement.matched > 10
    assert agreement.matched_share > 0.95
    assert agreement.score_shift.max() < 0.01
    assert agreement.mask_iou.min() > 0.95


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"out_path": "{tmp}/absent/x.onnx"}, r"absent/x.onnx: cannot be written, there is no folder"),
        ({"max_detections": 10**6}, "max_detections 1000000: must be 1…"),
        ({"checkpoint": "{tmp}/none.pth"}, r"none.pth: cannot be read \(No such file"),
    ],
)
def test_bad_requests(tiny_model: Yolact, tmp_path: Path, arguments: dict[str, Any], text: str) -> None:
    arguments = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in arguments.items()}
    arguments.setdefault("out_path", tmp_path / "x.onnx")
    with pytest.raises(ExportError, match=text):
        export(tiny_model, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def r50_engine(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxRuntimeEngine:
    """YOLACT-R50 with the reference's regenerated weights, exported, in ONNX Runtime."""
    from streamseg.models.weights.checkpoint import load_weights
    from streamseg.models.yolact.catalog import build_model

    reference = shared_dir / "reference"
    spec = importlib.util.spec_from_file_location("make_weights", reference / "make_weights.py")
    assert spec
    assert spec.loader
    make_weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_weights)
    arrays = make_weights.make_weights(reference / "yolact_resnet50" / "keys.json")
    folder = tmp_path_factory.mktemp("r50")
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, folder / "r50.pth")
    model = build_model("yolact_r50")
    load_weights(model, folder / "r50.pth")
    return OnnxRuntimeEngine(export(model, folder / "r50.onnx", checkpoint=folder / "r50.pth"))


@pytest.mark.slow
@pytest.mark.parametrize("image", IMAGES)
def test_r50_equals_the_original(r50_engine: OnnxRuntimeEngine, shared_dir: Path, image: str) -> None:
    """Same uint8 input → the same instances, within the tolerances that the reference states."""
    reference = shared_dir / "reference"
    frame = cv2.imread(str(reference / "images" / f"{image}__550x550_u8.png"))
    det = np.load(reference / "yolact_resnet50" / f"det_u8_{image}.npz")
    found = r50_engine.infer(frame[None])
    height, width = (int(n) for n in det["image_hw"])
    soft = torch.nn.functional.interpolate(
        torch.from_numpy(found.masks).float() / 255,
        size=(height, width),
        mode="bilinear",
        align_corners=False,
    )
    pixels = (soft[0] > 0.5).numpy()
    expected = np.unpackbits(det["masks_packed"], axis=-1)[..., :width].astype(bool)
    assert int(found.count[0]) == len(det["det_score"])
    for k, (box, score, label) in enumerate(
        zip(det["det_box"], det["det_score"], det["det_class"], strict=True)
    ):
        same = np.flatnonzero(found.classes[0] == label)
        row = same[np.abs(found.boxes[0, same] - box).max(1).argmin()]
        assert np.abs(found.boxes[0, row] - box).max() < 1e-4
        assert abs(found.scores[0, row] - score) < 1e-4
        union = (pixels[row] | expected[k]).sum()
        # Rounding the soft mask to 8 bits moves the edge of a small mask by a pixel here and there.
        assert union == 0 or (pixels[row] != expected[k]).sum() <= max(3, 0.01 * union)
    assert json.loads(json.dumps(r50_engine.info.classes))[0] == "person"


def test_a_file_does_not_say_where_it_was_made(tiny_engine_path: Path) -> None:
    """torch's exporter notes the source line of every node."""
    content = tiny_engine_path.read_bytes()
    assert b"stack_trace" not in content
    assert b"engine_module.py" not in content
    assert b"name_scopes" in content  # by which half precision tells the network from the tail
