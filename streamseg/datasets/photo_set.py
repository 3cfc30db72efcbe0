"""One data set in a mixture of several: its share, and what its annotations leave out.

Tested in tests/training/test_single_set.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PhotoSet"]


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A data set as it lies in the data folder."""

    folder: str
    """Holds instances.json and images/."""
    share: float
    """Part of the photographs in training drawn from this set."""
    held_out_share: float
    licence: str
    uncounted: tuple[str, ...] = ()
    """Our classes that occur in its pictures without being annotated: neither learnt as background there nor
    judged."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Its name → our name."""
    near_duplicates: frozenset[str] = frozenset()
    """Held-out pictures with a twin among those trained on: not judged."""
