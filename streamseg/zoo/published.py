"""The published weights that have a name: where they come from, how good they are, what they may be used for.

Every number is its publisher's own; none was measured here. A SHA-256 of eight digits is the prefix that
mmdetection and torchvision write into their file names; the other publishers give none, so the first download
is recorded and later ones are held to it (see pull.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from streamseg.errors import ConfigError, did_you_mean

__all__ = ["PUBLISHED", "PublishedWeights", "find"]


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """One published weights file."""

    name: str
    family: str
    model: str
    """The network that the weights are for, by its name in `streamseg.models.network`."""
    layout: str
    """Naming of the tensors: `dbolya`, `mmdet`, `torchvision` or `solo`."""
    mask_ap_percent: tuple[tuple[str, float], ...]
    """Published COCO mask AP, in percent, by the split it was measured on."""
    licence: str
    commercial_use: bool
    project: str
    """The publisher's page."""
    urls: tuple[str, ...]
    """Where the file is: its source, then mirrors."""
    sha256: str = ""
    """Published SHA-256 in hex, or its first digits; empty where none was published."""
    parameters: float | None = None
    """Millions of parameters where they were counted; four bytes each is about the size of the file."""

    @property
    def file_name(self) -> str:
        return PurePosixPath(urlsplit(self.urls[0]).path).name


TEST_DEV, VAL, MINIVAL, UNSTATED = "test-dev", "val2017", "minival", "split not stated"


def _dbolya(
    name: str,
    file: str,
    parameters: float | None,
    *ap_percent: tuple[str, float],
    family: str = "YOLACT",
) -> PublishedWeights:
    folder = file.removesuffix("_54_800000.pth").replace("_", "-")
    return PublishedWeights(
        name=name,
        family=family,
        model=name,
        layout="dbolya",
        mask_ap_percent=ap_percent,
        licence="MIT",
        commercial_use=True,
        project="https://github.com/dbolya/yolact",
        urls=(f"https://huggingface.co/dbolya/{folder}/resolve/main/{file}",),
        parameters=parameters,
    )


def _mmdet(
    name: str,
    family: str,
    path: str,
    val_ap: float,
    *,
    model: str = "",
    parameters: float | None = None,
    release: str = "v2.0",
) -> PublishedWeights:
    hosts = ("https://download.openmmlab.com", "https://openmmlab.oss-cn-hangzhou.aliyuncs.com")
    return PublishedWeights(
        name=name,
        family=family,
        model=model or name,
        layout="mmdet",
        mask_ap_percent=((VAL, val_ap),),
        licence="Apache-2.0",
        commercial_use=True,
        project="https://github.com/open-mmlab/mmdetection",
        urls=tuple(f"{host}/mmdetection/{release}/{path}.pth" for host in hosts),
        sha256=path.rpartition("-")[2],
        parameters=parameters,
    )


def _rtmdet(
    size: str, trained: str, val_ap: float, parameters: float, batches: str = "8xb32"
) -> PublishedWeights:
    config = f"rtmdet-ins_{size}_{batches}-300e_coco"
    return _mmdet(
        f"rtmdet_ins_{size}",
        "RTMDet-Ins",
        f"rtmdet/{config}/{config}_{trained}",
        val_ap,
        parameters=parameters,
        release="v3.0",
    )


def _torchvision(name: str, file: str, val_ap: float, parameters: float) -> PublishedWeights:
    return PublishedWeights(
        name=name,
        family="Mask R-CNN of torchvision",
        model=name,
        layout="torchvision",
        mask_ap_percent=((VAL, val_ap),),
        licence="BSD-3-Clause",
        commercial_use=True,
        project="https://github.com/pytorch/vision",
        urls=(f"https://download.pytorch.org/models/{file}.pth",),
        sha256=file.rpartition("-")[2],
        parameters=parameters,
    )


def _mask_rcnn(name: str, schedule: str, trained: str, val_ap: float, parameters: float) -> PublishedWeights:
    """`name` begins with that of its network: `mmdet_mask_rcnn_r50`."""
    config = f"mask_rcnn_{name.split('_')[3]}_fpn_{schedule}_coco"
    return _mmdet(
        name,
        "Mask R-CNN of mmdetection",
        f"mask_rcnn/{config}/{config}_{trained}",
        val_ap,
        model="_".join(name.split("_")[:4]),
        parameters=parameters,
    )


def _solo(name: str, file: str, minival_ap: float) -> PublishedWeights:
    return PublishedWeights(
        name=f"wxinlong_{name}",
        family="SOLO and SOLOv2 of the authors",
        model=name,
        layout="solo",
        mask_ap_percent=((MINIVAL, minival_ap),),
        licence="SOLO, for non-commercial purposes (2-clause BSD for academic use)",
        commercial_use=False,
        project="https://github.com/WXinlong/SOLO",
        urls=(f"https://huggingface.co/xinlongwang/SOLO/resolve/main/{file}.pth",),
    )


_V2, _YM = "SOLOv2", "YOLACT of mmdetection"
_ROWS = (
    _dbolya("yolact_r50", "yolact_resnet50_54_800000.pth", 31.165, (TEST_DEV, 28.2)),
    _dbolya("yolact_r101", "yolact_base_54_800000.pth", 50.157, (TEST_DEV, 29.8), (VAL, 29.92)),
    _dbolya("yolact_darknet53", "yolact_darknet53_54_800000.pth", 47.783, (TEST_DEV, 28.7)),
    _dbolya("yolact_im700", "yolact_im700_54_800000.pth", 50.157, (TEST_DEV, 31.2)),
    _dbolya(
        "yolact_plus_r50", "yolact_plus_resnet50_54_800000.pth", 33.766, (UNSTATED, 34.1), family="YOLACT++"
    ),
    _dbolya(
        "yolact_plus_r101", "yolact_plus_base_54_800000.pth", 52.571, (UNSTATED, 34.6), family="YOLACT++"
    ),
    _mmdet("mmdet_yolact_r50", _YM, "yolact/yolact_r50_1x8_coco/yolact_r50_1x8_coco_20200908-f38d58df", 29.0),
    _mmdet(
        "mmdet_yolact_r50_8x8",
        _YM,
        "yolact/yolact_r50_8x8_coco/yolact_r50_8x8_coco_20200908-ca34f5db",
        28.4,
        model="mmdet_yolact_r50",
    ),
    _mmdet(
        "mmdet_yolact_r101", _YM, "yolact/yolact_r101_1x8_coco/yolact_r101_1x8_coco_20200908-4cbe9101", 30.4
    ),
    _mmdet(
        "solov2_r50",
        _V2,
        "solov2/solov2_r50_fpn_3x_coco/solov2_r50_fpn_3x_coco_20220512_125856-fed092d4",
        37.5,
        parameters=46.593,
    ),
    _mmdet(
        "solov2_r50_1x",
        _V2,
        "solov2/solov2_r50_fpn_1x_coco/solov2_r50_fpn_1x_coco_20220512_125858-a357fa23",
        34.8,
        model="solov2_r50",
        parameters=46.593,
    ),
    _mmdet(
        "solov2_r101",
        _V2,
        "solov2/solov2_r101_fpn_3x_coco/solov2_r101_fpn_3x_coco_20220511_095119-c559a076",
        39.1,
        parameters=65.585,
    ),
    _mmdet(
        "solov2_r101_dcn",
        _V2,
        "solov2/solov2_r101_dcn_fpn_3x_coco/solov2_r101_dcn_fpn_3x_coco_20220513_214734-16c966cb",
        41.2,
    ),
    _mmdet(
        "solov2_x101_dcn",
        _V2,
        "solov2/solov2_x101_dcn_fpn_3x_coco/solov2_x101_dcn_fpn_3x_coco_20220513_214337-aef41095",
        42.4,
    ),
    _mmdet(
        "solov2_light_r18",
        _V2,
        "solov2/solov2_light_r18_fpn_3x_coco/solov2_light_r18_fpn_3x_coco_20220511_083717-75fa355b",
        29.7,
        parameters=18.272,
    ),
    _mmdet(
        "solov2_light_r34",
        _V2,
        "solov2/solov2_light_r34_fpn_3x_coco/solov2_light_r34_fpn_3x_coco_20220511_091839-e51659d3",
        31.9,
        parameters=28.380,
    ),
    _mmdet(
        "solov2_light_r50",
        _V2,
        "solov2/solov2_light_r50_fpn_3x_coco/solov2_light_r50_fpn_3x_coco_20220512_165256-c93a6074",
        33.7,
        parameters=31.341,
    ),
    _mmdet(
        "solo_r50", "SOLO", "solo/solo_r50_fpn_3x_coco/solo_r50_fpn_3x_coco_20210901_012353-11d224d7", 35.9
    ),
    _mmdet(
        "solo_r50_1x",
        "SOLO",
        "solo/solo_r50_fpn_1x_coco/solo_r50_fpn_1x_coco_20210821_035055-2290a6b8",
        33.1,
        model="solo_r50",
    ),
    _mmdet(
        "decoupled_solo_r50",
        "SOLO",
        "solo/decoupled_solo_r50_fpn_3x_coco/decoupled_solo_r50_fpn_3x_coco_20210821_042504-7b3301ec",
        36.7,
    ),
    _mmdet(
        "decoupled_solo_r50_1x",
        "SOLO",
        "solo/decoupled_solo_r50_fpn_1x_coco/decoupled_solo_r50_fpn_1x_coco_20210820_233348-6337c589",
        33.9,
        model="decoupled_solo_r50",
    ),
    _mmdet(
        "decoupled_solo_light_r50",
        "SOLO",
        "solo/decoupled_solo_light_r50_fpn_3x_coco/decoupled_solo_light_r50_fpn_3x_coco_20210906_142703-e70e226f",
        32.9,
    ),
    _rtmdet("tiny", "20221130_151727-ec670f7e", 35.4, 5.638),
    _rtmdet("s", "20221121_212604-fdc5d7ec", 38.7, 10.183),
    _rtmdet("m", "20221123_001039-6eba602e", 42.1, 27.575),
    _rtmdet("l", "20221124_103237-78d1d652", 43.7, 57.366),
    _rtmdet("x", "20221124_111313-33d4595b", 44.6, 102.704, batches="8xb16"),
    _torchvision("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_coco-bf2d0c1e", 34.6, 44.455),
    _torchvision("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2_coco-73cbd019", 41.8, 46.359),
    _mask_rcnn("mmdet_mask_rcnn_r50", "mstrain-poly_3x", "20210524_201154-21b550bb", 37.1, 44.401),
    _mask_rcnn("mmdet_mask_rcnn_r50_1x", "1x", "20200205-d4b0c5d6", 34.7, 44.401),
    _mask_rcnn("mmdet_mask_rcnn_r101", "mstrain-poly_3x", "20210524_200244-5675c317", 38.5, 63.393),
    _solo("solo_r50", "SOLO_R50_3x", 35.8),
    _solo("solo_r101", "SOLO_R101_3x", 37.1),
    _solo("decoupled_solo_r50", "Decoupled_SOLO_R50_3x", 36.4),
    _solo("decoupled_solo_r101", "Decoupled_SOLO_R101_3x", 37.9),
    _solo("decoupled_solo_light_r50", "Decoupled_SOLO_Light_R50_3x", 33.0),
    _solo("decoupled_solo_light_dcn_r50", "Decoupled_SOLO_Light_DCN_R50_3x", 35.0),
    _solo("solov2_r50", "SOLOv2_R50_3x", 37.5),
    _solo("solov2_r101", "SOLOv2_R101_3x", 39.1),
    _solo("solov2_r101_dcn", "SOLOv2_R101_DCN_3x", 41.4),
    _solo("solov2_x101_dcn", "SOLOv2_X101_DCN_3x", 42.4),
    _solo("solov2_light_r18", "SOLOv2_Light_448_R18_3x", 29.6),
    _solo("solov2_light_r34", "SOLOv2_Light_448_R34_3x", 32.0),
    _solo("solov2_light_r50", "SOLOv2_Light_448_R50_3x", 33.7),
    _solo("solov2_light_r50_dcn", "SOLOv2_Light_512_DCN_R50_3x", 36.4),
)

PUBLISHED: dict[str, PublishedWeights] = {row.name: row for row in _ROWS}
"""By name, licence-clean first: dbolya's, mmdetection's and torchvision's files, then the SOLO authors'."""


def find(name: str) -> PublishedWeights:
    """The weights of that name. Raises ConfigError with the nearest name."""
    if name not in PUBLISHED:
        hint = did_you_mean(name, PUBLISHED)
        raise ConfigError(
            f"{name}: no published weights of that name; {hint or 'list them with: streamseg models'}"
        )
    return PUBLISHED[name]
