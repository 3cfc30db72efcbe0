"""Lines for a terminal: a name of a file or a class cannot make it do anything."""

from __future__ import annotations

import logging

import typer

from streamseg.addresses import printable

__all__ = ["LogFormatter", "lines_printable", "say"]


def say(text: str) -> None:
    """Print lines on standard output."""
    typer.echo(lines_printable(text))


def lines_printable(text: str) -> str:
    """`text` as `addresses.printable` has it, except that its line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


class LogFormatter(logging.Formatter):
    """Level, logger and message; what a terminal would obey is escaped."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return lines_printable(super().format(record))
