"""How mmdetection's RTMDet-Ins weights become ours; `streamseg.models.weights.layouts` has the table.

Tested in tests/models/weights/test_rtmdet_layout.py.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

__all__ = ["RTMDET_RENAMES", "single_tower"]

Renames = tuple[tuple[str, str], ...]
State = dict[str, Any]

RTMDET_RENAMES: Renames = (
    (r"^bbox_head\.cls_convs\.0\.(\d)\.conv\.", r"head.cls_convs.\1."),
    (r"^bbox_head\.cls_convs\.(\d)\.(\d)\.bn\.", r"head.cls_norms.\1.\2."),
    (r"^bbox_head\.", "head."),
)

COPIES = (
    (re.compile(r"^head\.(?:cls|reg)_convs\.\d\.(\d)\.conv\."), r"head.cls_convs.\1."),
    (re.compile(r"^head\.reg_convs\.(\d)\.(\d)\.bn\."), r"head.cls_norms.\1.\2."),
)
STEM = "backbone.stem.0.conv.weight"


def single_tower(state: State) -> State:
    """mmdetection builds one tower for classes and boxes and one set of convolutions for all its levels, and
    writes each as often as it is used: copies go, what differs from its original stays under a name that no
    network has. And the first convolution takes RGB instead of BGR."""
    kept = {key: value for key, value in state.items() if not _is_copy(key, value, state)}
    stem = kept.get(STEM)
    if isinstance(stem, Tensor) and stem.ndim == 4:
        kept[STEM] = stem.flip(1)
    return kept


def _is_copy(key: str, value: object, state: State) -> bool:
    for pattern, original in COPIES:
        name, count = pattern.subn(original, key)
        if count:
            other = state.get(name)
            return isinstance(value, Tensor) and isinstance(other, Tensor) and value.equal(other)
    return False
