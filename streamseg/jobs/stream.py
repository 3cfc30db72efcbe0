"""The Python way in: a loop over the results of a running pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamseg.jobs.run import build
from streamseg.streaming.config import load_config
from streamseg.structures import Result

__all__ = ["stream"]


def stream(*sources: str | int, config: str | None = None, **options: Any) -> Iterator[Result]:
    """Results of `sources`, frame by frame, while capture, engine and tracking run on in their own threads.

    `options` are the keys of the configuration (docs/configuration.md): `score=0.3`, `classes=["person"]`,
    `engine={"path": "yolact.onnx"}`, `output={"video": "out.mp4"}` …, `engine="yolact.onnx"` for short;
    `config` is a YAML file under them. Leaving the loop ends the run and finishes its outputs.

    Raises StreamsegError: ConfigError, SinkError and EngineError before the first frame, what a source,
    the engine or a sink raised from the loop.
    """
    if isinstance(options.get("engine"), str):
        options["engine"] = {"path": options["engine"]}
    if sources:
        options["sources"] = [str(source) for source in sources]
    return build(load_config(config, options)).results()
