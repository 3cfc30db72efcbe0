"""Options that several verbs share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from streamseg.engine_contract import PRECISIONS, RUNTIME_NAMES
from streamseg.errors import ConfigError

__all__ = ["PRECISION_HELP", "RUNTIME_HELP", "CacheFolder", "seconds_from_text"]

RUNTIME_HELP = f"auto, {', '.join(RUNTIME_NAMES)}."
PRECISION_HELP = f"auto, {', '.join(PRECISIONS)}."

CacheFolder = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="Folder for published weights and their engines; default: the user's cache.",
        show_default=False,
    ),
]


def seconds_from_text(option: str, text: str | None) -> float | None:
    """`150ms`, `0.5s` or `2` (seconds), which `option` was given as. Raises ConfigError."""
    if text is None:
        return None
    asked = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|)\s*", text)
    if asked is None:
        raise ConfigError(f"{option} {text!r}: expected a time, such as 150ms or 0.5s")
    return float(asked[1]) / (1e3 if asked[2] == "ms" else 1)
