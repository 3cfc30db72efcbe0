"""The catalogue as text. Tested in tests/zoo/test_published.py."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from streamseg.zoo.cache import read_record, weights_path
from streamseg.zoo.published import PUBLISHED, PublishedWeights
from streamseg.zoo.pull import pulled

__all__ = ["describe_models"]

NAME_WIDTH = max(map(len, PUBLISHED))


def describe_models(cache_dir: str | Path | None = None) -> list[str]:
    """Lines for the terminal: each family, and each of its weights with AP, size, licence, state, address."""
    lines = []
    for family, entries in groupby(PUBLISHED.values(), key=lambda entry: entry.family):
        rows = list(entries)
        lines.append(f"{family}  ({rows[0].project}, mask AP as published)")
        for entry in rows:
            lines += _describe(entry, cache_dir)
    return lines


def _describe(entry: PublishedWeights, cache_dir: str | Path | None) -> list[str]:
    ap = ", ".join(f"{value} {split}" for split, value in entry.mask_ap_percent)
    use = "" if entry.commercial_use else ", NO COMMERCIAL USE"
    state = ", pulled" if pulled(entry, cache_dir) else ""
    return [
        f"  {entry.name:<{NAME_WIDTH}}  mask AP {ap}, {_size(entry, cache_dir)}, {entry.licence}{use}{state}",
        f"      {entry.urls[0]}",
    ]


def _size(entry: PublishedWeights, cache_dir: str | Path | None) -> str:
    record = read_record(weights_path(entry, cache_dir))
    if record:
        return f"{record.size_bytes / 1e6:.1f} MB"
    return f"about {entry.parameters * 4:.0f} MB" if entry.parameters else "size not published"
