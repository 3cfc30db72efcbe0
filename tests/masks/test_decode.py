"""RLE read again, against pycocotools, and pixels made runs again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from streamseg.masks import Region, region_of_rle, rles_from_runs, runs_from_region

BITS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def whole(region, hw):
    frame = np.zeros(hw, np.bool_)
    (x, y), bits = region
    frame[y : y + bits.shape[0], x : x + bits.shape[1]] = bits
    return frame


@given(BITS)
def test_what_pycocotools_writes_is_read(bits):
    encoded = coco.encode(np.asfortranarray(bits.astype(np.uint8)))
    region = region_of_rle({"size": list(bits.shape), "counts": encoded["counts"].decode()})
    assert (whole(region, bits.shape) == bits).all()


@given(BITS, st.integers(0, 3), st.integers(0, 3))
def test_pixels_to_runs_and_back(bits, x, y):
    hw = bits.shape[0] + y + 2, bits.shape[1] + x + 1
    [rle] = rles_from_runs([runs_from_region(Region((x, y), bits))], hw)
    expected = np.zeros(hw, np.uint8)
    expected[y : y + bits.shape[0], x : x + bits.shape[1]] = bits
    assert (coco.decode(rle) == expected).all()


def test_a_great_mask():
    bits = np.zeros((720, 1280), np.uint8)
    bits[100:600, 40:1200] = 1
    encoded = coco.encode(np.asfortranarray(bits))
    region = region_of_rle({"size": [720, 1280], "counts": encoded["counts"].decode()})
    assert region.origin_xy == (40, 100)
    assert region.bits.shape == (500, 1160)


@pytest.mark.parametrize("counts", ["\x01", "0z", "ZZZZZ", "é"])
def test_what_is_no_rle_is_refused(counts):
    with pytest.raises(ValueError, match="RLE"):
        region_of_rle({"size": [4, 4], "counts": counts})
