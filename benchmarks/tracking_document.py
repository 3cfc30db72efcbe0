"""The tables of docs/tracking.md from what benchmarks/tracking.py, compositions.py and flicker.py measured.

python benchmarks/tracking_document.py      # benchmarks/results/*.json → docs/tracking.md
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs/tracking.md"
BEGIN, END = "<!-- begin of generated tables -->\n", "<!-- end of generated tables -->\n"
MODES = {"all": "every frame", "every3": "every third", "burst5": "bursts of five lost"}
GROUPS = {
    "tuning": "Tuning: {names}",
    "held out": "Held out: {names}",
    "all": "All six",
    "simulated": "All six with simulated detections",
}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _scores(of_one: dict[str, float]) -> str:
    return f"{of_one['HOTA']:.1f} / {of_one['IDF1']:.1f} / {of_one['IDSW']:.0f}"


def accuracy(report: dict[str, Any]) -> str:
    parts = []
    for group, title in GROUPS.items():
        by_mode = report["scores"][group]
        names = ", ".join(report["sequences"].get(group, []))
        rows = [[name, *(_scores(by_mode[mode][name]) for mode in MODES)] for name in by_mode["all"]]
        head = ["HOTA / IDF1 / ID switches", *MODES.values()]
        parts.append(f"{title.format(names=names)}:\n\n" + table(head, rows))
    return "\n".join(parts)


def crossings(report: dict[str, dict[str, float]]) -> str:
    keys = ("HOTA", "AssA", "DetA", "IDF1", "MOTA", "sMOTSA", "IDSW")
    rows = [
        [name, *(f"{s[k]:.1f}" if k != "IDSW" else f"{s[k]:.0f}" for k in keys)] for name, s in report.items()
    ]
    return table(["masks", *keys], rows)


def flicker(report: dict[str, dict[str, float]]) -> str:
    keys = ("steadiness_truth", "steadiness_found", "iou_found")
    head = ["", "steadiness: truth", "found", "IoU: found"]
    rows = [[name, *(f"{values[key]:.3f}" for key in keys)] for name, values in report.items()]
    return table(head, rows)


def speed(report: dict[str, dict[str, float]]) -> str:
    counts = ("20", "50", "100")
    rows = [[name, *(f"{took[n]:.2f}" if n in took else "" for n in counts)] for name, took in report.items()]
    return table(["ms an update; instances", *counts], rows)


def tables(results: dict[str, Any]) -> str:
    """What stands between the marks, of the three reports by name."""
    return "\n".join(
        (
            accuracy(results["tracking"]),
            "Crossings of DAVIS foregrounds with exact masks (`benchmarks/compositions.py`):\n",
            crossings(results["compositions"]),
            "Flicker (`benchmarks/flicker.py`):\n",
            flicker(results["flicker"]),
            "Time, one core, median over frames of the fastest update:\n",
            speed(results["tracking"]["milliseconds"]),
        )
    )


def written(document: str, results: dict[str, Any]) -> str:
    """`document` with the tables of `results`."""
    before, rest = document.split(BEGIN)
    return before + BEGIN + "\n" + tables(results) + "\n" + END + rest.split(END)[1]


def measured() -> dict[str, Any]:
    names = ("tracking", "compositions", "flicker")
    return {name: json.loads((HERE / f"results/{name}.json").read_text()) for name in names}


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(), measured()))
