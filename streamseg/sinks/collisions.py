"""No output may be an input, by whatever name, link, glob or address, nor two outputs one file."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streamseg.addresses import file_path, is_address, shown
from streamseg.errors import ConfigError
from streamseg.files import same_file
from streamseg.sinks.image_sink import IMAGE_KINDS

__all__ = ["PlannedOutput", "refuse_collisions"]


class PlannedOutput(NamedTuple):
    """A file or folder that a run will write."""

    path: str
    """`-` is standard output."""
    option: str
    """How the user asked for it, such as `--jsonl`."""
    is_folder: bool = False
    """For images, of which some may have the name of one that is there."""


def refuse_collisions(inputs: Sequence[str], outputs: Sequence[PlannedOutput]) -> None:
    """Raise ConfigError where an output would overwrite an input or another output, by whatever name.

    `inputs`: paths, globs, folders, `file://` addresses; anything else names no file. A folder of images is
    refused where images come from.
    """
    for index, output in enumerate(outputs):
        for earlier in outputs[:index]:
            if _collide(earlier, output):
                raise ConfigError(
                    f"{shown(output.path)}: {output.option} and {earlier.option} would overwrite each other; "
                    "give each output a name of its own"
                )
    kept = [output for output in outputs if output.path != "-"]
    for spec in inputs if kept else ():
        files, folders = _read_by(spec)
        known = {identity for file in files if (identity := _identity(file))}
        for output in kept:
            _refuse_input(output, spec, known, folders)


def _refuse_input(output: PlannedOutput, spec: str, known: set[tuple[int, int]], folders: set[str]) -> None:
    name = shown(output.path)
    if output.is_folder:
        if any(same_file(output.path, folder) for folder in folders):
            raise ConfigError(
                f"{name}: {output.option} is also where the input's images are, which would be overwritten; "
                f"choose another output than the folder of {shown(spec)}"
            )
    elif _identity(output.path) in known:
        raise ConfigError(
            f"{name}: {output.option} is also the input {shown(spec)} and would be overwritten; "
            "choose another output"
        )


def _collide(one: PlannedOutput, other: PlannedOutput) -> bool:
    if "-" in (one.path, other.path):
        return one.path == other.path
    return same_file(one.path, other.path) and not _is_device(one.path)


def _is_device(path: str) -> bool:
    """Such as /dev/null, which takes any number of outputs."""
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _read_by(spec: str) -> tuple[list[str], set[str]]:
    """The files that a source reads, as far as its name says so, and the folders its images are in."""
    try:
        path = file_path(spec)
        if is_address(path):
            return [], set()
        if Path(path).is_dir():
            return [str(entry) for entry in Path(path).iterdir()], {path}
    except (OSError, ValueError):  # what is wrong with it, the source will say
        return [], set()
    files = [path] if os.path.exists(path) else glob.glob(path, recursive=True)  # noqa: PTH110, PTH207
    return files, {str(Path(file).parent) for file in files if Path(file).suffix.lower()[1:] in IMAGE_KINDS}


def _identity(path: str) -> tuple[int, int] | None:
    """Of a regular file; None of anything else, or nothing."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
