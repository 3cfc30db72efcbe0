"""PicoDet-S against the original graph, whose interpreter and arrays lie in ../shared; its parts by hand."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.errors import ConfigError  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.picodet.decode import decoded_boxes, joint_probabilities, joint_scores  # noqa: E402
from streamseg.models.picodet.layers import ConvNormSwish  # noqa: E402
from streamseg.models.picodet.network import PicoDet, PicoHeads, level_points  # noqa: E402

SIDE = 416
PICTURES = 10
LEVELS = range(4)
# Parts in the order in which the original made its layers, by which the graph numbers them.
MADE = (
    *("backbone", "neck.laterals", "neck.extra_from_lateral", "neck.extra_from_level", "neck.down"),
    *("neck.halve.0", "neck.up.0", "neck.halve.1", "neck.up.1"),
    *(f"heads.{k}.{part}" for k in LEVELS for part in ("tower", "attention")),
    *(f"heads.{k}.align" for k in LEVELS),
)
BIASED = (
    *(f"backbone.stages.4.{k}.weights.{part}" for k in range(2) for part in ("squeeze", "excite")),
    *(f"heads.{k}.attention.weigh" for k in LEVELS),
    *(f"heads.{k}.{part}" for k in LEVELS for part in ("classify", "measure")),
)


@pytest.fixture(scope="module")
def original(shared_dir: Path) -> Any:
    folder = shared_dir / "pretrained" / "picodet_s_416"
    if not folder.is_dir():
        pytest.skip(f"needs pretrained/{folder.name} in the folder `shared` beside the checkout")
    spec = importlib.util.spec_from_file_location("pico_torch", folder / "pico_torch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Pico(folder / "picodet_s_416.npz").eval()


def number(name: str) -> int:
    """`batch_norm2d_12.w_0` → 12"""
    return int(name.split(".")[0].rpartition("_")[2])


def take_weights(network: PicoDet, original: Any) -> None:
    """The graph's arrays to our layers, both in the order in which they were made."""
    nodes = {node["name"]: node for node in original.graph}

    def array(entry: list[Any]) -> Any:
        return original.get({}, entry).detach()

    normed, biased = {}, {}
    for node in original.graph:
        conv = nodes.get(node["ins"][0][0], {})
        if node["kind"] == "BatchNormInference":
            normed[number(node["ins"][1][0])] = [array(e) for e in (conv["ins"][1], *node["ins"][1:5])]
        elif node["kind"] == "Add" and conv["kind"] == "Convolution":
            biased[number(conv["ins"][1][0])] = [array(conv["ins"][1]), array(node["ins"][1])]
    parts = (module for part in MADE for module in network.get_submodule(part).modules())
    layers = [module for module in parts if isinstance(module, ConvNormSwish)]
    for layer, (kernel, scale, shift, mean, var) in zip(
        layers, (normed[k] for k in sorted(normed)), strict=True
    ):
        layer.conv.weight.data = kernel.reshape(layer.conv.weight.shape)
        layer.norm.weight.data, layer.norm.bias.data = scale, shift
        layer.norm.running_mean, layer.norm.running_var = mean, var
    for name, (kernel, bias) in zip(BIASED, (biased[k] for k in sorted(biased)), strict=True):
        network.get_submodule(name).load_state_dict({"weight": kernel, "bias": bias.flatten()})


def pictures(folder: Path, network: PicoDet) -> Iterator[Any]:
    mean, std = np.array(network.config.mean_rgb), np.array(network.config.std_rgb)
    for path in sorted(folder.iterdir())[:PICTURES]:
        image = cv2.resize(cv2.imread(str(path)), (SIDE, SIDE))[..., ::-1]
        yield torch.tensor(((image - mean) / std).transpose(2, 0, 1), dtype=torch.float32)[None]


@pytest.mark.slow
def test_the_detector_is_the_original_on_ten_pictures(original: Any, shared_dir: Path) -> None:
    network = build_network("picodet_s").eval()
    assert isinstance(network, PicoDet)
    take_weights(network, original)
    points = level_points((SIDE, SIDE))
    for picture in pictures(shared_dir / "data" / "coco_val94" / "images", network):
        with torch.inference_mode():
            heads = network(picture)
            parts = [torch.cat([level[k].flatten(2) for level in original(picture)], 2).mT for k in range(3)]
        wanted = heads._replace(logits=parts[0], alignment=parts[1], distribution=parts[2])
        assert (joint_scores(heads) - joint_scores(wanted)).abs().max() <= 1e-4
        boxes, wanted_boxes = (
            torch.stack(decoded_boxes(h.distribution, points, (SIDE, SIDE))) for h in (heads, wanted)
        )
        assert (boxes - wanted_boxes).abs().max() * SIDE <= 0.1
        assert joint_scores(wanted).max() > 0.3


def test_boxes_and_scores_by_hand() -> None:
    """At the second cell of the first row of stride 8, centre (12, 4): sides of 1, 0, 2½ and 7 strides."""
    points = level_points((64, 64))
    assert points[1].tolist() == [12, 4, 8]
    assert points[64].tolist() == [8, 8, 16]
    logits = torch.full((1, 85, 4, 8), -100.0)
    for side, bins in enumerate(((1,), (0,), (2, 3), (7,))):
        logits[0, 1, side, list(bins)] = 100.0
    box = torch.stack(decoded_boxes(logits.flatten(2), points, (64, 64)), -1)[0, 1]
    assert (box * 64).tolist() == pytest.approx([12 - 8, 4, 12 + 20, 4 + 56])
    none = torch.zeros(1, 1, 0)
    heads = PicoHeads(torch.tensor([[[0.0, 100.0]]]), torch.tensor([[[0.0]]]), none, none, none, none)
    assert joint_scores(heads).flatten().tolist() == pytest.approx([0.5, 0.5**0.5])
    assert joint_probabilities(heads).flatten().tolist() == pytest.approx([0.25, 0.5])


def test_shapes_at_another_size_and_a_frozen_detector() -> None:
    network = build_network("picodet_s", ("a", "b"), (64, 96)).train()
    heads = network(torch.zeros(2, 3, 64, 96))
    assert [tuple(h.shape) for h in heads] == [
        *((2, 128, 2), (2, 128, 1), (2, 128, 32), (2, 128, 192)),
        *((2, 32, 16, 24), (2, 32, 8, 12)),
    ]
    assert len(level_points((64, 96))) == 128
    norms = {name: m.training for name, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert {name.split(".")[0] for name, training in norms.items() if training} == {"prototypes"}


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="input size 100x96: picodet_s takes multiples of 32, 64 and more"):
        build_network("picodet_s", input_hw=(100, 96))
