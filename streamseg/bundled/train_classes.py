"""`python -m streamseg.bundled.train_classes --data DIR --weights FILE --out FILE`.

Tested in tests/bundled/test_classes.py.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from streamseg.bundled.classes import train_classes
from streamseg.errors import StreamsegError


def main() -> int:
    """Train the class layers; one line and an exit code when something cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m streamseg.bundled.train_classes", description=main.__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets (docs/compact.md)")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint of train_masks")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint; FILE.resume is kept beside it")
    parser.add_argument("--iterations", type=int, default=300, help="of 4 pictures for each process")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="single-threaded ones")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        train_classes(
            options.data,
            options.weights,
            options.out,
            iterations=options.iterations,
            processes=options.processes,
            seed=options.seed,
        )
    except StreamsegError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
