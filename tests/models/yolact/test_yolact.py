"""The network: shapes of its outputs, and the numbers of the original for the same weights."""

import importlib.util
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from streamseg.errors import ConfigError
from streamseg.models.weights.checkpoint import load_weights
from streamseg.models.yolact.catalog import CONFIGS, build_model


def test_heads_have_the_documented_shapes() -> None:
    model = build_model("yolact_lite", ("a", "b"), (96, 128)).eval()

    with torch.inference_mode():
        heads, segmentation = model.forward_with_segmentation(torch.zeros(2, 3, 96, 128))

    anchors = 3 * (12 * 16 + 6 * 8 + 3 * 4 + 2 * 2)
    assert heads.loc.shape == (2, anchors, 4)
    assert heads.conf.shape == (2, anchors, 3)
    assert heads.coeff.shape == (2, anchors, CONFIGS["yolact_lite"].mask_dim)
    assert heads.proto.shape == (2, 24, 32, CONFIGS["yolact_lite"].mask_dim)
    assert segmentation.shape == (2, 2, 12, 16)
    assert heads.coeff.abs().max() <= 1
    assert heads.proto.min() >= 0


def test_heads_may_be_asked_for_at_sizes_that_are_no_multiple_of_the_strides() -> None:
    model = build_model("yolact_lite", ("a",), (100, 140)).eval()

    with torch.inference_mode():
        heads = model(torch.zeros(1, 3, 100, 140))

    assert heads.proto.shape[1:3] == (26, 36)
    assert heads.loc.shape[1] == len(model.priors)


def test_unknown_model_names_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="did you mean 'yolact_r50'"):
        build_model("yolact_r5")


def test_tiny_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="32x48: too small"):
        build_model("yolact_lite", None, (32, 48))


def test_yolact_lite_is_small() -> None:
    parameters = sum(p.numel() for p in build_model("yolact_lite").parameters())

    assert 2e6 < parameters < 4e6


@pytest.mark.slow
def test_raw_heads_equal_the_originals(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "reference" / "yolact_resnet50"
    weights_file = tmp_path / "weights.pth"
    torch.save(reference_weights(shared_dir / "reference"), weights_file)
    model = build_model("yolact_r50").eval()
    load_weights(model, weights_file)
    image = cv2.imread(str(shared_dir / "reference" / "images" / "scene_a_640x480.png"))
    bgr = torch.from_numpy(image).float().permute(2, 0, 1)[None]
    rgb = interpolate(bgr, (550, 550), mode="bilinear", align_corners=False).flip(1)
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.config.mean_rgb, model.config.std_rgb))

    with torch.inference_mode():
        heads = model((rgb - mean) / std)

    with np.load(folder / "raw_scene_a_640x480.npz") as expected:
        np.testing.assert_array_equal(model.priors.numpy(), expected["priors"])
        pairs = (
            (heads.loc, "loc"),
            (heads.conf.softmax(dim=2), "conf"),
            (heads.coeff, "mask"),
            (heads.proto, "proto"),
        )
        for found, name in pairs:
            want = expected[name]
            np.testing.assert_allclose(found[0].numpy(), want, rtol=0, atol=1e-4 * np.abs(want).max())


def reference_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The reference network's weights, made again by its own script."""
    spec = importlib.util.spec_from_file_location("make_weights", folder / "make_weights.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the script leaves its file open
        spec.loader.exec_module(script)
        arrays = script.make_weights(folder / "yolact_resnet50" / "keys.json")
    return {key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in arrays.items()}
