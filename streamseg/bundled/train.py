"""`python -m streamseg.bundled.train --data DIR --minutes M --out FILE`: train the bundled network again.

Tested in tests/training/test_trainer.py.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from streamseg.bundled.shapes import train_shapes
from streamseg.errors import StreamsegError


def main() -> int:
    """Train `shapes`; one line and an exit code when the data cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m streamseg.bundled.train", description=main.__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with coco_train288, cats_feral, animals7, davis"
    )
    parser.add_argument("--minutes", type=float, required=True, help="wall time to train for")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint; FILE.resume is kept beside it")
    parser.add_argument("--weights", type=Path, help="checkpoint of an earlier run, to be trained on")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="single-threaded ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        train_shapes(
            options.data, options.out, options.minutes, options.processes, options.seed, options.weights
        )
    except StreamsegError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
