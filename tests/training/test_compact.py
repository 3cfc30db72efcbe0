from pathlib import Path

import pytest
import torch

from streamseg.errors import ConfigError
from streamseg.models.catalog import build_model
from streamseg.models.checkpoint import load_checkpoint, save_checkpoint
from streamseg.training.compact import blend, train_compact


def test_a_quarter_of_the_first_weights_is_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start, trained = build_model("compact", ("square",)), build_model("compact", ("square",))
    save_checkpoint(trained, trained.state_dict(), tmp_path / "net.pth")
    blend(tmp_path / "net.pth", start)
    found, before = load_checkpoint(tmp_path / "net.pth").state_dict(), start.state_dict()
    for key, value in trained.state_dict().items():
        wanted = 0.75 * value + 0.25 * before[key] if value.is_floating_point() else value
        torch.testing.assert_close(found[key], wanted)


def test_weights_are_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="net.pth: would be written over the weights"):
        train_compact(tmp_path, tmp_path / "net.pth", 1, 1, weights=tmp_path / "." / "net.pth")
