"""`streamseg doctor`: what this machine has, what is missing and how to get it.

Tested in tests/cli/test_run.py.
"""

from __future__ import annotations

import typer

from streamseg.cli.verbosity import Verbose

__all__ = ["doctor"]


def doctor(verbose: Verbose = 0) -> None:
    """Print what this machine can do, and the command that installs what it cannot."""
    from streamseg.jobs.doctor import examine

    findings = examine()
    for finding in findings:
        mark = "ok" if finding.ok else ("MISSING" if finding.required else "absent")
        typer.echo(f"{mark:8}{finding.name:22}{finding.detail}")
        if not finding.ok and finding.cure:
            typer.echo(f"{'':8}{'':22}-> {finding.cure}")
    raise typer.Exit(1 if any(f.required and not f.ok for f in findings) else 0)
