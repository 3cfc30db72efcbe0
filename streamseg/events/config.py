"""Rules as they are written in a configuration, checked when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from streamseg.errors import ConfigError, did_you_mean
from streamseg.events.ground import corners_from_sides
from streamseg.events.shapes import Point, fault_of_line, fault_of_polygon
from streamseg.settings import Section

__all__ = [
    "RULE_KINDS",
    "AnyRule",
    "ContactRule",
    "CountRule",
    "EventsConfig",
    "InsideRule",
    "LineRule",
    "OccupancyRule",
    "Rule",
    "SpeedRule",
    "StillRule",
    "ZoneRule",
    "check_classes",
    "check_sources",
]

MOST_RULES = 200
RULE_KINDS = ("zones", "lines", "occupancy", "counts", "contacts", "inside", "still", "speeds")


def _sound_polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if fault := fault_of_polygon(points):
        raise ValueError(fault)
    return points


def _sound_line(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if fault := fault_of_line(points):
        raise ValueError(fault)
    return points


def _sound_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .:-]{0,62}", name):
        raise ValueError("a rule's name is 1 to 63 letters, digits, spaces and . : - _")
    return name


Number = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Name = Annotated[str, Field(min_length=1)]
RuleName = Annotated[str, AfterValidator(_sound_name)]
Polygon = Annotated[tuple[tuple[Number, Number], ...], AfterValidator(_sound_polygon)]
Line = Annotated[tuple[tuple[Number, Number], ...], AfterValidator(_sound_line)]
Place = Literal["area", "foot", "centre", "box_foot"]


class Rule(Section):
    """What every kind of rule has."""

    sources: tuple[Name, ...] | None = None
    """Ids of the sources it is for; all when left out."""


class _OfObjects(Rule):
    classes: tuple[Name, ...] | None = None
    """Classes of objects that count; all when left out."""


class ZoneRule(_OfObjects):
    polygon: Polygon
    """Corners in order, x y as shares of the picture's width and height."""
    at: Place = "area"
    """What must be inside: the mask (a share of it), its lowest rows, its centre, or the middle of the box's
    lower edge."""
    enter: Fraction = 0.5
    """`area`: an object is inside from this share of its mask on …"""
    leave: Fraction = 0.3
    """… until it is no more than this."""
    enter_after: Seconds = 0.2
    """For so long it must be inside, seconds, before it has entered."""
    leave_after: Seconds = 0.5
    """For so long it must be outside before it has left."""
    loiter: Annotated[float, Field(gt=0, le=86400)] | None = None
    """After so many seconds inside it is told again, as loitering."""

    @model_validator(mode="after")
    def _apart(self) -> ZoneRule:
        if self.leave >= self.enter:
            raise ValueError(f"leave ({self.leave:g}) must be below enter ({self.enter:g})")
        return self


class LineRule(_OfObjects):
    points: Line
    """Two or more points, x y as shares of the picture's width and height."""
    at: Place = "area"
    """As of a zone."""
    share: Annotated[float, Field(gt=0.5, le=1)] = 0.6
    """`area`: an object is on a side when this share of its mask is."""
    after: Seconds = 0.2
    """For so long it must be on the other side, seconds, before it has crossed."""
    forward: Name = "in"
    """Name of the direction from the line's left to its right, looking from its first point to its last."""
    backward: Name = "out"
    """Name of the other direction."""


class OccupancyRule(_OfObjects):
    polygon: Polygon
    over: Fraction = 0.5
    """Occupied from this share of the zone on that all masks together cover …"""
    under: Fraction = 0.4
    """… until it is no more than this."""
    after: Seconds = 1.0
    """For so long, seconds."""

    @model_validator(mode="after")
    def _apart(self) -> OccupancyRule:
        if self.under >= self.over:
            raise ValueError(f"under ({self.under:g}) must be below over ({self.over:g})")
        return self


class CountRule(Rule):
    zone: Name
    """The zone whose objects are counted."""
    least: Annotated[int, Field(ge=1, le=1000)]
    """From so many objects inside on."""
    after: Seconds = 1.0
    """For so long, seconds."""


class ContactRule(Rule):
    between: tuple[Name, Name]
    """Two classes, which may be the same."""
    within: Fraction = 0.0
    """Distance between the masks, as a share of the picture's width; 0: they touch."""
    after: Seconds = 0.5
    """For so long, seconds."""


class InsideRule(Rule):
    what: Name
    """Class of the object that is inside …"""
    of: Name
    """… an object of this class."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.6
    """How much of its mask the other's covers."""
    after: Seconds = 0.5
    """For so long, seconds."""


class StillRule(_OfObjects):
    after: Seconds = 30.0
    """An object that stays where it is for so many seconds is still."""
    move: Annotated[float, Field(gt=0, le=10)] = 0.2
    """How far its centre may wander, in sizes of the object (root of its box's area)."""
    polygon: Polygon | None = None
    """Where; the whole picture when left out."""
    unattended_by: Name | None = None
    """Only while no object of this class is near: abandoned."""
    reach: Fraction = 0.1
    """How near, as a share of the picture's width, between the masks' centres."""


class SpeedRule(_OfObjects):
    polygon: Polygon
    """Four corners on the ground."""
    metres: tuple[Number, Number, Number, Number] | None = None
    """Lengths of its four sides, beginning at the first corner …"""
    ground: tuple[tuple[Number, Number], ...] | None = None
    """… or the four corners' places on the ground, x y in metres."""
    over_kmh: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Objects from this speed on."""
    after: Seconds = 0.2
    """For so long, seconds."""

    @model_validator(mode="after")
    def _measured(self) -> SpeedRule:
        if len(self.polygon) != 4:
            raise ValueError(f"speed needs a polygon of four corners, this has {len(self.polygon)}")
        if (self.metres is None) == (self.ground is None):
            raise ValueError("speed needs either metres (four lengths) or ground (four places)")
        if self.metres is not None and (min(self.metres) <= 0 or corners_from_sides(self.metres) is None):
            raise ValueError("metres: four lengths above 0, none as long as the other three together")
        if self.ground is not None and (len(self.ground) != 4 or not _convex(self.ground)):
            raise ValueError("ground: four places in metres, corners of a convex quadrangle in order")
        if not _convex(self.polygon):
            raise ValueError("the polygon must be convex: a rectangle on the ground is")
        return self


AnyRule = ZoneRule | LineRule | OccupancyRule | CountRule | ContactRule | InsideRule | StillRule | SpeedRule


class EventsConfig(Section):
    """Rules by kind and name."""

    forget_after: Annotated[float, Field(ge=0, le=3600)] = 2.0
    """An object that was not seen for so many seconds is gone; it left when it was seen last."""
    hand_over_after: Annotated[float, Field(ge=0, le=60)] = 2.0
    """A track that begins within so many seconds beside one that ended is the same object; 0: never."""
    hand_over_reach: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How far from the way that the object would have gone on, in its sizes (root of its box's area)."""
    zones: dict[RuleName, ZoneRule] = Field(default={})
    lines: dict[RuleName, LineRule] = Field(default={})
    occupancy: dict[RuleName, OccupancyRule] = Field(default={})
    counts: dict[RuleName, CountRule] = Field(default={})
    contacts: dict[RuleName, ContactRule] = Field(default={})
    inside: dict[RuleName, InsideRule] = Field(default={})
    still: dict[RuleName, StillRule] = Field(default={})
    speeds: dict[RuleName, SpeedRule] = Field(default={})

    @model_validator(mode="after")
    def _consistent(self) -> EventsConfig:
        names = [name for name, _ in self.rules()]
        if twice := next((name for k, name in enumerate(names) if name in names[:k]), None):
            raise ValueError(f"two rules are called {twice!r}; give each a name of its own")
        if len(names) > MOST_RULES:
            raise ValueError(f"{len(names)} rules, more than {MOST_RULES}")
        for name, rule in self.counts.items():
            if rule.zone not in self.zones:
                hint = did_you_mean(rule.zone, self.zones) or f"there are {', '.join(self.zones) or 'none'}"
                raise ValueError(f"counts.{name}: no zone {rule.zone!r} ({hint})")
            of_zone = self.zones[rule.zone].sources
            if of_zone is not None and not set(rule.sources or ("",)) <= set(of_zone):
                raise ValueError(f"counts.{name}: its sources are not among those of zone {rule.zone!r}")
        return self

    def rules(self) -> Iterator[tuple[str, AnyRule]]:
        """Every rule and its name."""
        for kind in RULE_KINDS:
            yield from getattr(self, kind).items()


def check_classes(config: EventsConfig, known: tuple[str, ...]) -> None:
    """Raise ConfigError where a rule names a class that the engine does not have."""
    for name, rule in config.rules():
        for wanted in _classes_of(rule):
            if wanted not in known:
                hint = did_you_mean(wanted, known)
                aside = f" ({hint})" if hint else ""
                listing = ", ".join(known) if len(known) <= 20 else f"{len(known)} classes"
                raise ConfigError(
                    f"events: rule {name!r}: the engine has no class {wanted!r}{aside}; it has {listing}"
                )


def check_sources(config: EventsConfig, known: list[str]) -> None:
    """Raise ConfigError where a rule names a source that is not there."""
    for name, rule in config.rules():
        for wanted in rule.sources or ():
            if wanted not in known:
                raise ConfigError(
                    f"events: rule {name!r}: no source is called {wanted!r}; there are {', '.join(known)}"
                )


def _classes_of(rule: AnyRule) -> tuple[str, ...]:
    if isinstance(rule, ContactRule):
        return rule.between
    if isinstance(rule, InsideRule):
        return rule.what, rule.of
    if isinstance(rule, StillRule):
        return (*(rule.classes or ()), *((rule.unattended_by,) if rule.unattended_by else ()))
    return () if isinstance(rule, CountRule) else rule.classes or ()


def _convex(points: tuple[tuple[float, float], ...]) -> bool:
    turns = []
    for k in range(len(points)):
        (x0, y0), (x1, y1), (x2, y2) = points[k - 2], points[k - 1], points[k]
        turns.append((x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1))
    return all(t > 0 for t in turns) or all(t < 0 for t in turns)
