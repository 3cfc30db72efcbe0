"""What a record says of the run that made it, and of each of its sources.

Tested in tests/records/test_store.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from streamseg.addresses import file_path, is_address

__all__ = ["RunHeader", "Take", "clip_fingerprint"]

_MOST_CLASSES = 65536
_SLICES, _SLICE = 16, 65536


@dataclass(frozen=True, slots=True)
class RunHeader:
    """One run."""

    classes: tuple[str, ...]
    """The engine's, in the order of class ids."""
    version: str = ""
    """Of streamseg."""
    engine: str = ""
    """Its name and model."""
    engine_sha256: str = ""
    certificate: str = ""
    """Verdict of the engine's certificate; empty where it has none."""
    certificate_sha256: str = ""
    colours: tuple[str, ...] = ()
    """`#rrggbb`, by track id from 1 on, then from the first again; by class where there is no track."""
    redacted: tuple[str, ...] = ()
    """Classes of which a record has no mask and no box, and no picture may be made."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> RunHeader:
        """Raises ValueError for anything else than what `to_json` wrote."""
        values = json.loads(text)
        if not isinstance(values, Mapping):
            raise ValueError("the header is no object")
        made = {column.name: values[column.name] for column in fields(cls) if column.name in values}
        lists = {name: _texts(made.get(name, ())) for name in ("classes", "colours", "redacted")}
        made.update(lists)
        if not lists["classes"] or not all(isinstance(v, str | tuple) for v in made.values()):
            raise ValueError("the header names no classes, or in another form")
        return cls(**made)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_CLASSES:
        raise ValueError("the header has no list where one should be")
    if not all(isinstance(one, str) for one in value):
        raise ValueError("the header has a list of other things than texts")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Take:
    """One source in one run: what a record is made of."""

    key: int
    """In the record."""
    name: str
    """Unique within the record: the source's id, and from its second run on `@2` …"""
    source_id: str
    spec: str
    """As the user named it, without secrets."""
    fingerprint: str
    """Of the file; empty for what is none."""
    header: RunHeader


def clip_fingerprint(spec: str) -> str:
    """Tells one file from another: its size and 16 slices of 64 KiB, spread over it, hashed together.

    Empty for what is no file. Raises OSError.
    """
    try:
        path = Path(file_path(spec))
    except ValueError:
        return ""
    if is_address(str(path)) or not path.is_file():
        return ""
    with path.open("rb") as file:
        size = path.stat().st_size
        digest = hashlib.sha256(size.to_bytes(8, "little"))
        for k in range(_SLICES):
            file.seek(max(size - _SLICE, 0) * k // (_SLICES - 1))
            digest.update(file.read(_SLICE))
    return digest.hexdigest()
