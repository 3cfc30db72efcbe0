"""The JSON file beside an engine: what it was built from and how it compared with its reference.

`yolact.engine` has `yolact.engine.json`. Sections are written by those who know them: `fingerprint` by the
build, `certificate` by the comparison. Both carry the SHA-256 of the file they speak of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamseg.errors import EngineError
from streamseg.files import write_json

__all__ = ["read_sidecar", "sidecar_path", "write_section"]


def sidecar_path(engine: Path) -> Path:
    """Where the sidecar of an engine file is."""
    return engine.with_name(engine.name + ".json")


def read_sidecar(engine: Path) -> dict[str, Any]:
    """The sections of an engine's sidecar; empty where there is no file. Raises EngineError."""
    path = sidecar_path(engine)
    try:
        sections = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError(f"{path}: cannot be read ({error}); delete it, build or certify again") from error
    if not isinstance(sections, dict):
        raise EngineError(f"{path}: not a sidecar of an engine; delete it, build or certify again")
    return sections


def write_section(engine: Path, name: str, section: Mapping[str, Any]) -> Path:
    """Set one section and keep the others; the file is replaced at once or not at all. Raises EngineError."""
    path = sidecar_path(engine)
    sections = read_sidecar(engine) | {name: dict(section)}
    try:
        write_json(path, sections, indent=1)
    except OSError as error:
        raise EngineError(f"{path}: cannot be written ({error.strerror})") from error
    return path
