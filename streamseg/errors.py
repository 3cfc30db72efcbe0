"""Every error that streamseg raises on purpose. Tested in tests/cli/test_mistakes.py.

StreamsegError              one line for the user, an exit code for the shell
├── ConfigError             a configuration value, option or class name that cannot be used
│   └── NotThere            what is asked for by its name is not, or no longer, there
│       ├── UnknownSource
│       └── UnknownRule
├── SourceError             a source that cannot be opened or read
│   ├── SourceTimeout       no answer, or no frame, within the time allowed
│   └── CorruptSource       a source that decoded in part and then broke off
├── EngineError             an engine file that cannot be loaded or run
│   └── NotAnEngine         a model file that does not meet the engine contract
├── ExportError             a network that could not be exported, or whose export differs
├── CheckpointError         a weights file that cannot be read or does not fit the model
│   └── DownloadFailed      published weights that could not be fetched (zoo/download.py)
├── DatasetError            annotations or images that cannot be used
├── TrainingError           a training run that diverged or could not be saved
├── NotCertified            an engine that differs too much from its reference, or cannot be judged
├── Interrupted             a signal ended the work before it had a result
├── SinkError               an output that cannot be opened or written
├── StuckStage              a part of the pipeline that does not end (pipeline/pipeline.py)
└── MissingDependency       an optional package that is not installed
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from streamseg.source_state import SourceReason

__all__ = [
    "CheckpointError",
    "ConfigError",
    "CorruptSource",
    "DatasetError",
    "EngineError",
    "ExportError",
    "Interrupted",
    "MissingDependency",
    "NotAnEngine",
    "NotCertified",
    "NotThere",
    "SinkError",
    "SourceError",
    "SourceTimeout",
    "StreamsegError",
    "TrainingError",
    "UnknownRule",
    "UnknownSource",
    "did_you_mean",
]


class StreamsegError(Exception):
    """An expected failure: its text is one line that names the cause and the cure."""

    exit_code = 1


class ConfigError(StreamsegError):
    exit_code = 2


class NotThere(ConfigError):
    kind = "thing"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        there = ", ".join(sorted(known)) or "none"
        super().__init__(f"there is no {self.kind} {name!r}; there are: {there}")


class UnknownSource(NotThere):
    kind = "source"


class UnknownRule(NotThere):
    kind = "rule"


class SourceError(StreamsegError):
    exit_code = 3

    def __init__(self, text: str, reason: SourceReason | None = None) -> None:
        """`reason`: what kind of trouble, by which a live source decides when to try again."""
        super().__init__(text)
        self.reason: SourceReason | None = reason


class SourceTimeout(SourceError):
    def __init__(self, text: str) -> None:
        super().__init__(text, "timeout")


class CorruptSource(SourceError):
    pass


class EngineError(StreamsegError):
    exit_code = 4


class NotAnEngine(EngineError):
    pass


class NotCertified(StreamsegError):
    exit_code = 1


class ExportError(StreamsegError):
    exit_code = 4


class CheckpointError(StreamsegError):
    exit_code = 4


class DatasetError(StreamsegError):
    exit_code = 6


class TrainingError(StreamsegError):
    exit_code = 1


class Interrupted(StreamsegError):
    def __init__(self, text: str, exit_code: int) -> None:
        """`exit_code`: 129 after SIGHUP, 130 after SIGINT, 143 after SIGTERM."""
        super().__init__(text)
        self.exit_code = exit_code


class SinkError(StreamsegError):
    exit_code = 5


class MissingDependency(StreamsegError):
    exit_code = 7

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingDependency:
        """The same sentence everywhere: what is missing, what for, how to install it."""
        return cls(f"{purpose} needs {package}: pip install 'streamseg[{extra}]'")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'X'?` for a message, or nothing when no known name is close."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
