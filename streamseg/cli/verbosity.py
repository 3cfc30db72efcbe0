"""The `-v` that every verb takes. Tested in tests/cli/test_mistakes.py."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

__all__ = ["Verbose", "is_debugging"]

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def _set_level(count: int) -> int:
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")  # to stderr
    logging.getLogger("streamseg").setLevel(_LEVELS[min(count, 2)])
    return count


def is_debugging() -> bool:
    """True after `-vv`."""
    return logging.getLogger("streamseg").getEffectiveLevel() <= logging.DEBUG


Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        callback=_set_level,
        help="Say more; -vv shows tracebacks.",
        show_default=False,
    ),
]
