"""docs/parity.md from the rows that benchmarks/parity.py measures."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

HEAD = """# Parity with the published implementations

Written by `python benchmarks/parity.py --out docs/parity.md`; `make parity` runs the tests that hold it to
this. Each configuration's weights are loaded through `streamseg.models.weights.layouts` from a
file in the published layout; torch is the module, ONNX Runtime the exported file with all in its graph.

## Against the original's outputs

The weights are made again by the reference's recipe and run on four pictures. *Equal* means: one to one, same
class, score within 0.001, box within 1 pixel of the picture, mask IoU at least 0.99 after our own upsampling
(`streamseg.masks`). SOLOv2 has no boxes: pairs are made by mask.

*Raw heads*: largest difference divided by the head's largest value, one picture. *torch* is fed with what the
original's network was given (dbolya: resized in float), *ONNX Runtime* with uint8 frames, and compared with
the original fed with the same. *Cross-class*: `cross_class=True` against the original's `cross_class_nms`:
boxes, classes and scores.

| configuration | raw heads | torch: equal | ONNX Runtime: equal | cross-class: equal |
|---|---|---|---|---|
"""

ROUNDING = """
The contract stores a mask in 8 bits. A pixel whose upsampled value lies within half a level of one half may
therefore fall on either side: one pixel on the edge of a mask of thirty, or a patch where a mask is flat.
Every detection that is not equal is looked at again; *rounding* counts those that differ in such pixels
alone. Δ: the largest difference of a pair; boxes in pixels.

| configuration | run | found / expected | not equal | rounding | Δ score | Δ box | smallest mask IoU |
|---|---|---|---|---|---|---|---|
"""

ALONE = """
## Without outputs of the original

Keys and shapes are the published ones (*listed* in the reference, or derived from the publisher's code and
written in its layout), weights are invented. The file in ONNX Runtime and the network in torch get the same
uint8 frames, four pictures; *matched* is the share of all instances, of either, that have a partner of their
class and place in the other. Invented weights draw noise, which ties; Δ is the largest difference of a pair.
SOLOs are measured at a small input: nothing in their weights depends on its size.

| configuration | keys | input | instances | matched | Δ score | smallest mask IoU |
|---|---|---|---|---|---|---|
"""


def document(rows: list[Row], configurations: tuple[str, ...], keys: dict[str, str]) -> str:
    """The document; `keys` says where the keys of a configuration without outputs come from."""
    compared = [row for row in rows if row["torch"]]
    alone = [row for row in rows if not row["torch"]]
    runs = [
        (row["model"], run, row[part])
        for row in compared
        for run, part in (("torch", "torch"), ("ONNX Runtime", "onnx"))
    ]
    differing = [f"- {model}, {run}, {line}\n" for model, run, parity in runs for line in parity["differing"]]
    text = HEAD + "".join(map(_equal, compared)) + ROUNDING + "".join(_differences(*run) for run in runs)
    text += "\nThe detections that are not equal:\n\n" + "".join(differing or ["- none\n"])
    text += ALONE + "".join(_together(row, keys[row["model"]]) for row in alone)
    text += _runs(rows)
    missing = [name for name in configurations if name not in {row["model"] for row in rows}]
    return text + (f"\nNot measured in this run: {', '.join(missing)}.\n" if missing else "")


def _runs(rows: list[Row]) -> str:
    """Each file ran on two pictures per runtime: in ONNX Runtime, then in OpenVINO."""
    both = sum(row["run"] >= 4 for row in rows)
    return (
        f"\n`streamseg run` got through two pictures of different sizes with the files of"
        f" {sum(row['run'] > 0 for row in rows)} configurations\nin ONNX Runtime, with those of {both} in"
        " OpenVINO too.\n"
    )


def _equal(row: Row) -> str:
    heads = max(row["heads"].values())
    shares = " | ".join(_share(row[part]) for part in ("torch", "onnx", "cross_class"))
    return f"| {row['model']} | {heads:.1e} | {shares} |\n"


def _share(parity: Row | None) -> str:
    if not parity:
        return "–"
    return f"{parity['equal']} / {parity['expected']} ({parity['equal'] / parity['expected']:.2%})"


def _differences(model: str, run: str, parity: Row) -> str:
    counts = f"{parity['found']} / {parity['expected']} | {parity['expected'] - parity['equal']}"
    numbers = f"{parity['score']:.1e} | {parity['pixels']:.4f} | {parity['mask_iou']:.4f}"
    return f"| {model} | {run} | {counts} | {parity['rounding']} | {numbers} |\n"


def _together(row: Row, keys: str) -> str:
    height, width = row["input_hw"]
    together = row["together"]
    counts = f"{together['instances']} | {together['matched']:.2%}"
    numbers = f"{together['score']:.1e} | {together['mask_iou']:.4f}"
    return f"| {row['model']} | {keys} | {height}×{width} | {counts} | {numbers} |\n"
