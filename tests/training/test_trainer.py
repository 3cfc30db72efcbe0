"""The loop: it learns, stops in time, resumes, and can be run from the shell."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from streamseg.errors import ConfigError, TrainingError
from streamseg.models.weights.archive import read_archive
from streamseg.models.weights.checkpoint import load_checkpoint
from streamseg.models.yolact.catalog import build_model
from streamseg.training.canvas import Canvas, Patch
from streamseg.training.mixture import Batch, collate
from streamseg.training.objective import YolactObjective, normalise
from streamseg.training.schedule import Settings, Standing, learning_rate
from streamseg.training.trainer import Observer, train

SIZE_HW = (64, 96)
SETTINGS = Settings(iterations=12, warmup_iterations=3)


def objective() -> YolactObjective:
    torch.manual_seed(0)
    return YolactObjective(build_model("yolact_lite", ("square",), SIZE_HW), mixed=False)


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
            region = Patch(0, False, mask, 1024.0)
            canvas = Canvas(image, np.ones(1, bool), [region], name=f"{iteration}{'ab'[len(samples)]}.jpg")
            samples.append(canvas.sample((16, 24)))
        yield collate(samples)


@pytest.mark.slow
def test_losses_fall_and_the_result_loads(tmp_path: Path) -> None:
    out = tmp_path / "net.pth"

    progress = train(objective(), square_batches, SETTINGS, out)

    loaded = load_checkpoint(out)
    assert (progress.iteration, progress.images) == (12, 24)
    assert progress.losses["segmentation"] < 0.9  # from 1.0 or more
    assert loaded.config.classes == ("square",)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.slow
def test_two_runs_do_not_write_to_one_file(tmp_path: Path) -> None:
    def second(size_hw: tuple[int, int], first: int) -> Iterator[Batch]:
        with pytest.raises(TrainingError, match="net.pth: another run is training it"):
            train(objective(), square_batches, SETTINGS, tmp_path / "net.pth")
        return square_batches(size_hw, first)

    train(objective(), second, SETTINGS, tmp_path / "net.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.slow
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    class Interrupt(Exception):
        pass

    def broken(size_hw: tuple[int, int], first: int) -> Iterator[Batch]:
        for k, batch in enumerate(square_batches(size_hw, first)):
            if k == 5:
                raise Interrupt
            yield batch

    whole, out = tmp_path / "whole.pth", tmp_path / "net.pth"
    train(objective(), square_batches, SETTINGS, whole)
    with pytest.raises(Interrupt):
        train(objective(), broken, replace(SETTINGS, save_every_s=0), out)
    assert read_archive(tmp_path / "net.pth.resume")["progress"]["iteration"] == 5
    load_checkpoint(out)
    (tmp_path / ".net.pth.resume.0123abcd.part").write_text("left by a kill")

    progress = train(objective(), square_batches, SETTINGS, out)

    assert (progress.iteration, progress.images) == (12, 24)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.pth", "whole.pth"]
    assert_equal_weights(whole, out)


def assert_equal_weights(one: Path, other: Path) -> None:
    weights = [load_checkpoint(path).state_dict() for path in (one, other)]
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=0, atol=0)


@pytest.mark.slow
def test_another_run_is_not_continued(tmp_path: Path) -> None:
    out = tmp_path / "net.pth"
    with pytest.raises(StopIteration):
        train(
            objective(),
            lambda size_hw, first: islice(square_batches(size_hw, first), 2),
            replace(SETTINGS, save_every_s=0),
            out,
            identity={"--batch": 2},
        )

    with pytest.raises(ConfigError, match=r"net\.pth\.resume: that run has --batch 2, not 4"):
        train(objective(), square_batches, SETTINGS, out, identity={"--batch": 4})


@pytest.mark.slow
def test_a_loss_that_is_no_number_names_the_batch_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    def poisoned(size_hw: tuple[int, int], first: int) -> Iterator[Batch]:
        for k, batch in enumerate(square_batches(size_hw, first)):
            if k == 4:
                batch.boxes[1][0, 2] = float("nan")
            yield batch

    out = tmp_path / "net.pth"
    with pytest.raises(TrainingError) as raised:
        train(objective(), poisoned, replace(SETTINGS, save_every_s=0), out)

    assert "iteration 4 on the batch of 4a.jpg, 4b.jpg: its losses are" in str(raised.value)
    for value in load_checkpoint(out).state_dict().values():
        assert torch.isfinite(value).all()
    assert read_archive(tmp_path / "net.pth.resume")["progress"]["iteration"] == 4


def test_a_gradient_that_is_no_number_changes_no_weight(tmp_path: Path) -> None:
    goal = objective()
    before = {key: value.clone() for key, value in goal.state_dict().items() if "running" not in key}
    goal.model.fpn.lat_layers[0].weight.register_hook(lambda gradient: gradient * float("inf"))

    with pytest.raises(TrainingError, match="iteration 0 on the batch of 0a.jpg, 0b.jpg: its gradient has"):
        train(goal, square_batches, SETTINGS, tmp_path / "net.pth")

    for key, value in before.items():
        if value.is_floating_point():
            torch.testing.assert_close(goal.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "net.pth"
    train(objective(), square_batches, replace(SETTINGS, iterations=1), out)
    before = out.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 2**20, limit[1]))
    try:
        with pytest.raises(TrainingError) as raised:
            train(objective(), square_batches, SETTINGS, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert str(raised.value) == (
        f"{out}: cannot be saved (File too large); what was saved before is whole, "
        "make room and continue with --resume"
    )
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.slow
def test_checks_come_at_equal_shares_and_after_the_last_iteration(tmp_path: Path) -> None:
    seen = []

    class Looks(Observer):
        def check(self, progress: Standing, weights: Path) -> None:
            load_checkpoint(weights)
            seen.append(progress.iteration)

    train(objective(), square_batches, replace(SETTINGS, checks=3), tmp_path / "net.pth", observer=Looks())

    assert seen == [4, 8, 12]


def test_steps() -> None:
    settings = Settings(schedule="step", drops=(0.5, 0.75), warmup_iterations=1, peak_rate=1.0)

    rates = [learning_rate(settings, 9, share) for share in (0.0, 0.49, 0.5, 0.8, 1.0)]

    assert rates == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_rate_warms_up_and_ends_at_zero() -> None:
    settings = Settings(minutes=1, warmup_iterations=10, peak_rate=1.0)

    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(settings, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(settings, 500, 0.5) == pytest.approx(0.5)
    assert learning_rate(settings, 999, 1.0) == pytest.approx(0.0)
    assert learning_rate(settings, 999, 1.1) == pytest.approx(0.0)


def test_a_slow_machine_warms_up_by_the_clock() -> None:
    settings = Settings(minutes=1, warmup_iterations=1000, peak_rate=1.0, schedule="step")

    assert learning_rate(settings, 4, 0.025) == pytest.approx(0.5)
    assert learning_rate(settings, 9, 0.2) == pytest.approx(1.0)


def test_the_nearer_limit_drives_the_schedule() -> None:
    progress = Standing(iteration=30, elapsed_s=30)

    assert progress.share(Settings(minutes=1, iterations=100)) == pytest.approx(0.5)
    assert progress.share(Settings(minutes=1, iterations=40)) == pytest.approx(0.75)


def test_normalise_turns_bgr_bytes_into_the_networks_rgb() -> None:
    config = build_model("yolact_lite", ("a",), SIZE_HW).config
    images = torch.tensor([10, 20, 30], dtype=torch.uint8).expand(1, *SIZE_HW, 3)

    x = normalise(images, config)

    assert x.shape == (1, 3, *SIZE_HW)
    assert x[0, :, 0, 0].tolist() == pytest.approx([(30 - 127) / 128, (20 - 127) / 128, (10 - 127) / 128])


@pytest.mark.slow
def test_one_command_trains_in_two_processes(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.pth"
    command = [sys.executable, "-m", "streamseg.bundled.train", "--data", str(data_dir), "--minutes", "0.02"]

    done = subprocess.run(
        [*command, "--processes", "2", "--out", str(out)], capture_output=True, text=True, timeout=500
    )

    assert done.returncode == 0, done.stderr
    assert "held out" in done.stderr
    assert load_checkpoint(out).config.name == "yolact_lite"


@pytest.mark.slow
def test_missing_data_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamseg.bundled.train", "--data", str(tmp_path), "--minutes", "1"]

    done = subprocess.run(
        [*command, "--out", str(tmp_path / "o.pth")], capture_output=True, text=True, timeout=500
    )

    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert "coco_train288" in done.stderr
