"""What differs between families of networks on their way to an engine: the tail and the way of resizing.

Tested in tests/export/test_onnx_export.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamseg.errors import ExportError
from streamseg.models.network import Network
from streamseg.models.picodet.network import PicoDet
from streamseg.models.picodet.tail import PicoTail
from streamseg.models.rcnn.network import MaskRcnn
from streamseg.models.rcnn.tail import RcnnTail
from streamseg.models.rtmdet.network import RtmDet
from streamseg.models.rtmdet.tail import LOGIT_SLOPE, RtmDetTail
from streamseg.models.solo.solo import Solo
from streamseg.models.solo.tail import SoloTail, solo_tail
from streamseg.models.yolact.tail import YolactTail, yolact_tail

__all__ = ["Family", "Tail", "family_of", "make_tail"]

Tail = YolactTail | SoloTail | PicoTail | RtmDetTail | RcnnTail


@dataclass(frozen=True, slots=True)
class Family:
    """What an engine says of its kind."""

    name: str
    resize: str
    """`stretch` or `fit`, as in the engine contract."""
    mask_finer: int = 1
    """As in the engine contract."""
    mask_encoding: str = "probability"
    """As in the engine contract."""
    mask_layout: str = "frame"
    mask_paste: str = "continuous"
    """As in the engine contract."""
    pad_rgb: tuple[int, int, int] | None = None
    """The colour beside a picture that keeps its aspect, where the network was trained on one. None: zeros
    after normalisation."""


YOLACT = Family("yolact", "stretch")
PICODET = Family("picodet", "stretch")
SOLO = Family("solo", "fit", mask_finer=4)
SOLOV2 = Family("solov2", "fit", mask_finer=4)
RTMDET = Family(
    "rtmdet_ins", "fit", mask_finer=8, mask_encoding=f"logit:{LOGIT_SLOPE}", pad_rgb=(114, 114, 114)
)

MASK_RCNN = Family("mask_rcnn", "fit", mask_layout="box")


def family_of(model: Network) -> Family:
    """The family of a network."""
    if isinstance(model, PicoDet):
        return PICODET
    if isinstance(model, RtmDet):
        return RTMDET
    if isinstance(model, MaskRcnn):
        return replace(MASK_RCNN, mask_paste=model.config.numerics.mask_paste)
    if not isinstance(model, Solo):
        return YOLACT
    return SOLOV2 if model.config.head == "dynamic" else SOLO


def make_tail(
    model: Network,
    *,
    max_detections: int,
    score_threshold: float,
    cross_class: bool,
    classes: Sequence[str] | None = None,
) -> Tail:
    """What turns the raw heads of `model` into instances of `classes`, of all if None. Raises ExportError for
    options it has not."""
    columns = None if classes is None else columns_of(model, classes)
    if isinstance(model, PicoDet):
        return PicoTail(
            model,
            max_detections=max_detections,
            score_threshold=score_threshold,
            cross_class=cross_class,
            columns=columns,
        )
    if isinstance(model, RtmDet):
        return RtmDetTail(
            model,
            max_detections=max_detections,
            score_threshold=score_threshold,
            cross_class=cross_class,
            columns=columns,
        )
    if isinstance(model, MaskRcnn):
        return RcnnTail(
            model,
            max_detections=max_detections,
            score_threshold=score_threshold,
            cross_class=cross_class,
            columns=columns,
        )
    if not isinstance(model, Solo):
        return yolact_tail(
            model,
            max_detections=max_detections,
            score_threshold=score_threshold,
            cross_class=cross_class,
            columns=columns,
        )
    if cross_class:
        raise ExportError(f"{model.config.name}: Matrix NMS compares masks of one class; no cross-class form")
    return solo_tail(
        model.config, max_detections=max_detections, score_threshold=score_threshold, columns=columns
    )


def columns_of(model: Network, classes: Sequence[str]) -> list[int]:
    """Where a network has its `classes`. Raises ExportError for one that it has not, or that comes twice."""
    known = model.config.classes
    for name in classes:
        if name not in known:
            raise ExportError(f"class {name!r}: {model.config.name} has {', '.join(known)}")
    if not classes or len(set(classes)) < len(classes):
        raise ExportError(f"classes {', '.join(classes)!r}: name each class once, and at least one")
    return [known.index(name) for name in classes]
