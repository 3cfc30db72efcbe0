"""What tells exports of one program from those of another: the sources that an export is made by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

__all__ = ["export_revision", "sources_digest"]

MADE_BY = ("export", "models", "engine_contract.py", "engines/metadata.py")
"""Networks with their tails, the exporter and its check, and what is written into the file."""


@cache
def export_revision() -> str:
    """Changes with every change of the exporter, released or not: what was exported before is made again.
    Reads 60 small files, 3 ms. Where the sources are not installed it says nothing."""
    package = Path(str(files("streamseg")))
    return sources_digest(package / part for part in MADE_BY)


def sources_digest(parts: Iterable[Path]) -> str:
    """Of the Python files given, and in the folders given: 16 hex digits over names and contents."""
    digest = hashlib.sha256()
    for part in parts:
        for source in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            if source.is_file():
                content = source.read_bytes()
                digest.update(f"{source.relative_to(part.parent)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
