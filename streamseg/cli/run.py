"""`streamseg run`: the main job."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from streamseg.cli.json_log import LogFormat
from streamseg.cli.options import PRECISION_HELP, RUNTIME_HELP, CacheFolder, seconds_from_text
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose

__all__ = ["run"]

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE...",
        help="A file, rtsp:// or http:// address, webcam (0, /dev/video0), folder of images, or synthetic.",
        show_default=False,
    ),
]


def option(help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, show_default=False, **more)


def run(
    sources: Sources = None,
    engine: Annotated[
        str | None, option("Engine file or name (see models); default: compact.", "--engine")
    ] = None,
    runtime: Annotated[str | None, option(RUNTIME_HELP, "--runtime")] = None,
    cache: CacheFolder = None,
    precision: Annotated[str | None, option(PRECISION_HELP, "--precision")] = None,
    video: Annotated[
        list[str] | None, option("Annotated: .mp4, .mkv, live.m3u8 (HLS), rtsp://….", "-o", "--output")
    ] = None,
    jsonl: Annotated[str | None, option("JSON Lines, one per frame; - is stdout.", "--jsonl")] = None,
    events: Annotated[str | None, option("Events as JSON Lines; - is stdout.", "--events")] = None,
    publish: Annotated[
        list[str] | None,
        option("Events to https://…, mqtt://broker/prefix, kafka://broker/topic.", "--publish"),
    ] = None,
    segments: Annotated[
        str | None, option("Folder for streams as the cameras send them, in files of a minute.", "--segments")
    ] = None,
    clips: Annotated[str | None, option("Folder for such a clip of each event.", "--clips")] = None,
    record: Annotated[
        str | None, option("A record, for streamseg render, query and report.", "--record")
    ] = None,
    images: Annotated[str | None, option("Folder for annotated images.", "--images")] = None,
    show: Annotated[bool | None, option("Show a window; q closes it.", "--show")] = None,
    classes: Annotated[str | None, option("Only these classes: person,car.", "--classes")] = None,
    score: Annotated[float | None, option("Least score, 0 to 1; default 0.3.", "--score")] = None,
    max_frames: Annotated[int | None, option("Stop after so many frames.", "--max-frames")] = None,
    trail: Annotated[float | None, option("Trail behind each object, seconds.", "--trail")] = None,
    effect: Annotated[
        list[str] | None, option("highlight, blur, cutout …, of KIND[:class or #id][=VALUE].", "--effect")
    ] = None,
    drop: Annotated[str | None, option("auto, oldest or never.", "--drop")] = None,
    max_age: Annotated[
        str | None, option("Live: no older result reaches an output; 150ms.", "--max-age")
    ] = None,
    summary: Annotated[str | None, option("Write the summary as JSON; - is stdout.", "--summary")] = None,
    allow_failed: Annotated[
        bool | None, option("Run an engine that certify failed.", "--allow-failed-certificate")
    ] = None,
    rebuild: Annotated[bool | None, option("Rebuild an .engine made elsewhere.", "--rebuild")] = None,
    serve: Annotated[str | None, option("Live page and HTTP API at HOST:PORT.", "--serve")] = None,
    token_file: Annotated[
        str | None, option("File with the token; wanted beyond this machine.", "--token-file")
    ] = None,
    config: Annotated[str | None, option("YAML configuration; flags win over it.", "--config")] = None,
    log_format: Annotated[str | None, LogFormat] = None,
    verbose: Verbose = 0,
) -> None:
    """Outline and follow every object of a video, camera or stream."""
    from streamseg.cli.live_view import run_with_live_line, run_with_log
    from streamseg.jobs.run import build
    from streamseg.streaming.config_file import ConfigFile

    more = {"cache": cache, "allow_failed_certificate": allow_failed, "rebuild": rebuild}
    flags = {
        "sources": sources or None,
        "engine": {"path": engine, "runtime": runtime, "precision": precision, **more},
        "output": {
            "video": video or None,
            "jsonl": jsonl,
            "events": events,
            "publish": publish or None,
            "record": record,
            "images": images,
            "show": show,
            "summary": summary,
        },
        "recording": {"segments": segments, "clips": clips},
        "overlay": {"trail_seconds": trail, "effects": effect or None},
        "classes": [name.strip() for name in classes.split(",")] if classes is not None else None,
        "score": score,
        "max_frames": max_frames,
        "drop": drop,
        "serve": {"address": serve, "token_file": token_file},
        "max_age_s": seconds_from_text("--max-age", max_age),
    }
    file = ConfigFile(config, _given(flags))
    with shown_on_stderr() as watcher:
        job = build(file.load(), watcher=watcher, file=file)
    raise typer.Exit(run_with_log(job) if log_format == "json" else run_with_live_line(job))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """Without the flags that were not used, so that they do not hide the file's values."""
    nested = {key: _given(value) if isinstance(value, dict) else value for key, value in flags.items()}
    return {key: value for key, value in nested.items() if value not in (None, {})}
