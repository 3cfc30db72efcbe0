"""The command line: one file per verb; parse, call one function, print."""

from __future__ import annotations

import sys
import traceback

import typer

from streamseg.addresses import printable
from streamseg.cli import build, certify, data, demo, doctor, engines, eval, export, models, run, train
from streamseg.cli.verbosity import is_debugging
from streamseg.errors import StreamsegError

__all__ = ["app", "main"]

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h

app = typer.Typer(
    name="streamseg",
    help="Outline and follow every object in live video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("export")(export.export)
app.command("build")(build.build)
app.command("certify")(certify.certify)
app.add_typer(data.data, name="data")
app.command("train")(train.train)
app.command("eval")(eval.evaluate)
app.command("engines")(engines.engines)
app.add_typer(models.models, name="models")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; an expected failure is one line on stderr and its exit code."""
    try:
        app()
    except StreamsegError as error:
        code = _report(str(error), error.exit_code)
        for note in getattr(error, "__notes__", ()):
            if note.startswith("also"):  # what failed besides; the others say where, for -vv
                _say(note)
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the last stop: nothing above may end in a traceback unasked
        sys.exit(
            _report(f"internal error: {type(error).__name__}: {error} (-vv shows where)", INTERNAL_ERROR)
        )


def _report(text: str, code: int) -> int:
    if is_debugging():
        traceback.print_exc()
    _say(text)
    return code


def _say(text: str) -> None:
    print("streamseg: " + printable(" ".join(text.split())), file=sys.stderr)
