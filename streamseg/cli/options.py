"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.engine_contract import PRECISIONS, RUNTIME_NAMES

__all__ = ["PRECISION_HELP", "RUNTIME_HELP", "CacheFolder"]

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
