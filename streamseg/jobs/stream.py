"""The Python way in: a loop over the results of a running pipeline.

Tested in tests/streaming/test_threads.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from streamseg.jobs.run import build
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.structures import Result

__all__ = ["ResultStream", "stream"]


class ResultStream(Iterator[Result]):
    """Results as they come. `close`, or dropping it as leaving the loop does, ends the run properly."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._results = job.results()

    def __next__(self) -> Result:
        return next(self._results)

    def clip(self, source_id: str, name: str = "") -> None:
        """Keep what the camera sent around this moment, in the folder `recording.clips`; `name` becomes
        part of the file's. Raises ConfigError."""
        self._job.clip(source_id, name)

    def close(self) -> None:
        """End the run, whether it has begun or not. Idempotent."""
        self._results.close()
        self._job.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def stream(*sources: str | int, config: str | None = None, **options: Any) -> ResultStream:
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
    return ResultStream(build(load_config(config, options)))
