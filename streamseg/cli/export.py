"""`streamseg export`: a network to one ONNX file that meets the engine contract.

Tested in tests/zoo/test_names.py.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.options import CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["export"]


def export(
    model: Annotated[
        str, typer.Argument(help="A name of `streamseg models` or a streamseg checkpoint (.pth).")
    ],
    output: Annotated[str, typer.Option("-o", "--output", help="The .onnx file to write.")],
    weights: Annotated[str | None, typer.Option(help="State_dict for MODEL (.pth); default: pulled.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size HxW, e.g. 550x550.")] = None,
    max_detections: Annotated[int, typer.Option(help="K: most instances of a frame.")] = 100,
    score_threshold: Annotated[float, typer.Option(help="Scores below it leave the graph as empty.")] = 0.0,
    cross_class: Annotated[
        bool, typer.Option(help="YOLACT: an instance suppresses those of other classes at its place, too.")
    ] = False,
    classes: Annotated[str | None, typer.Option(help="Only these classes: person,car.")] = None,
    half_weights: Annotated[bool, typer.Option(help="Store weights in half precision.")] = False,
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Write MODEL with everything after the network in the graph, checked against torch."""
    from streamseg.jobs.export import export_engine
    from streamseg.settings import size_hw_from_text

    with shown_on_stderr() as watcher:
        path = export_engine(
            model,
            output,
            weights=weights,
            input_hw=size_hw_from_text("--size", size) if size is not None else None,
            max_detections=max_detections,
            score_threshold=score_threshold,
            cross_class=cross_class,
            classes=[name.strip() for name in classes.split(",")] if classes is not None else None,
            half_weights=half_weights,
            cache_dir=cache,
            watcher=watcher,
        )
    say(f"{path}: exported and checked against torch; try: streamseg run CLIP --engine {path} -o out.mp4")
