"""What `streamseg eval` prints: per cent, notes on what was not judged. Tested in tests/cli/test_eval.py."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_data", "print_scenes"]

COLUMNS = {
    "mask AP": "mask_ap",
    "AP50": "mask_ap50",
    "AP75": "mask_ap75",
    "small": "mask_ap_small",
    "medium": "mask_ap_medium",
    "large": "mask_ap_large",
    "box AP": "box_ap",
    "bound. AP": "boundary_ap",
    "AR": "ar",
    "PQ": "pq",
    "SQ": "sq",
    "RQ": "rq",
}
NOTES = {
    "classes_not_in_engine": "not judged, the engine does not have it",
    "classes_not_in_data": "not judged, the data does not have it",
    "classes_without_instances": "not averaged in, no instance in the data",
    "images_without_annotations": "without annotations: whatever is found there is wrong",
    "annotations_without_pixels": "no pixel inside the image: counted as missed",
    "left_out": "left out",
}
SCENES = {
    "mask AP": "mask_ap",
    "AP50": "mask_ap50",
    "AP75": "mask_ap75",
    "box AP": "box_ap",
    "bound. AP": "boundary_ap",
    "recall": "recall",
    "precision": "precision",
    "HOTA": "hota",
    "AssA": "assa",
    "DetA": "deta",
    "MOTA": "mota",
    "IDF1": "idf1",
}
LISTED = 8


def print_data(figures: dict[str, Any]) -> None:
    """Figures of `evaluate_on_data`."""
    console = _console()
    judged = {n: f for n, f in figures["per_class"].items() if f["instances"]}
    table = _table("class", ["images", "instances", *COLUMNS])
    for name, of_class in sorted(judged.items(), key=lambda item: -item[1]["instances"]):
        table.add_row(Text(name), str(of_class["images"]), str(of_class["instances"]), *_cells(of_class))
    table.add_section()
    total = [str(figures["images"]), str(figures["instances"])]
    table.add_row(f"mean of {len(judged)}", *total, *_cells(figures))
    for name, of_stuff in figures.get("per_stuff", {}).items():
        table.add_row(Text(name), "", "", *_cells(of_stuff))
    console.print(table)
    for line in _lines(figures):
        console.print(Text(line), soft_wrap=True)


def print_scenes(figures: dict[str, Any]) -> None:
    """Figures of `evaluate_on_scenes`."""
    console = _console()
    table = _table("", ["value"])
    for heading, key in SCENES.items():
        table.add_row(heading, _percent(figures[key]))
    pixels = figures["boundary_error_px"]
    table.add_row("boundary error, px", "–" if pixels is None else f"{pixels:.2f}")
    table.add_row("id switches", str(figures["id_switches"]))
    console.print(table)
    told = f"{figures['scenes']} scenes, {figures['frames']} frames, {figures['instances']} shapes in them"
    console.print(Text(f"per cent; {told}; {_how(figures)}"), soft_wrap=True)


def _console() -> Console:
    """Wide enough for the whole table wherever it does not end on a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def _table(first: str, others: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells(figures: dict[str, Any]) -> list[str]:
    return [_percent(figures.get(key)) for key in COLUMNS.values()]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _how(figures: dict[str, Any]) -> str:
    return f"{figures['engine']}, {figures['runtime']}, {figures['seconds']:.0f} s"


def _lines(figures: dict[str, Any]) -> list[str]:
    ece = figures["calibration"]["ece"]
    lines = [f"per cent; {_how(figures)}"]
    if ece is not None:
        lines.append(f"scores are off by {100 * ece:.1f} points on average (expected calibration error)")
    if "pq_stuff" in figures:
        lines.append(
            f"PQ of things {_percent(figures['pq_things'])}, of stuff {_percent(figures['pq_stuff'])}"
        )
    if "against" in figures:
        lines.append(_against(figures["against"]))
    for key, meaning in NOTES.items():
        if named := figures[key]:
            more = f" … {len(named)} in all" if len(named) > LISTED else ""
            lines.append(f"{meaning}: {', '.join(named[:LISTED])}{more}")
    return lines


def _against(compared: dict[str, Any]) -> str:
    low, high = 100 * compared["low"], 100 * compared["high"]
    verdict = "may be chance" if low <= 0 <= high else "more than chance"
    return (
        f"mask AP {100 * compared['difference']:+.1f} against {compared['engine']} "
        f"({_percent(compared['ap'])} and {_percent(compared['other_ap'])}, "
        f"common classes: {len(compared['classes'])}), 95 % interval {low:+.1f} … {high:+.1f}: {verdict}"
    )
