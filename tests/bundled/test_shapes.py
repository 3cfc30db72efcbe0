from pathlib import Path

import pytest

from streamseg.bundled.shapes import train_shapes
from streamseg.errors import ConfigError


def test_weights_are_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="net.pth: would be written over the weights"):
        train_shapes(tmp_path, tmp_path / "net.pth", 1, 1, weights=tmp_path / "." / "net.pth")
