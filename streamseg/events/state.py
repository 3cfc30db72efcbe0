"""All that the rules of one source remember; a snapshot of it, and another set of rules on it.

Tested in tests/events/test_watch.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamseg.errors import ConfigError
from streamseg.events.config import EventsConfig
from streamseg.events.crossings import Sides
from streamseg.events.episodes import Episodes
from streamseg.events.ground import Pace
from streamseg.events.pairs import PairStates
from streamseg.events.resting import Resting
from streamseg.events.roster import Roster
from streamseg.events.rows import arrays_of, from_plain, plain, with_columns

__all__ = ["Tally", "WatchState", "packed", "same_rules", "transferred", "unpacked"]

SNAPSHOT = 1
"""Version of what `packed` writes."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a zone or line has counted."""

    entered: int = 0
    """Entered the zone, or crossed the line forward."""
    left: int = 0
    """Left the zone, or crossed the line backward."""


@dataclass(frozen=True, slots=True, eq=False)
class WatchState:
    """All that the rules of one source remember."""

    now: float
    """Media time of the last frame, seconds; −∞ before the first."""
    roster: Roster
    objects: Episodes
    """A row for each object of the roster; columns: zones, still, speeds."""
    sides: Sides
    resting: Resting
    pace: Pace
    picture: Episodes
    """One row; columns: counts, occupancy."""
    pairs: PairStates
    """Columns: contacts, inside."""
    tallies: Mapping[str, Tally]
    """By name of the zone or line."""
    hand_overs: int
    """Tracks that went on under another id."""

    @classmethod
    def none(cls, config: EventsConfig) -> WatchState:
        """Before the first frame."""
        objects = len(config.zones) + len(config.still) + len(config.speeds)
        return cls(
            -math.inf,
            Roster.none(),
            Episodes.none(0, objects),
            Sides.none(0, len(config.lines)),
            Resting.none(0, len(config.still)),
            Pace.none(0, len(config.speeds)),
            Episodes.none(1, len(config.counts) + len(config.occupancy)),
            PairStates.none(len(config.contacts) + len(config.inside)),
            {name: Tally() for name in (*config.zones, *config.lines)},
            0,
        )


def same_rules(old: EventsConfig, new: EventsConfig) -> frozenset[str]:
    """Names of the rules that both have, alike."""
    before = dict(old.rules())
    zones = {name for name, rule in new.zones.items() if before.get(name) == rule}
    same = {name for name, rule in new.rules() if before.get(name) == rule}
    # A count is of its zone: another zone of that name is another count.
    return frozenset(name for name in same if name not in new.counts or new.counts[name].zone in zones)


def transferred(state: WatchState, old: EventsConfig, new: EventsConfig) -> WatchState:
    """`state` under other rules; columns of those that are the same stay, the others begin anew."""
    stays = same_rules(old, new)

    def picks(kinds: tuple[str, ...]) -> list[int | None]:
        had = [name for kind in kinds for name in getattr(old, kind)]
        have = [name for kind in kinds for name in getattr(new, kind)]
        return [had.index(name) if name in stays else None for name in have]

    rows, empty = len(state.roster), WatchState.none(new)
    objects = Episodes.none(rows, empty.objects.on.shape[1])
    pair_picks = picks(("contacts", "inside"))
    none = Episodes.none(len(state.pairs.first), len(pair_picks))
    return replace(
        state,
        objects=with_columns(state.objects, picks(("zones", "still", "speeds")), objects),
        sides=with_columns(state.sides, picks(("lines",)), Sides.none(rows, len(new.lines))),
        resting=with_columns(state.resting, picks(("still",)), Resting.none(rows, len(new.still))),
        pace=with_columns(state.pace, picks(("speeds",)), Pace.none(rows, len(new.speeds))),
        picture=with_columns(state.picture, picks(("counts", "occupancy")), empty.picture),
        pairs=replace(state.pairs, episodes=with_columns(state.pairs.episodes, pair_picks, none)),
        tallies={n: state.tallies[n] if n in stays else tally for n, tally in empty.tallies.items()},
    )


_STATES = {"roster": Roster, "objects": Episodes, "sides": Sides, "resting": Resting, "pace": Pace}


def packed(state: WatchState, config: EventsConfig) -> dict[str, Any]:
    """`state` as JSON can hold it, with the rules that it is of."""
    pairs = {key: getattr(state.pairs, key).tolist() for key in ("first", "second", "last_seen", "name")}
    return {
        "snapshot": SNAPSHOT,
        "rules": config.model_dump(mode="json"),
        "now": state.now if math.isfinite(state.now) else None,
        **{key: plain(getattr(state, key)) for key in (*_STATES, "picture")},
        "pairs": {**pairs, "episodes": plain(state.pairs.episodes)},
        "tallies": {name: [tally.entered, tally.left] for name, tally in state.tallies.items()},
        "hand_overs": state.hand_overs,
    }


def unpacked(snapshot: Mapping[str, Any], config: EventsConfig) -> WatchState:
    """What `packed` wrote, for these rules. Raises ConfigError."""
    try:
        if snapshot["snapshot"] != SNAPSHOT:
            raise ValueError(f"version {snapshot['snapshot']}")
        old = EventsConfig.model_validate(snapshot["rules"])
        empty = WatchState.none(old)
        parts: dict[str, Any] = {
            k: from_plain(kind, snapshot[k], getattr(empty, k)) for k, kind in _STATES.items()
        }
        kept = snapshot["pairs"]
        first, second, name = (np.array(kept[key], np.int64) for key in ("first", "second", "name"))
        episodes = from_plain(Episodes, kept["episodes"], empty.pairs.episodes)
        state = WatchState(
            now=-math.inf if snapshot["now"] is None else float(snapshot["now"]),
            picture=from_plain(Episodes, snapshot["picture"], empty.picture),
            pairs=PairStates(first, second, np.array(kept["last_seen"], np.float64), name, episodes),
            tallies={name: Tally(int(a), int(b)) for name, (a, b) in snapshot["tallies"].items()},
            hand_overs=int(snapshot["hand_overs"]),
            **parts,
        )
        if len({len(arrays_of(part)[0]) for part in parts.values()}) > 1 or len(episodes.on) != len(first):
            raise ValueError("its parts do not belong together")
        return transferred(state, old, config)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"not a snapshot of event rules: {error}; begin without one") from error
