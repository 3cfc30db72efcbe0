"""Writes the numbers of benchmarks/redaction.json into docs/redaction.md.

python benchmarks/redaction_document.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["DOCUMENT", "measured", "written"]

REPORT = Path(__file__).parent / "redaction.json"
DOCUMENT = Path(__file__).parents[1] / "docs" / "redaction.md"


def measured() -> dict[str, Any]:
    """The committed report."""
    read: dict[str, Any] = json.loads(REPORT.read_text(encoding="utf-8"))
    return read


def written(text: str, report: dict[str, Any]) -> str:
    """`text` with the tables of `report` between its marks."""
    for name, table in (("keys", _keys), ("peers", _peers), ("davis", _davis), ("speed", _speed)):
        if name in report:
            before, _, rest = text.partition(f"<!-- {name} -->")
            _, _, after = rest.partition(f"<!-- /{name} -->")
            text = f"{before}<!-- {name} -->\n\n{table(report)}\n\n<!-- /{name} -->{after}"
    return text


def _keys(report: dict[str, Any]) -> str:
    made = report["keys"]
    lines = [
        f"{made['seeds']} seeds, {made['frames_of_each']} frames each:",
        "",
        "| fault | frames | key-coloured pixels in | **out** | frames filled | covered of the others |",
        "|---|---|---|---|---|---|",
    ]
    for fault, row in made["faults"].items():
        lines.append(
            f"| {fault} | {row['frames']:,} | {row['key_pixels_in']:,} | **{row['key_pixels_out']:,}** | "
            f"{_percent(row['frames_filled'], row['frames'])} | {round(100 * row['covered_share'])} % |"
        )
    return "\n".join(lines)


def _peers(report: dict[str, Any]) -> str:
    made, ours = report["peers"], report["keys"]["faults"]
    faults = ("none", "miss 5 %", "miss 20 %", "miss 50 %")
    named = {"supervision BlurAnnotator", "supervision PixelateAnnotator"}
    lines = [
        f"{made['seeds']} seeds, supervision {made['versions'].get('supervision', '–')}:",
        "",
        f"| | {' | '.join(faults)} |",
        "|---|" + "---|" * len(faults),
    ]
    for name, rows in made["peers"].items():
        cells = [_percent(rows[fault]["key_pixels_left"], rows[fault]["key_pixels_in"]) for fault in faults]
        lines.append(f"| {name}{', its boxes' if name in named else ''} | {' | '.join(cells)} |")
    cells = [_percent(ours[fault]["key_pixels_out"], ours[fault]["key_pixels_in"]) for fault in faults]
    lines.append(f"| streamseg --redact, {report['keys']['seeds']} seeds | {' | '.join(cells)} |")
    return "\n".join(lines)


def _davis(report: dict[str, Any]) -> str:
    made = report["davis"]
    people, never = made["people_in_frames"], made["never_found_people_in_frames"]
    clear = f"{made['ours_clear']:,} | {made['by_frame_clear']:,}"
    filled = _percent(made["ours_filled_frames"], made["scenes"] * made["frames_of_each"])
    covered = _percent(made["ours_pixels_covered"], made["pixels"])
    half = round(100 * made["clear_means_share_of_pixels"])
    return "\n".join(
        [
            f"{made['scenes']} scenes of {made['frames_of_each']} frames, a person visible {people:,} times:",
            "",
            "| | --redact person | the boxes of each frame by itself |",
            "|---|---|---|",
            f"| pixels of persons left | {_percent(made['ours_pixels_left'], made['person_pixels'])} | "
            f"{_percent(made['by_frame_pixels_left'], made['person_pixels'])} |",
            f"| persons more than {half} % clear in a frame | {clear} |",
            f"| the same, of the {people - never:,} found at all | {made['ours_clear_of_found']:,} | – |",
            f"| frames filled | {filled} | – |",
            f"| covered of the whole picture | {covered} | – |",
            "",
            f"Never found within a second, and so the residual risk of this engine here: "
            f"{never:,} of {people:,}.",
        ]
    )


def _speed(report: dict[str, Any]) -> str:
    made = report["speed"]
    return (
        f"{made['redaction_ms']} ms of one core for a 1280×720 frame with {made['instances']} instances, "
        f"{made['redaction_to_overlay']} times what drawing their overlay takes "
        "(`python benchmarks/redaction.py speed`)."
    )


def _percent(part: float, whole: float) -> str:
    share = 100 * part / whole if whole else 0.0
    return "0" if not part else f"{share:.1f} %" if share >= 0.1 else f"{share:.3f} %"


def main() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(written(text, measured()), encoding="utf-8")


if __name__ == "__main__":
    main()
