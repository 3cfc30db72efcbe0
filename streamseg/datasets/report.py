"""What `streamseg data check` says and shows of a data set. Tested in tests/datasets/test_check.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamseg.datasets.check import DatasetReport
from streamseg.datasets.outlines import outline_sheet
from streamseg.errors import DatasetError
from streamseg.pictures import write_picture

__all__ = ["describe_dataset", "write_sheet"]


def describe_dataset(report: DatasetReport, shown: int) -> Iterator[str]:
    """Lines for a terminal; of what is broken, the first `shown` entries."""
    dataset = report.dataset
    crowds = f", {report.crowds} crowds" if report.crowds else ""
    total = sum(c.instances for c in report.classes)
    yield f"{dataset.path}: {len(dataset.images)} images, {total} objects{crowds}"
    wide = max(map(len, dataset.classes), default=0)
    for c in sorted(report.classes, key=lambda c: -c.instances):
        size = f"median {c.median_side_px:4.0f} px"
        yield f"  {c.name:{wide}}  {c.instances:6d} in {c.images:5d} images, {size}"
    for note in report.notes:
        yield f"note: {note}"
    for entry in report.broken[:shown]:
        yield f"broken: {entry}"
    if len(report.broken) > shown:
        yield f"broken: {len(report.broken) - shown} more"
    yield f"{len(report.broken)} entries cannot be used" if report.broken else "nothing is broken"


def write_sheet(report: DatasetReport, path: Path, count: int) -> None:
    """Write outlines of `count` images, spread over the data set, as a picture. Raises DatasetError."""
    broken = {entry.split(":")[0] for entry in report.broken}
    usable = [i for i in report.dataset.images if i.annotations and str(i.path) not in broken]
    step = max(1, len(usable) // count)
    if not usable:
        raise DatasetError(f"{path}: no image with a readable object to draw")
    sheet = outline_sheet(usable[::step][:count], report.dataset.classes)
    try:
        write_picture(path, sheet, kind="jpg" if path.suffix == ".jpg" else "png")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror})") from error
