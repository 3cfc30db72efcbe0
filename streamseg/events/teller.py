"""What the steps of the rules found, put as events. Tested in tests/events/test_watch.py."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamseg.events.config import EventsConfig
from streamseg.events.crossings import Crossed
from streamseg.events.episodes import Turn
from streamseg.events.ground import Pace
from streamseg.events.pairs import PairTurn
from streamseg.events.roster import Roster
from streamseg.events.state import Tally
from streamseg.structures import Event, Frame, Phase

__all__ = ["Teller", "event_id"]

Data = dict[str, float | int | str | bool]

_REASONS = {"zone": ("left", "lost"), "still": ("moved", "gone")}
"""By kind: why something ended that was seen to end, and that was not seen any more."""


def event_id(source_id: str, kind: str, rule: str, subject: int, began: float, life: str = "") -> str:
    """16 hex digits: the same whenever the same input is seen again, whatever else is."""
    text = "\n".join((source_id, kind, rule, str(subject), f"{began:.6f}", *filter(None, [life])))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Teller:
    """Makes the events of one frame, and keeps the tallies."""

    def __init__(
        self,
        config: EventsConfig,
        source_id: str,
        class_names: tuple[str, ...],
        frame: Frame,
        tallies: Mapping[str, Tally],
        staying: frozenset[str] | None = None,
        life: str = "",
    ) -> None:
        """`staying`: rules are changed, and what goes on under others than these ends. `life` of the source
        goes into ids."""
        self._changes = staying is not None
        self._staying = staying or frozenset()
        self.events: list[Event] = []
        self.tallies = dict(tallies)
        self._source_id, self._life = source_id, life
        self._classes = class_names
        self._frame = frame
        kinds = ("zone", config.zones), ("still", config.still), ("speed", config.speeds)
        self._objects = [(kind, name) for kind, rules in kinds for name in rules]
        self._lines = list(config.lines.items())
        self._picture = [("count", name) for name in config.counts]
        self._picture += [("occupancy", name) for name in config.occupancy]
        self._pairs = [("contact", name) for name in config.contacts]
        self._pairs += [("inside", name) for name in config.inside]
        self._first_speed = len(config.zones) + len(config.still)

    def objects(self, turns: list[Turn], roster: Roster, pace: Pace) -> None:
        """Turns of zones, still and speeds."""
        for turn in turns:
            kind, name = self._objects[turn.rule]
            if name in self._staying:
                continue
            data = self._timed(kind, turn)
            if kind == "zone":
                data |= self._counted(name, turn.phase)
            if kind == "speed":
                data["top_kmh"] = round(3.6 * float(pace.top[turn.row, turn.rule - self._first_speed]), 2)
            row = turn.row
            self._tell(kind, name, turn, int(roster.id[row]), int(roster.class_id[row]), data)

    def crossings(self, crossed: list[Crossed], roster: Roster) -> None:
        """Lines that were crossed."""
        for one in crossed:
            name, rule = self._lines[one.line]
            tally = self.tallies[name]
            tally = Tally(tally.entered + one.forward, tally.left + (not one.forward))
            self.tallies[name] = tally
            data: Data = {
                "direction": rule.forward if one.forward else rule.backward,
                "forward": one.forward,
                "unseen": one.unseen,
                "forward_count": tally.entered,
                "backward_count": tally.left,
            }
            track = int(roster.id[one.row])
            turn = Turn(one.row, one.line, "happened", one.at, one.at, track, lost=False)
            self._tell("line", name, turn, track, int(roster.class_id[one.row]), data)

    def pairs(self, turns: list[PairTurn], roster: Roster) -> None:
        """Turns between two objects."""
        class_of = dict(zip(roster.id.tolist(), roster.class_id.tolist(), strict=True))
        for turn, first, second in turns:
            kind, name = self._pairs[turn.rule]
            if name not in self._staying:
                data = self._timed(kind, turn) | {"other": second}
                self._tell(kind, name, turn, first, class_of.get(first), data)

    def picture(self, turns: list[Turn], values: NDArray[np.float64] | None) -> None:
        """Turns of counts and occupancy, with their values."""
        for turn in turns:
            kind, name = self._picture[turn.rule]
            if name in self._staying:
                continue
            data = self._timed(kind, turn)
            if values is not None:
                value = float(values[turn.rule])
                data |= {"count": int(value)} if kind == "count" else {"share": round(value, 4)}
            self._tell(kind, name, turn, None, None, data)

    def _timed(self, kind: str, turn: Turn) -> Data:
        if turn.phase == "started":
            return {}
        data: Data = {"seconds": round(turn.at - turn.began, 6)}
        if turn.phase == "ended":
            over, lost = _REASONS.get(kind, ("over", "lost"))
            data["reason"] = "rule removed" if self._changes else lost if turn.lost else over
        return data

    def _counted(self, name: str, phase: Phase) -> Data:
        """Of a zone, counted on."""
        tally = self.tallies[name]
        if phase == "updated":
            return {"loitering": True}
        tally = Tally(tally.entered + (phase == "started"), tally.left + (phase == "ended"))
        self.tallies[name] = tally
        return {"inside": tally.entered - tally.left, "entered": tally.entered, "left": tally.left}

    def _tell(
        self, kind: str, rule: str, turn: Turn, track: int | None, class_id: int | None, data: Data
    ) -> None:
        frame = self._frame
        self.events.append(
            Event(
                id=event_id(self._source_id, kind, rule, turn.subject, turn.began, self._life),
                kind=kind,
                rule=rule,
                phase=turn.phase,
                source_id=self._source_id,
                frame_index=frame.index,
                pts_seconds=frame.pts_seconds,
                at_seconds=turn.at,
                track=track,
                class_name=None if class_id is None else self._classes[class_id],
                data=data,
            )
        )
