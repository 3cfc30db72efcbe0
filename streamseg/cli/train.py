"""`streamseg train`: annotated images to a network of one's own."""

from __future__ import annotations

import importlib.util
import os
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose
from streamseg.errors import ConfigError, MissingDependency
from streamseg.settings import size_hw_from_text

__all__ = ["train"]


def option(help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, **more)


def train(
    data: Annotated[Path, option("COCO .json, YOLO data.yaml, or a folder.", show_default=False)],
    out: Annotated[Path, option("Folder for all that is written.")] = Path("run"),
    model: Annotated[str, option("picodet_s, a YOLACT or a SOLOv2 (docs/train.md).")] = "picodet_s",
    val: Annotated[Path | None, option("Images to measure with; default: a tenth of DATA.")] = None,
    weights: Annotated[Path | None, option("Weights to start from: published, or your own.")] = None,
    epochs: Annotated[int | None, option("How often every image is seen.", show_default=False)] = None,
    minutes: Annotated[float | None, option("How long, instead of --epochs.", show_default=False)] = None,
    batch: Annotated[int, option("Images of an iteration, over all processes.")] = 8,
    size: Annotated[str | None, option("Input HxW; default: the model's own.")] = None,
    schedule: Annotated[str, option("Learning rate: cosine or step.")] = "cosine",
    seed: Annotated[int, option("Same seed, device and processes: same weights.")] = 1,
    device: Annotated[str, option("auto, cpu or cuda.")] = "auto",
    resume: Annotated[bool, option("Continue the run in OUT.", "--resume")] = False,
    verbose: Verbose = 0,
) -> None:
    """Train MODEL on annotated images, and measure it on images it never saw."""
    from streamseg.datasets import require_dataset_packages
    from streamseg.evaluation import require_packages

    require_dataset_packages("streamseg train")
    require_packages()
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency.of("torch", "train", "streamseg train")
    if schedule not in ("cosine", "step"):
        raise ConfigError(f"--schedule {schedule}: expected cosine or step")
    from streamseg.cli.eval_table import print_data
    from streamseg.jobs.train import TrainOptions, train_on_data

    input_hw = size_hw_from_text("--size", size) if size is not None else None
    steps: Literal["cosine", "step"] = "step" if schedule == "step" else "cosine"
    options = TrainOptions(
        data, out, model, val, weights, epochs, minutes, batch, input_hw, resume, seed, steps, device
    )
    # Of the processes that torchrun starts the first one draws.
    with shown_on_stderr(bar=os.environ.get("RANK", "0") == "0") as watcher:
        figures = train_on_data(options, watcher)
    if figures is None:
        return
    print_data(figures)
    folder = shlex.quote(str(out))
    say(f"streamseg export {folder}/model.pth -o {folder}/model.onnx")
    say(f"streamseg eval {folder}/model.onnx --data {folder}/val.json")
    say(f"streamseg run VIDEO --engine {folder}/model.onnx -o annotated.mp4")
