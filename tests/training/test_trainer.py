"""The loop: it learns, stops in time, resumes, and can be run from the shell."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from streamseg.models.archive import read_archive
from streamseg.models.catalog import build_model
from streamseg.models.checkpoint import load_checkpoint
from streamseg.training.canvas import Canvas, Region
from streamseg.training.mixture import Batch, collate
from streamseg.training.trainer import Progress, Settings, learning_rate, normalise, train

SIZE_HW = (64, 96)
SETTINGS = Settings(
    minutes=10, processes=1, iterations=12, warmup_iterations=3, small_until=0, bfloat16=False
)


def square_batches(_: tuple[int, int], first: int) -> Iterator[Batch]:
    """One bright square in each of two pictures, elsewhere at every iteration."""
    for iteration in count(first):
        rng = np.random.default_rng(iteration)
        samples = []
        for _ in range(2):
            x, y = rng.integers(0, 60), rng.integers(0, 30)
            mask = np.zeros(SIZE_HW, np.uint8)
            mask[y : y + 32, x : x + 32] = 255
            image = np.repeat(mask[..., None], 3, axis=2) // 2
            canvas = Canvas(image, np.ones(1, bool), [Region(0, False, mask, 1024.0)])
            samples.append(canvas.sample((16, 24)))
        yield collate(samples)


def test_losses_fall_and_the_result_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    out = tmp_path / "net.pth"

    progress = train(build_model("compact", ("square",), SIZE_HW), square_batches, SETTINGS, out)

    loaded = load_checkpoint(out)
    assert (progress.iteration, progress.images) == (12, 24)
    assert progress.losses["segmentation"] < 0.9  # from 1.0 or more
    assert loaded.config.classes == ("square",)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    class Interrupt(Exception):
        pass

    def broken(size_hw: tuple[int, int], first: int) -> Iterator[Batch]:
        for k, batch in enumerate(square_batches(size_hw, first)):
            if k == 5:
                raise Interrupt
            yield batch

    out = tmp_path / "net.pth"
    model = build_model("compact", ("square",), SIZE_HW)
    with pytest.raises(Interrupt):
        train(model, broken, replace(SETTINGS, save_every_s=0), out)
    assert read_archive(tmp_path / "net.pth.resume")["progress"]["iteration"] == 5
    load_checkpoint(out)

    progress = train(build_model("compact", ("square",), SIZE_HW), square_batches, SETTINGS, out)

    assert (progress.iteration, progress.images) == (12, 24)
    assert not (tmp_path / "net.pth.resume").exists()


def test_rate_warms_up_and_ends_at_zero() -> None:
    settings = Settings(minutes=1, warmup_iterations=10, peak_rate=1.0)

    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(settings, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(settings, 500, 0.5) == pytest.approx(0.5)
    assert learning_rate(settings, 999, 1.0) == pytest.approx(0.0)
    assert learning_rate(settings, 999, 1.1) == pytest.approx(0.0)


def test_the_nearer_limit_drives_the_schedule() -> None:
    progress = Progress(iteration=30, elapsed_s=30)

    assert progress.share(Settings(minutes=1, iterations=100)) == pytest.approx(0.5)
    assert progress.share(Settings(minutes=1, iterations=40)) == pytest.approx(0.75)


def test_normalise_turns_bgr_bytes_into_the_networks_rgb() -> None:
    config = build_model("compact", ("a",), SIZE_HW).config
    images = torch.tensor([10, 20, 30], dtype=torch.uint8).expand(1, *SIZE_HW, 3)

    x = normalise(images, config)

    assert x.shape == (1, 3, *SIZE_HW)
    assert x[0, :, 0, 0].tolist() == pytest.approx(
        [(30 - 123.68) / 58.40, (20 - 116.78) / 57.12, (10 - 103.94) / 57.38]
    )


@pytest.mark.slow
def test_one_command_trains_in_two_processes(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.pth"
    command = [sys.executable, "-m", "streamseg.training", "--data", str(data_dir), "--minutes", "0.02"]

    done = subprocess.run(
        [*command, "--processes", "2", "--out", str(out)], capture_output=True, text=True, timeout=110
    )

    assert done.returncode == 0, done.stderr
    assert "held out" in done.stderr
    assert load_checkpoint(out).config.name == "compact"


def test_missing_data_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamseg.training", "--data", str(tmp_path), "--minutes", "1"]

    done = subprocess.run(
        [*command, "--out", str(tmp_path / "o.pth")], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert "coco_train288" in done.stderr
