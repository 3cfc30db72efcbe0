"""YOLACT++'s judge of masks (Bolya et al., "YOLACT++: Better Real-time Instance Segmentation", §6).

Tested in tests/models/yolact/test_yolact_variants.py.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

__all__ = ["MaskIouNet"]

WIDTHS = (1, 8, 16, 32, 64, 128)


class MaskIouNet(nn.Module):
    """How well each mask covers its object, for every class it might be. Layers named as in dbolya/yolact."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width in pairwise(WIDTHS):
            layers += [nn.Conv2d(width_in, width, 3, 2), nn.ReLU()]
        layers += [nn.Conv2d(WIDTHS[-1], num_classes, 1), nn.ReLU()]
        self.maskiou_net = nn.Sequential(*layers)

    def forward(self, masks: Tensor) -> Tensor:
        """Soft masks (N, mh, mw) in 0…1, zero outside their box → (N, C) expected IoU, at least 0.

        The convolutions halve without padding, so maps under 63 cells a side leave nothing to look at.
        """
        return self.maskiou_net(masks.unsqueeze(1)).amax((2, 3))  # type: ignore[no-any-return]
