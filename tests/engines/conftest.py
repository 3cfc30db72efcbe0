"""The tiny network as every runtime wants it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from streamseg.models.yolact import Yolact


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model: Yolact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from streamseg.models.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    save_checkpoint(tiny_model, tiny_model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def pictures() -> NDArray[np.uint8]:
    """(3, 64, 96, 3): noise, soft blobs, black."""
    from streamseg.export.check import sample_frames

    return np.concatenate([sample_frames((64, 96)), np.zeros((1, 64, 96, 3), np.uint8)])
