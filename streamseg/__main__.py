"""`streamseg`, and `python -m streamseg`. Tested in tests/cli/test_start.py."""

from __future__ import annotations

import os
import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ctrl-C while it loads ends the process as it would later, without a traceback."""
    # A handler, not an exception: importing goes through C code that prints what it cannot raise.
    former = signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))
    from streamseg.cli import main as run_command_line

    signal.signal(signal.SIGINT, former)
    run_command_line()


if __name__ == "__main__":
    main()
