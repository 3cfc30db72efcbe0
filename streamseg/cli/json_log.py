"""Log lines as JSON, one object a line, for `--log-format json`. Tested in tests/cli/test_json_log.py."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import typer

__all__ = ["JsonFormatter", "LogFormat", "is_json_log"]

CHOICES = ("text", "json")


class JsonFormatter(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`; `extra={"fields": {…}}` adds fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        # Escaped ASCII: a terminal that shows the line obeys nothing in it.
        return json.dumps(getattr(record, "fields", {}) | line, default=str)


def is_json_log() -> bool:
    """Whether this process logs JSON, and so nothing else belongs on standard error."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _choose(text: str | None) -> str | None:
    if text is None or text == "text":
        return text
    if text not in CHOICES:
        raise typer.BadParameter(f"{text!r}: expected text or json")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    logger = logging.getLogger("streamseg")
    logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
    return text


LogFormat = typer.Option(
    "--log-format",
    metavar="text|json",
    callback=_choose,
    help="json: what happens as JSON lines on stderr, no live line.",
    show_default=False,
)
