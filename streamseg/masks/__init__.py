"""Masks: soft grids as engines give them, and pixels, RLE, polygons, areas and overlaps made of them.

No function makes an N × H × W array; each works inside the tight box of what is set.
"""

from streamseg.masks.crops import (
    COMPARED_CELLS,
    Crop,
    compared_scale,
    crop_iou,
    mask_iou,
    shared_cells,
    tight_crops,
)
from streamseg.masks.decode import region_of_rle, runs_from_region, runs_from_rle
from streamseg.masks.doubles import without_doubles
from streamseg.masks.frame_masks import FrameMasks, area, full_frame, polygons, region, rle
from streamseg.masks.outlines import outer_rings
from streamseg.masks.regions import Region, contours, polygons_from_region
from streamseg.masks.rle import Rle, rles_from_runs
from streamseg.masks.runs import Runs
from streamseg.masks.shifted import shifted
from streamseg.masks.soft import THRESHOLD, BoxGrids, Masks

__all__ = [
    "COMPARED_CELLS",
    "THRESHOLD",
    "BoxGrids",
    "Crop",
    "FrameMasks",
    "Masks",
    "Region",
    "Rle",
    "Runs",
    "area",
    "compared_scale",
    "contours",
    "crop_iou",
    "full_frame",
    "mask_iou",
    "outer_rings",
    "polygons",
    "polygons_from_region",
    "region",
    "region_of_rle",
    "rle",
    "rles_from_runs",
    "runs_from_region",
    "runs_from_rle",
    "shared_cells",
    "shifted",
    "tight_crops",
    "without_doubles",
]
