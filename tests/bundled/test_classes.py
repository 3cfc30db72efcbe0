"""The run that trains the bundled engine's class layers: its photographs, and that it spares its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.bundled import train_classes as command
from streamseg.bundled.classes import SHARES, class_mixture, train_classes
from streamseg.errors import CheckpointError, ConfigError
from tests.bundled.test_masks import write_set


def test_only_pictures_whose_every_object_is_annotated(tmp_path: Path) -> None:
    """And none of a licence that forbids the engine's use in trade: DAVIS is not among them."""
    for folder in SHARES:
        write_set(tmp_path / folder, "car")
    assert set(SHARES) == {"coco_train288", "coco_more"}
    mixture = class_mixture(tmp_path, (64, 64))
    assert sum(share for share, _ in mixture.photos) == pytest.approx(1)
    assert next(mixture.samples(1)).image.shape == (64, 64, 3)


def test_weights_are_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with pytest.raises(ConfigError, match="net.pth: would be written over the weights"):
        train_classes(tmp_path, path, tmp_path / "." / "net.pth", iterations=1, processes=1)


def test_missing_weights_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"--data": tmp_path, "--weights": tmp_path / "m.pth", "--out": tmp_path / "n.pth"}
    words = [str(word) for pair in files.items() for word in pair]
    monkeypatch.setattr("sys.argv", ["train_classes", *words])
    assert command.main() == CheckpointError.exit_code
    assert capsys.readouterr().err.splitlines() == [f"{tmp_path / 'm.pth'}: no such file"]
