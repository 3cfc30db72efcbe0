"""A Mask R-CNN with few and narrow layers, every kind of which is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.models.rcnn.config import RCNN_CONFIGS  # noqa: E402
from streamseg.models.rcnn.network import MaskRcnn  # noqa: E402


@pytest.fixture(scope="session")
def slim_rcnn() -> Callable[..., MaskRcnn]:
    """By name, with weights of a seed, scores spread out."""

    def made(name: str, **changes: Any) -> MaskRcnn:
        narrow = {"stage_blocks": (1, 1, 1, 1), "width": 16, "head_width": 32, "proposals": 60}
        config = replace(
            RCNN_CONFIGS[name],
            **{"classes": ("a", "b"), "channels": None, "input_hw": (128, 192), "norm_eps": 1e-5}
            | narrow
            | changes,
        )
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = MaskRcnn(config)
            for norm in model.modules():
                if isinstance(norm, torch.nn.BatchNorm2d):
                    norm.momentum = None
            with torch.no_grad():
                model.train()(torch.randn(2, 3, *config.input_hw))
                for key, value in model.named_parameters():
                    if key.startswith("rpn.head.") and key.endswith("weight"):
                        value.normal_(std=0.1)
                    if "predictor" in key and key.endswith("weight"):
                        value.mul_(20.0)
        return model.eval()

    return made
