"""Effects as they are asked for: `KIND[:WHAT,…][=VALUE]`, such as `blur:person` or `replace=beach.jpg`.

Tested in tests/overlay/test_effects.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from streamseg.errors import ConfigError, did_you_mean

__all__ = ["EffectKind", "EffectSpec", "parse_effect", "refuse_unknown_classes"]

EffectKind = Literal["highlight", "blur", "replace", "remove", "cutout", "heat", "trails"]
_TAKES_VALUE = {"replace": "a picture or a colour #rrggbb"}


@dataclass(frozen=True, slots=True)
class EffectSpec:
    """One effect and the objects that it is about."""

    kind: EffectKind
    classes: frozenset[str]
    ids: frozenset[int]
    value: str

    def wants(self, class_name: str, track: int) -> bool:
        """Whether it is about this object; without classes and ids it is about all."""
        return not (self.classes or self.ids) or class_name in self.classes or track in self.ids


def parse_effect(text: str) -> EffectSpec:
    """The effect that `text` asks for. Raises ConfigError."""
    head, _, value = text.partition("=")
    kind, colon, what = head.partition(":")
    known = get_args(EffectKind)
    if kind not in known:
        listing = ", ".join(known)
        raise ConfigError(f"--effect {text}: no such effect {did_you_mean(kind, known)}; there are {listing}")
    if bool(value) != (kind in _TAKES_VALUE):
        cure = f"={_TAKES_VALUE[kind]}" if kind in _TAKES_VALUE else ", and no value"
        raise ConfigError(f"--effect {text}: expected {kind}[:class or #id]{cure}")
    names = [name.strip() for name in what.split(",")] if colon else []
    if not all(names):
        raise ConfigError(f"--effect {text}: an empty name after the colon; write {kind}:person or {kind}:#7")
    ids = frozenset(int(name[1:]) for name in names if re.fullmatch(r"#\d{1,18}", name))
    classes = frozenset(name for name in names if not re.fullmatch(r"#\d{1,18}", name))
    return EffectSpec(cast(EffectKind, kind), classes, ids, value)


def refuse_unknown_classes(specs: Iterable[EffectSpec], known: tuple[str, ...]) -> None:
    """Raise ConfigError where an effect is about a class that the engine does not have."""
    for spec in specs:
        for name in sorted(spec.classes - set(known)):
            hint = did_you_mean(name, known) or "see streamseg engines; an id is written #7"
            raise ConfigError(f"--effect {spec.kind}:{name}: the engine has no class {name!r} ({hint})")
