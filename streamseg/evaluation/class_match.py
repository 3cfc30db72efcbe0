"""Which class of an engine is which category of a data set.

Tested in tests/evaluation/test_dataset_eval.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamseg.datasets.coco import CocoDataset
from streamseg.errors import DatasetError

__all__ = ["ClassMatch", "match_classes"]


@dataclass(frozen=True, slots=True)
class ClassMatch:
    """Names are the data's, but for those it does not have."""

    category_of: dict[int, int]
    """The engine's class → the file's category id."""
    name_of: dict[int, str]
    """The file's category id → its name; common classes only."""
    not_in_engine: tuple[str, ...]
    not_in_data: tuple[str, ...]


def match_classes(classes: Sequence[str], dataset: CocoDataset) -> ClassMatch:
    """By name, whatever its case. Raises DatasetError where nothing is common or a name is not unique."""
    own = _by_name(classes, "the engine")
    theirs = _by_name(dataset.classes, str(dataset.path))
    common = [name for name in theirs if name in own]
    if not common:
        raise DatasetError(
            f"{dataset.path}: nothing to evaluate: none of its classes ({_listed(dataset.classes)}) "
            f"is one of the engine's ({_listed(classes)})"
        )
    ids = {name: dataset.category_ids[theirs[name]] for name in common}
    return ClassMatch(
        {own[name]: ids[name] for name in common},
        {ids[name]: dataset.classes[theirs[name]] for name in common},
        tuple(dataset.classes[theirs[name]] for name in theirs if name not in own),
        tuple(classes[own[name]] for name in own if name not in theirs),
    )


def _by_name(names: Sequence[str], owner: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        key = name.strip().casefold()
        if key in found:
            raise DatasetError(f"{owner}: classes {names[found[key]]!r} and {name!r} differ only by case")
        found[key] = index
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" … {len(names)} in all" if len(names) > 12 else "")
