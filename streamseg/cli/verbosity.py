"""The `-v` that every verb takes. Tested in tests/cli/test_mistakes.py."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from streamseg.cli.json_log import is_json_log
from streamseg.cli.terminal import LogFormatter

__all__ = ["Verbose", "is_debugging"]

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def _set_level(count: int) -> int:
    handler = logging.StreamHandler()  # to stderr
    handler.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[handler])
    level = _LEVELS[min(count, 2)]
    logging.getLogger("streamseg").setLevel(min(level, logging.INFO) if is_json_log() else level)
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
