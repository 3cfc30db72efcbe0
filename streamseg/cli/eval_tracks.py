"""`streamseg eval-tracks`: how well ids stay, in the field's figures.

Tested in tests/jobs/test_eval_tracks.py.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from streamseg.cli.options import PRECISION_HELP, RUNTIME_HELP, CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose
from streamseg.errors import ConfigError

__all__ = ["eval_tracks"]


def option(help_text: str, **more: Any) -> Any:
    return typer.Option(help=help_text, show_default=False, **more)


def eval_tracks(
    truth: Annotated[Path, typer.Argument(help="MOT or MOTS gt.txt, our .jsonl, or a folder of them.")],
    results: Annotated[Path | None, option("Tracks to score: such a file or folder.")] = None,
    detections: Annotated[Path | None, option("Detections, for our tracker to follow.")] = None,
    video: Annotated[Path | None, option("Video, for ENGINE to find them in, once.")] = None,
    engine: Annotated[str | None, option("Engine file or name, for --video.")] = None,
    score: Annotated[float, option("Detections from here on are shown.", min=0.0, max=1.0)] = 0.3,
    fps: Annotated[float | None, option("Rate of detections without times.", min=0.001)] = None,
    json: Annotated[Path | None, option("Write all figures as JSON; per cent.")] = None,
    runtime: Annotated[str, option(RUNTIME_HELP)] = "auto",
    precision: Annotated[str, option(PRECISION_HELP)] = "auto",
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Score tracks against TRUTH: HOTA, DetA, AssA, MOTA, IDF1, and sMOTSA of masks."""
    from streamseg.evaluation import require_packages

    if sum(given is not None for given in (results, detections, video)) != 1:
        raise ConfigError("eval-tracks: give one of --results, --detections, --video")
    if (video is None) != (engine is None):
        raise ConfigError("eval-tracks: --video and --engine go together")
    require_packages()
    from streamseg.jobs.eval_tracks import evaluate_tracks

    with shown_on_stderr() as watcher:
        if video is not None and engine is not None:
            from streamseg.jobs.detections import kept_detections
            from streamseg.jobs.obtain import engine_path

            path = engine_path(engine, cache, watcher)
            detections = kept_detections(
                path,
                video,
                score / 3,
                watcher,
                runtime=runtime,
                precision=precision,
                cache=Path(cache) if cache else None,
            )
            watcher.say(f"detections: {detections}")
        figures = evaluate_tracks(
            truth,
            results=results,
            detections=detections,
            score=score,
            fps=fps,
            json=json,
            progress=partial(watcher.progress, "scoring"),
        )
    _print(figures)


def _print(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from streamseg.addresses import printable

    table = Table(box=None, pad_edge=False)
    table.add_column(figures["compared"])
    for name in figures["all"]:
        table.add_column(name, justify="right")
    several = figures["sequences"] if len(figures["sequences"]) > 1 else {}
    for label, scores in (several | {"all": figures["all"]}).items():
        cells = [f"{value:.2f}" if name != "IDSW" else f"{value:.0f}" for name, value in scores.items()]
        table.add_row(Text(printable(label)), *cells)
    Console().print(table)
