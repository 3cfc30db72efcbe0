"""The log of a run as a table that any program reads."""

from __future__ import annotations

import csv
from pathlib import Path

from streamseg.errors import TrainingError
from streamseg.training.schedule import Standing

__all__ = ["CsvLog"]

Row = dict[str, str]


class CsvLog:
    """One line now and then; `mask_ap`, 0 … 1, is filled where it was measured; losses are running means."""

    def __init__(self, path: Path, iteration: int, images: int) -> None:
        """Lines of an earlier run that are past `iteration` are dropped: it goes on from there. `images`
        make an epoch. Raises TrainingError."""
        self._path = path
        self._images = images
        self._rows: list[Row] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                # A line that was being written when the power went has no number.
                rows = [row for row in csv.DictReader(file) if (row["iteration"] or "").isdecimal()]
            self._rows = [row for row in rows if int(row["iteration"]) <= iteration]
        self._columns = list(self._rows[0]) if self._rows else []
        if self._columns:
            self._write("w", self._rows, header=True)

    def add(self, progress: Standing, rate: float, mask_ap: float | None = None) -> None:
        """Add a line. Raises TrainingError."""
        seconds = max(progress.elapsed_s, 1e-9)
        row = {
            "iteration": str(progress.iteration),
            "epoch": f"{progress.images / self._images:.2f}",
            "minutes": f"{progress.elapsed_s / 60:.2f}",
            "images_per_second": f"{progress.images / seconds:.2f}",
            "waiting_share": f"{progress.waited_s / seconds:.4f}",
            "learning_rate": f"{rate:.3e}",
            "mask_ap": "" if mask_ap is None else f"{mask_ap:.4f}",
            **{f"loss_{name}": f"{value:.4f}" for name, value in progress.losses.items()},
        }
        new = not self._columns
        self._columns = self._columns or list(row)
        self._write("w" if new else "a", [row], header=new)

    def _write(self, mode: str, rows: list[Row], *, header: bool) -> None:
        try:
            with self._path.open(mode, newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self._columns)
                if header:
                    writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            raise TrainingError(f"{self._path}: cannot be written ({error.strerror})") from error
