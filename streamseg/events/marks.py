"""What of the rules can be seen: zones and lines with their counts. Tested in tests/events/test_watch.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamseg.events.config import EventsConfig
from streamseg.events.shapes import Point
from streamseg.events.state import WatchState
from streamseg.structures import Mark

__all__ = ["marks_of"]


def marks_of(config: EventsConfig, state: WatchState, frame_hw: tuple[int, int]) -> tuple[Mark, ...]:
    """The zones and lines of one source's rules, with their state after a frame of this size."""
    busy = state.picture.on[0].tolist()
    crowded = {rule.zone for rule, is_on in zip(config.counts.values(), busy, strict=False) if is_on}
    return tuple(
        Mark(
            name, (np.array(points) * frame_hw[::-1]).astype(np.float32), is_line, text, name in crowded or on
        )
        for name, points, is_line, text, on in _shapes(config, state)
    )


def _shapes(
    config: EventsConfig, state: WatchState
) -> Iterator[tuple[str, Sequence[Point], bool, str, bool]]:
    inside = state.objects.on.sum(axis=0).tolist()
    for k, (name, zone) in enumerate(config.zones.items()):
        text = f"{inside[k]} inside, {state.tallies[name].entered} entered"
        yield name, zone.polygon, False, text, inside[k] > 0
    for name, line in config.lines.items():
        tally = state.tallies[name]
        yield name, line.points, True, f"{tally.entered} {line.forward}, {tally.left} {line.backward}", False
    for k, (name, rule) in enumerate(config.occupancy.items(), len(config.counts)):
        busy = bool(state.picture.on[0, k])
        yield name, rule.polygon, False, "occupied" if busy else "free", busy
    places = [(name, still.polygon, "still") for name, still in config.still.items()]
    places += [(name, speed.polygon, "over the limit") for name, speed in config.speeds.items()]
    for k, (name, polygon, what) in enumerate(places, len(config.zones)):
        if polygon:
            yield name, polygon, False, f"{inside[k]} {what}", inside[k] > 0


def _pixels(points: Sequence[Point], frame_hw: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(np.array(points) * frame_hw[::-1], np.float32)
