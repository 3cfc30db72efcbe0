import numpy as np
import pytest

from streamseg.events.occupancy import covered_shares
from streamseg.events.shapes import polygon_columns

HALF = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]


@pytest.mark.parametrize("hw", [(100, 200), (1080, 1920)])
def test_what_two_masks_share_counts_once(made, hw):
    height, width = hw
    boxes = {
        1: (width * 0.5, 0, width, height * 0.5),
        2: (width * 0.5, height * 0.25, width, height * 0.75),
        3: (0, 0, width * 0.25, height),
    }
    instances, _ = made(boxes, hw=hw)
    shares = covered_shares(instances.pixels.runs, polygon_columns([HALF], hw), hw)
    assert shares == pytest.approx([0.75], abs=0.02)


def test_no_mask_covers_nothing():
    assert covered_shares([], polygon_columns([HALF], (100, 200)), (100, 200)).tolist() == [0]
    assert np.shape(covered_shares([], polygon_columns([], (10, 10)), (10, 10))) == (0,)
