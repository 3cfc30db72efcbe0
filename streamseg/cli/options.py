"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["CacheFolder"]

CacheFolder = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="Folder for published weights and their engines; default: the user's cache.",
        show_default=False,
    ),
]
