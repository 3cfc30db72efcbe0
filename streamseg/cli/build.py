"""`streamseg build`: a network to an engine for this machine's GPU, or to INT8 for its CPU.

Tested in tests/jobs/test_build.py.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from streamseg.cli.options import CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose

__all__ = ["build"]


def option(help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, show_default=False, **more)


def build(
    source: Annotated[str, typer.Argument(help="Recipe (.yaml), .onnx engine, or a name of models.")],
    output: Annotated[
        str | None, option("The .engine to write, or .onnx for INT8 on the CPU.", "-o", "--output")
    ] = None,
    precision: Annotated[str | None, option("fp32, fp16 (default), bf16, int8 or mixed.")] = None,
    calibrate: Annotated[str | None, option("int8, mixed: clip or folder that sets the ranges.")] = None,
    frames: Annotated[int | None, option("How many of its frames; 500.")] = None,
    batch: Annotated[str | None, option("Batches MIN:OPT:MAX; 1:1:8.")] = None,
    workspace: Annotated[float | None, option("Most memory of a tactic, GiB; 4.")] = None,
    portable: Annotated[str | None, option("no, same_compute_capability or ampere_plus.")] = None,
    inspect: Annotated[bool, option("Print layers and precisions; build nothing.", "--inspect")] = False,
    certify: Annotated[str | None, option("Clip on which to compare it with SOURCE.")] = None,
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Build SOURCE for TensorRT (or TensorRT-RTX) on this machine, or quantise it for the CPU."""
    from streamseg.certification.certificate import describe, require_passed
    from streamseg.compile.recipe import load_recipe
    from streamseg.jobs.build import inspect as inspected
    from streamseg.jobs.build import make_engine, output_of

    flags = {
        "precision": precision,
        "calibrate": calibrate,
        "frames": frames,
        "batch": batch,
        "workspace_gib": workspace,
        "portable": portable,
        "certify": certify,
    }
    recipe = load_recipe(source, {key: value for key, value in flags.items() if value is not None})
    path = output_of(source, output, recipe)
    with shown_on_stderr() as watcher:
        lines = inspected(recipe, watcher, cache) if inspect else []
        certificate = None if inspect else make_engine(recipe, path, watcher, cache)
    for line in lines if inspect else [f"{path}: built"]:
        typer.echo(line)
    if certificate:
        for line in describe(certificate):
            typer.echo(line)
        require_passed(certificate)
