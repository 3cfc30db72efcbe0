"""The command line: one file per verb; parse, call one function, print."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback

import typer

from streamseg.addresses import printable
from streamseg.cli import (
    build,
    certify,
    convert,
    data,
    demo,
    doctor,
    engines,
    eval,
    eval_tracks,
    export,
    models,
    query,
    render,
    report,
    run,
    top,
    train,
    zones,
)
from streamseg.cli.json_log import is_json_log
from streamseg.cli.terminal import lines_printable
from streamseg.cli.verbosity import is_debugging
from streamseg.errors import ConfigError, StreamsegError

__all__ = ["app", "main"]

_log = logging.getLogger("streamseg")

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
app.command("top")(top.top)
app.command("zones")(zones.zones)
app.command("demo")(demo.demo)
app.command("export")(export.export)
app.command("build")(build.build)
app.command("certify")(certify.certify)
app.command("convert")(convert.convert)
app.command("render")(render.render)
app.command("query")(query.query)
app.command("report")(report.report)
app.add_typer(data.data, name="data")
app.command("train")(train.train)
app.command("eval")(eval.evaluate)
app.command("eval-tracks")(eval_tracks.eval_tracks)
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
    except OSError as error:
        if not _is_of_a_name(error):
            sys.exit(_internal(error))
        sys.exit(_report(_unusable(error), ConfigError.exit_code))
    except Exception as error:  # the last stop: nothing above may end in a traceback unasked
        sys.exit(_internal(error))


def _internal(error: Exception) -> int:
    return _report(f"internal error: {type(error).__name__}: {error} (-vv shows where)", INTERNAL_ERROR)


def _is_of_a_name(error: OSError) -> bool:
    """Whether asking for a file failed, wherever that was: the name is the user's."""
    return error.errno in (errno.ENAMETOOLONG, errno.EACCES) and error.filename is not None


def _unusable(error: OSError) -> str:
    name = os.fsdecode(error.filename)
    if error.errno == errno.ENAMETOOLONG:
        return f"{name[:60]}…: the name is too long for the file system; name a file that is there"
    return f"{name}: cannot be read ({error.strerror}); ask its owner, or name another"


def _report(text: str, code: int) -> int:
    if is_json_log():
        _log.error("%s", text, exc_info=is_debugging())
        return code
    if is_debugging():
        print(lines_printable(traceback.format_exc()), file=sys.stderr)
    _say(text)
    return code


def _say(text: str) -> None:
    print("streamseg: " + printable(" ".join(text.split())), file=sys.stderr)
