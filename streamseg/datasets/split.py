"""Which files are never trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["held_out"]


def held_out(file_names: Iterable[str], share: float) -> frozenset[str]:
    """The `share` of the names (rounded to whole files) whose SHA-256 is smallest.

    It depends on nothing but the names, so every machine and every run holds out the same files.
    """
    ranked = sorted(file_names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(ranked[: round(share * len(ranked))])
