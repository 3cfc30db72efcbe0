"""A run with a live line on stderr, signals handled, a summary at the end.

Tested in tests/cli/test_run.py.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamseg.cli.terminal import lines_printable
from streamseg.errors import StreamsegError
from streamseg.streaming.job import Job
from streamseg.streaming.journal import Journal
from streamseg.streaming.report import headline, status_line, summary, write_summary
from streamseg.streaming.service import Service

__all__ = ["run_with_live_line", "run_with_log"]

_log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.25


def run_with_live_line(job: Job) -> int:
    """Run to the end and return the exit code: 0, or 129 / 130 / 143 after SIGHUP / SIGINT / SIGTERM.

    A failure is raised after every output is finished and the summary printed.
    """
    console = Console(file=cast(TextIO, _Stderr()), stderr=True)
    _say(console, headline(job))
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            code = _run(job, lambda: live.update(Text(lines_printable(status_line(job))), refresh=True))
    except BaseException as failure:
        # What ended the run is said first; that its summary failed as well is a note to it.
        try:
            _conclude(console, job)
        except StreamsegError as another:
            failure.add_note(f"also: {another}")
        raise
    _conclude(console, job)
    return code


def run_with_log(job: Job) -> int:
    """As `run_with_live_line`, for `--log-format json`: all that is said is in the log."""
    _log.info("begins", extra={"fields": {"sources": list(job.streams), "page": job.address}})
    try:
        return _run(job, lambda: None)
    finally:
        if job.config.output.summary:
            write_summary(job, job.config.output.summary)
        numbers = summary(job)
        kept = {key: numbers[key] for key in ("sources", "age_ms", "outputs")}
        _log.info("ended", extra={"fields": kept})


def _run(job: Job, show: Callable[[], None]) -> int:
    """With what is to be done a few times a second."""
    journal, service = Journal(job), Service.of(job, os.environ)

    def refresh() -> None:
        show()
        journal.refresh()
        if service:
            service.refresh()

    try:
        return job.run(REFRESH_SECONDS, refresh)
    finally:
        journal.refresh()
        if service:
            service.stopping()


class _Stderr(io.TextIOBase):
    """Standard error as long as it can be written: a full disk behind it is no reason to end a run."""

    def __init__(self) -> None:
        # As it is now: in a terminal rich's Live puts in its place what writes to the console, which is this.
        self._stderr = sys.stderr

    def isatty(self) -> bool:
        return self._stderr.isatty()

    def fileno(self) -> int:
        return self._stderr.fileno()

    def write(self, text: str) -> int:
        try:
            self._stderr.write(text)
            self._stderr.flush()
        except OSError:
            # What could not be written waits in the buffer, and would fail the process at its end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stderr.fileno())
            os.close(nowhere)
        return len(text)


def _conclude(console: Console, job: Job) -> None:
    """Print the summary, and write it where asked. Raises SinkError."""
    numbers = summary(job)
    if numbers["pipeline"]["items"]["captured"]:
        _print_summary(console, numbers)
    if job.config.output.summary:
        write_summary(job, job.config.output.summary)


def _say(console: Console, text: str) -> None:
    console.print(Text(lines_printable(text)), soft_wrap=True)


def _print_summary(console: Console, numbers: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("source", "frames", "delivered", "dropped", "fps", "reconnects"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    for name, source in numbers["sources"].items():
        drops = ", ".join(f"{n} {cause}" for cause, n in source["dropped"].items() if n) or "0"
        table.add_row(
            Text(f"{name} ({source['spec']})"),  # no markup: names may hold brackets
            str(source["captured"]),
            str(source["delivered"]),
            drops,
            f"{source['fps']:.1f}",
            str(source["reconnects"]),
        )
    console.print(table)
    ages = Table(box=None, pad_edge=False)
    for heading in ("age after", "p50 ms", "p95 ms", "p99 ms"):
        ages.add_column(heading, justify="left" if heading == "age after" else "right")
    for stage, age in numbers["age_ms"].items():
        ages.add_row(stage, *(f"{age[f'{q}_ms']:.1f}" for q in ("p50", "p95", "p99")))
    console.print(ages)
    for path in numbers["outputs"]:
        _say(console, f"wrote {path}")
