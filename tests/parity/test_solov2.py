"""SOLOv2-light R50 with the reference's weights against what mmdetection found with them.

mmdetection resizes in uint8, so the engine's own input is exactly its input: nothing is left to differ but
the order of summation and the 8 bits of a mask.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra `models`")
pytest.importorskip("onnx", reason="needs the extra `models`")


from streamseg.engines.base import BaseEngine  # noqa: E402
from streamseg.engines.contract import EngineOutputs  # noqa: E402
from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from streamseg.export.module import EngineModule  # noqa: E402
from streamseg.export.onnx_export import export  # noqa: E402
from streamseg.masks import full_frame  # noqa: E402
from streamseg.models.checkpoint import load_weights  # noqa: E402
from streamseg.models.network import Network, build_network  # noqa: E402
from streamseg.segmenter import Segmenter  # noqa: E402
from streamseg.structures import Frame, Instances  # noqa: E402

SIZES = {
    "scene_a_640x480": (448, 608),
    "yolact_example_0": (448, 608),
    "scene_b_375x500": (608, 448),
    "scene_c_1280x720": (448, 768),
}
CONFIG = "mmdet_solov2_light_r50"


@pytest.fixture(scope="module")
def weights(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("make_weights", reference / "make_weights.py")
    assert spec
    assert spec.loader
    make_weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_weights)
    arrays = make_weights.make_weights(reference / CONFIG / "keys.json")
    path = tmp_path_factory.mktemp("solov2") / "light_r50.pth"
    state = {key: torch.from_numpy(array) for key, array in arrays.items()}
    torch.save({"meta": {}, "state_dict": state}, path)
    return path


def network(weights: Path, size_hw: tuple[int, int]) -> Network:
    model = build_network("solov2_light_r50", input_hw=size_hw)
    load_weights(model, weights)
    return model.eval()


class ModuleEngine(BaseEngine):
    """The exported module itself, in torch."""

    def __init__(self, module: EngineModule) -> None:
        self._module = module
        super().__init__(module.info(), "torch")

    def _start(self, frames: NDArray[np.uint8]) -> None:
        with torch.inference_mode():
            self._outputs = EngineOutputs(*(t.numpy() for t in self._module(torch.from_numpy(frames))))

    def _finish(self) -> EngineOutputs:
        return self._outputs

    def _release(self) -> None:
        pass


@dataclass
class Pairs:
    """One row per detection of the original; NaN where no instance of the class overlaps it by half."""

    score: NDArray[Any]
    drawn: NDArray[Any]
    """IoU of the masks as streamseg.masks draws them."""


def paired(found: Instances, det: Any) -> Pairs:
    width = int(det["image_hw"][1])
    expected = np.unpackbits(det["masks_packed"], axis=-1)[..., :width].astype(bool)
    ours = [full_frame(found.masks, found.xyxy, k) for k in range(len(found))]
    rows = np.full((len(expected), 2), np.nan)
    free = set(range(len(found)))
    for k, label in enumerate(det["labels"]):
        overlap = {j: iou(ours[j], expected[k]) for j in free if found.class_id[j] == label}
        j = max(overlap, key=lambda j: overlap[j], default=-1)
        if j >= 0 and overlap[j] > 0.5:
            free.remove(j)
            rows[k] = abs(found.score[j] - det["scores"][k]), overlap[j]
    return Pairs(*rows.T)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1))


def assert_the_same(engine: BaseEngine, reference: Path, image: str) -> None:
    picture = cv2.imread(str(reference / "images" / f"{image}.png"))
    assert picture is not None
    ((_, found),) = Segmenter(engine, score=0.0).process([Frame(picture, 0, 0.0, 0, image)])
    det = np.load(reference / CONFIG / f"det_{image}.npz")
    pairs = paired(found, det)
    assert len(found) == len(det["labels"])
    assert np.mean(pairs.score <= 1e-3) >= 0.99
    assert np.nanmax(pairs.score) < 1e-4
    assert np.mean(pairs.drawn >= 0.99) >= 0.99


@pytest.mark.timeout(300)
def test_raw_heads(weights: Path, reference: Path) -> None:
    model = network(weights, (448, 608))
    raw = np.load(reference / CONFIG / "raw_scene_a_640x480.npz")
    picture = cv2.imread(str(reference / "images" / "scene_a_640x480.png"))
    resized = cv2.resize(picture, (597, 448), interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32)
    x = torch.zeros(1, 3, 448, 608)
    mean, std = np.float32(model.config.mean_rgb), np.float32(model.config.std_rgb)
    x[0, :, :, :597] = torch.from_numpy(((resized - mean) / std).transpose(2, 0, 1).copy())
    np.testing.assert_array_equal(x[0, :, ::5, ::5], raw["x"])
    with torch.inference_mode():
        category, kernel, features = model(x)
    for ours, theirs in (
        (category[0], raw["cate_logits"]),
        (kernel[0], raw["kernel"]),
        (features[0, :, ::8, ::8], raw["mask_feats"]),
    ):
        assert np.abs(ours.numpy() - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.fixture(scope="module")
def engine(weights: Path) -> Iterator[OnnxRuntimeEngine]:
    path = weights.with_suffix(".onnx")
    with OnnxRuntimeEngine(export(network(weights, (448, 608)), path, checkpoint=weights)) as engine:
        yield engine


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "image", ["scene_a_640x480", pytest.param("yolact_example_0", marks=pytest.mark.parity)]
)
def test_engine_finds_what_the_original_finds(engine: OnnxRuntimeEngine, reference: Path, image: str) -> None:
    assert_the_same(engine, reference, image)


@pytest.mark.parity
@pytest.mark.timeout(300)
@pytest.mark.parametrize("image", SIZES)
def test_torch_finds_what_the_original_finds(weights: Path, reference: Path, image: str) -> None:
    assert_the_same(ModuleEngine(EngineModule(network(weights, SIZES[image]))), reference, image)


@pytest.mark.parity
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("solov2_light_r18", "mmdet_solov2_light_r18"),
        ("solov2_light_r34", "mmdet_solov2-light_r34_fpn_ms-3x_coco"),
        ("solov2_r50", "mmdet_solov2_r50_1x"),
        ("solov2_r101", "mmdet_solov2_r101_fpn_ms-3x_coco"),
    ],
)
def test_published_keys_load_and_export(reference: Path, tmp_path: Path, name: str, listing: str) -> None:
    """Random values under the published keys; `export` holds the file to the network."""
    tensors = json.loads((reference / "keys_only" / f"{listing}.json").read_text())["tensors"]
    rng = torch.Generator().manual_seed(1)
    state = {t["key"]: random_tensor(t["key"], t["shape"], rng) for t in tensors}
    torch.save({"state_dict": state}, tmp_path / "random.pth")
    model = build_network(name, input_hw=(128, 160))
    load_weights(model, tmp_path / "random.pth")
    path = export(model.eval(), tmp_path / "random.onnx", checkpoint=tmp_path / "random.pth")
    with OnnxRuntimeEngine(path) as engine:
        assert (engine.info.model, engine.info.resize, engine.info.pad_bgr) == (name, "fit", (104, 116, 124))


def random_tensor(key: str, shape: list[int], rng: Any) -> Any:
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        return torch.randn(shape, generator=rng) * (2 / fan_in) ** 0.5
    return torch.ones(shape) if key.endswith(("weight", "var")) else torch.zeros(shape)
