"""`python -m streamseg.bundled.measure --engine FILE --data DIR --card FILE`: measure an engine again.

Tested in tests/bundled/test_card.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from streamseg.bundled.card import measure_engine, update_card
from streamseg.engines.load import load_engine
from streamseg.errors import StreamsegError


def main() -> int:
    """Mask AP on held-out photographs and on synthetic scenes; one line and an exit code on bad input."""
    parser = argparse.ArgumentParser(prog="python -m streamseg.bundled.measure", description=main.__doc__)
    parser.add_argument("--engine", type=Path, required=True, help="engine file")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with coco_train288, cats_feral, animals7"
    )
    parser.add_argument("--card", type=Path, help="JSON file to write the numbers into; default: print them")
    parser.add_argument("--runtime", default="auto")
    options = parser.parse_args()
    try:
        with load_engine(options.engine, options.runtime) as engine:
            measured = measure_engine(engine, options.data)
        if options.card is None:
            print(json.dumps(measured, indent=1))
        else:
            update_card(options.card, options.engine, measured)
    except StreamsegError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
