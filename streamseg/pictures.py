"""Pictures as files, written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.files import write_bytes

__all__ = ["write_picture"]


def write_picture(
    path: Path,
    image: NDArray[np.uint8],
    *,
    kind: str | None = None,
    jpeg_quality: int = 95,
    sync: bool = True,
    follow_links: bool = True,
) -> None:
    """Write `image`, (H, W, 3) uint8 BGR, as `kind` (`jpg`, `png`; else what the path's ending says).

    See `files.atomic_write`. Raises OSError, also where the format cannot hold the picture.
    """
    kind = kind or path.suffix[1:]
    try:
        done, encoded = cv2.imencode(f".{kind}", image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    except cv2.error:
        done = False
    if not done:
        height, width = image.shape[:2]
        raise OSError(errno.EINVAL, f"{kind} cannot hold {width}x{height} pixels")
    write_bytes(path, encoded.data, sync=sync, follow_links=follow_links)
