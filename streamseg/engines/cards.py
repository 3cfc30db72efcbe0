"""What was measured of the engines in the package."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["bundled_card"]


def bundled_card(name: str) -> dict[str, Any] | None:
    """What was measured of the bundled engine of that name; None for engines that are not bundled."""
    card = files("streamseg") / "bundled" / f"{name}.json"
    if Path(name).name != name or not card.is_file():
        return None
    data: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    return data
