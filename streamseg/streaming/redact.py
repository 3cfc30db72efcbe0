"""Between the tracker and everything that shows, writes or sends: the one place where results are let go.

Without redaction they pass as they are. With it the tracker's stage gives `Unreleased`, which nothing else
takes, and a stage for each source makes results of it.
Tested in tests/redaction/test_wiring.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from streamseg.errors import ConfigError
from streamseg.masks import without_doubles
from streamseg.pipeline.channel import Policy
from streamseg.pipeline.output import Output, Tap
from streamseg.pipeline.parts import StagePart
from streamseg.pipeline.pipeline import Pipeline
from streamseg.redaction import RedactConfig, Redacted, Redactor, Unreleased
from streamseg.redaction.config import FILE_DELAY_S, LIVE_DELAY_S
from streamseg.redaction.redactor import LOW_SCORE
from streamseg.streaming.choice import class_ids
from streamseg.streaming.config import RunConfig
from streamseg.streaming.segment import Choice
from streamseg.structures import Frame, Instances, Result, Segmented

__all__ = ["Letting", "Passing", "Redacting", "TrackStage", "letting_of"]

_log = logging.getLogger(__name__)

_AHEAD = 8
"""Results that may wait for a redactor; when there are more, their source waits."""


Tracking = StagePart[Segmented | Frame, Result]


@dataclass(frozen=True, slots=True)
class TrackStage:
    """How the tracker's stage is added to the pipeline."""

    open: Callable[[], Tracking]
    inputs: Sequence[Output[Segmented] | Tap[Any]]
    batch: int
    capacity: int
    stays_open: bool


class Letting(Protocol):
    """Lets results go to whoever reads them."""

    def asked_of_engine(self, choice: Choice) -> Choice:
        """What the engine's stage must keep for `choice` to be shown, now and from now on. From any
        thread."""

    def begin(self, track: TrackStage) -> None:
        """Add the tracker's stage to the pipeline."""

    def add(self, source_id: str, fps_of: Callable[[], float | None], *, live: bool) -> None:
        """Another source; to be called before `of`."""

    def of(self, source_id: str, *, capacity: int, policy: Policy) -> Tap[Result]:
        """A reader of its results."""


def letting_of(config: RunConfig, classes: tuple[str, ...], pipeline: Pipeline) -> Letting:
    """What lets the results of a run with `config` go; `classes` are the engine's. Raises ConfigError for
    names of classes that it does not have."""
    if config.redact is None:
        return Passing(pipeline)
    return Redacting(pipeline, config.redact, classes)


class Passing:
    """Nothing is to be redacted: every reader reads the tracker's stage."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def asked_of_engine(self, choice: Choice) -> Choice:
        return choice

    def begin(self, track: TrackStage) -> None:
        self._followed = _add_track(self._pipeline, track, track.open, _source_of_result)

    def add(self, source_id: str, fps_of: Callable[[], float | None], *, live: bool) -> None: ...

    def of(self, source_id: str, *, capacity: int, policy: Policy) -> Tap[Result]:
        return self._followed.of(source_id, capacity=capacity, policy=policy)


class Redacting:
    """A redactor for each source between the tracker's stage and every reader."""

    def __init__(self, pipeline: Pipeline, asked: RedactConfig, classes: tuple[str, ...]) -> None:
        """Raises ConfigError."""
        self._pipeline = pipeline
        self._asked = asked
        self._covered = _covered_ids(asked, classes)
        self._shown: Choice | None = None
        self._outputs: dict[str, Output[Result]] = {}

    def asked_of_engine(self, choice: Choice) -> Choice:
        self._shown = choice
        classes = choice.classes and choice.classes | self._covered
        # No double is left out: of a person and a dog in one place, the person must be known.
        return Choice(min(choice.score, LOW_SCORE), classes, 1.0)

    def begin(self, track: TrackStage) -> None:
        self._found = _add_track(self._pipeline, track, lambda: self._opened(track), _source_of_unreleased)

    def _opened(self, track: TrackStage) -> _Withheld:
        return _Withheld(track.open(), lambda: self._shown)

    def add(self, source_id: str, fps_of: Callable[[], float | None], *, live: bool) -> None:
        asked = self._asked

        def opened() -> _RedactStage:
            delay_s = asked.delay_s or (LIVE_DELAY_S if live else FILE_DELAY_S)
            return _RedactStage(
                lambda: Redactor(
                    asked.classes,
                    delay_s=delay_s,
                    reveal=asked.reveal,
                    memory_bytes=asked.memory_mb << 20,
                    fps=fps_of(),
                )
            )

        # Every result must come through: what it found covers frames that wait. On an error everything ends:
        # going on without would be going on in the clear.
        self._outputs[source_id] = self._pipeline.add_stage(
            f"redact {source_id}",
            opened,
            [self._found.of(source_id, capacity=_AHEAD, policy="block")],
            capacity=_AHEAD,
            policy="block",
            on_error="abort",
        )

    def of(self, source_id: str, *, capacity: int, policy: Policy) -> Tap[Result]:
        return self._outputs[source_id].tap(capacity=capacity, policy=policy)


def _covered_ids(asked: RedactConfig, classes: tuple[str, ...]) -> frozenset[int]:
    try:
        return class_ids(asked.classes, classes) or frozenset()
    except ConfigError as error:
        raise ConfigError(f"redact.{error}") from error


class _Withheld:
    """The tracker's stage, whose results are not let go: nothing but a redactor takes what it gives."""

    def __init__(self, follow: Tracking, shown: Callable[[], Choice | None]) -> None:
        self._follow = follow
        self._shown = shown

    def process(self, items: list[Segmented | Frame]) -> Iterator[Unreleased]:
        for item in items:
            if isinstance(item, Frame):
                raise TypeError(f"{item!r} has not been looked at: no age is promised beside redaction")
            for result in self._follow.process([_narrowed(item, self._shown())]):
                yield Unreleased(result, item.instances, item.refused)

    def drain(self) -> Iterable[Unreleased]:
        return ()

    def forget(self, source: str) -> None:
        forget: Callable[[str], None] | None = getattr(self._follow, "forget", None)
        if forget:
            forget(source)

    def close(self) -> None:
        self._follow.close()


def _narrowed(item: Segmented, choice: Choice | None) -> Segmented:
    """What is shown of all that was found."""
    found = item.instances
    if choice is None or not len(found):
        return item
    keep = found.score >= choice.score
    if choice.classes is not None:
        keep &= np.isin(found.class_id, list(choice.classes))
    rows = np.flatnonzero(keep)
    kept = found.select(rows)
    if choice.double_iou < 1:
        single = _single(kept, choice.double_iou)
        rows, kept = rows[single], kept.select(single)
    return replace(item, instances=kept, stuff=item.stuff and item.stuff.select(rows, len(found)))


def _single(found: Instances, most_iou: float) -> Any:
    return without_doubles(found.xyxy, found.score, found.class_id, found.masks, most_iou)


class _RedactStage:
    """The redactor of one source, made when the first frame is there: the source knows its rate by then."""

    def __init__(self, make: Callable[[], Redactor]) -> None:
        self._make = make
        self._redactor: Redactor | None = None

    def process(self, items: list[Unreleased]) -> Iterator[Redacted]:
        self._redactor = self._redactor or self._make()
        for item in items:
            yield from self._redactor.take(item)

    def finish(self, source: str) -> Iterator[Redacted]:
        """What is held back, at the end of its source."""
        redactor, self._redactor = self._redactor, None
        if redactor is None:
            return
        yield from redactor.finish()
        for track in sorted(redactor.unseen_reveals):
            _log.warning("redact.reveal %d: no object of %s had that id; nothing was revealed", track, source)

    def drain(self) -> Iterable[Redacted]:
        return self._redactor.finish() if self._redactor else ()

    def close(self) -> None:
        self._redactor = None


def _add_track(
    pipeline: Pipeline,
    track: TrackStage,
    opened: Callable[[], StagePart[Segmented | Frame, Any]],
    source_of: Callable[[Any], str],
) -> Output[Any]:
    return pipeline.add_stage(
        "track",
        opened,
        track.inputs,
        batch=track.batch,
        capacity=track.capacity,
        policy="block",
        source_of=source_of,
        stays_open=track.stays_open,
    )


def _source_of_result(result: Result) -> str:
    return result.frame.source_id


def _source_of_unreleased(item: Unreleased) -> str:
    return item.result.frame.source_id
