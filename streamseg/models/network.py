"""Every network of the catalogues by name, whatever its family.

Tested in tests/models/solo/test_solov2.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamseg.errors import ConfigError
from streamseg.models.picodet.config import PICODET_CONFIGS, picodet_resized
from streamseg.models.picodet.network import PicoDet
from streamseg.models.rcnn.config import RCNN_CONFIGS, rcnn_resized
from streamseg.models.rcnn.network import MaskRcnn
from streamseg.models.rtmdet.config import RTMDET_CONFIGS, rtmdet_resized
from streamseg.models.rtmdet.network import RtmDet
from streamseg.models.solo.config import SOLO_CONFIGS, solo_resized
from streamseg.models.solo.solo import Solo
from streamseg.models.yolact.catalog import CONFIGS, build_model
from streamseg.models.yolact.yolact import Yolact

__all__ = ["NETWORK_NAMES", "RENAMED", "Network", "build_network"]

Network = Yolact | Solo | PicoDet | RtmDet | MaskRcnn
NETWORK_NAMES = (*CONFIGS, *SOLO_CONFIGS, *PICODET_CONFIGS, *RTMDET_CONFIGS, *RCNN_CONFIGS)
RENAMED = {"compact": "yolact_lite"}
"""Networks that files made before know by another name."""


def build_network(
    name: str, classes: Sequence[str] | None = None, input_hw: tuple[int, int] | None = None
) -> Network:
    """A network with random weights; other classes or another input size as asked. Raises ConfigError."""
    if name in RENAMED:
        raise ConfigError(
            f"model {name!r}: is an engine; its network is picodet_s, and the small YOLACT that was called so"
            f" is {RENAMED[name]}"
        )
    if name in PICODET_CONFIGS:
        small = PICODET_CONFIGS[name]
        if classes is not None:
            small = replace(small, classes=tuple(classes))
        return PicoDet(small if input_hw is None else picodet_resized(small, input_hw))
    if name in RTMDET_CONFIGS:
        dense = RTMDET_CONFIGS[name]
        if classes is not None:
            dense = replace(dense, classes=tuple(classes))
        return RtmDet(dense if input_hw is None else rtmdet_resized(dense, input_hw))
    if name in RCNN_CONFIGS:
        staged = RCNN_CONFIGS[name]
        if classes is not None and tuple(classes) != staged.classes:
            staged = replace(staged, classes=tuple(classes), channels=None)
        return MaskRcnn(staged if input_hw is None else rcnn_resized(staged, input_hw))
    if name not in SOLO_CONFIGS:
        return build_model(name, classes, input_hw)
    config = SOLO_CONFIGS[name]
    if classes is not None:
        config = replace(config, classes=tuple(classes))
    return Solo(config if input_hw is None else solo_resized(config, input_hw))
