"""From the start of `streamseg run` to its first frame, here and in another checkout, interleaved: one JSON.

    python benchmarks/start.py --against OTHER_CHECKOUT [--rounds 5]

One frame of the synthetic scene with the bundled engine, whole process, seconds of wall time and of CPU
time; each checkout has a cache of its own, filled by a run that does not count. CPU time is what counts on a
busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = ("-m", "streamseg", "run", "synthetic?size=640x360", "--max-frames", "1")
HERE = Path(__file__).parents[1]


def timed(checkout: Path, cache: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(cache)}
    before, began = _children(), time.perf_counter()
    subprocess.run([sys.executable, *RUN], env=environment, cwd=cache, check=True, capture_output=True)
    return time.perf_counter() - began, _children() - before


def best_of(runs: list[tuple[float, float]]) -> dict[str, float]:
    wall, cpu = (round(min(values), 2) for values in zip(*runs, strict=True))
    return {"wall_s": wall, "cpu_s": cpu}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    checkouts = {"against": options.against.resolve(), "here": HERE}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        for index in range(options.rounds + 1):
            for name, checkout in checkouts.items():
                cache = Path(folder) / name
                cache.mkdir(exist_ok=True)
                took = timed(checkout, cache)
                if index:
                    taken[name].append(took)
    best = {name: best_of(runs) for name, runs in taken.items()}
    ratio = {key: round(best["here"][key] / best["against"][key], 3) for key in ("wall_s", "cpu_s")}
    print(json.dumps({"rounds": options.rounds, "best": best, "ratio": ratio}, indent=1))


if __name__ == "__main__":
    main()
