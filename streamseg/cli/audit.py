"""`streamseg audit`: accounts of redactions. Tested in tests/redaction/test_audit.py."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["audit"]

audit = typer.Typer(help="Accounts that run --redact --audit has written.", no_args_is_help=True)


@audit.callback()
def _verbs() -> None:
    """Accounts that run --redact --audit has written."""


@audit.command("verify")
def verify(
    file: Annotated[str, typer.Argument(help="The account.")],
    verbose: Verbose = 0,
) -> None:
    """Check that nothing in an account was changed, left out or cut off."""
    from streamseg.jobs.audit import verify_audit

    say(verify_audit(file))
