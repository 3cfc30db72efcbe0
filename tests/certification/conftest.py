"""Instances of exact rectangles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streamseg.structures import Instances, Masks

FRAME_HW = (60, 80)


@pytest.fixture(scope="session")
def rectangles() -> Callable[..., Instances]:
    """Instances from rows (x0, y0, x1, y1, score, class); a pixel is a cell, so masks are exact."""

    def make(*rows: tuple[int, int, int, int, float, int], blank: tuple[int, ...] = ()) -> Instances:
        soft = np.zeros((len(rows), *FRAME_HW), np.uint8)
        for k, (x0, y0, x1, y1, _, _) in enumerate(rows):
            soft[k, y0:y1, x0:x1] = 0 if k in blank else 255
        table = np.array(rows, float).reshape(-1, 6)
        return Instances(
            table[:, :4].astype(np.float32),
            table[:, 4].astype(np.float32),
            table[:, 5].astype(np.int32),
            Masks(soft, (1.0, 1.0), FRAME_HW),
        )

    return make
