"""The catalogue: complete, consistent, licence-clean first, and readable as text."""

import re
from itertools import groupby

import pytest

from streamseg.errors import ConfigError
from streamseg.zoo.cache import weights_path
from streamseg.zoo.listing import describe_models
from streamseg.zoo.published import PUBLISHED, find

ENTRIES = list(PUBLISHED.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_where_from_how_good_and_what_for(entry):
    assert all(re.fullmatch(r"https://\S+/\S+\.pth", url) for url in entry.urls)
    assert entry.project.startswith("https://")
    assert entry.licence
    assert all(20 < value < 45 for _, value in entry.mask_ap_percent)
    assert entry.layout in {"dbolya", "mmdet", "torchvision", "solo"}


def test_every_entry_has_its_network():
    pytest.importorskip("torch", reason="needs the extra `models`")
    from streamseg.models.network import NETWORK_NAMES

    assert {entry.model for entry in ENTRIES} <= set(NETWORK_NAMES)


def test_hashes_are_those_of_the_file_names():
    hashed = [entry for entry in ENTRIES if entry.layout in ("mmdet", "torchvision")]
    assert len(hashed) == 26
    for entry in hashed:
        assert re.fullmatch(r"[0-9a-f]{8}", entry.sha256)
        assert entry.file_name.endswith(f"-{entry.sha256}.pth")
    assert not any(entry.sha256 for entry in ENTRIES if entry not in hashed)


def test_only_the_solo_authors_files_are_restricted():
    assert {entry.layout for entry in ENTRIES if not entry.commercial_use} == {"solo"}
    assert all(entry.name.startswith("wxinlong_") for entry in ENTRIES if not entry.commercial_use)


def test_no_two_files_share_a_place():
    places = {weights_path(entry, "cache") for entry in ENTRIES}
    assert len(places) == len(ENTRIES)


def test_families_are_in_one_piece():
    families = [family for family, _ in groupby(ENTRIES, key=lambda entry: entry.family)]
    assert len(families) == len(set(families))


def test_rtmdet_lies_in_its_own_release():
    tiny = find("rtmdet_ins_tiny")
    assert tiny.urls[0].startswith(
        "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet-ins_tiny_8xb32"
    )
    assert tiny.file_name == "rtmdet-ins_tiny_8xb32-300e_coco_20221130_151727-ec670f7e.pth"
    assert find("rtmdet_ins_x").file_name.startswith("rtmdet-ins_x_8xb16-")


def test_mask_rcnn_lies_by_its_schedule():
    assert (
        find("mmdet_mask_rcnn_r50_1x")
        .urls[0]
        .endswith("/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth")
    )
    assert find("mmdet_mask_rcnn_r50_1x").model == find("mmdet_mask_rcnn_r50").model == "mmdet_mask_rcnn_r50"
    assert find("mmdet_mask_rcnn_r101").file_name.startswith("mask_rcnn_r101_fpn_mstrain-poly_3x_coco_2021")
    assert find("maskrcnn_resnet50_fpn").file_name == "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"


def test_an_unknown_name_gets_the_nearest():
    assert find("yolact_r50").file_name == "yolact_resnet50_54_800000.pth"
    with pytest.raises(ConfigError, match=r"^yolact-r50: .*did you mean 'yolact_r50'\?$"):
        find("yolact-r50")
    with pytest.raises(ConfigError, match=r"streamseg models$"):
        find("resnext")


def test_the_list_shows_what_one_must_know(tmp_path):
    lines = describe_models(tmp_path)
    (r101,) = (line for line in lines if line.split()[0] == "yolact_r101")
    assert r101.split("mask AP ")[1] == "29.8 test-dev, 29.92 val2017, about 201 MB, MIT"
    (dcn,) = (line for line in lines if "wxinlong_solov2_light_r50_dcn" in line)
    assert dcn.endswith("NO COMMERCIAL USE")
    assert sum(line.startswith("      https://") for line in lines) == len(ENTRIES)
