"""What the states of all kinds of rules have in common: arrays with a row for each object, a column for each
rule. Tested in tests/events/test_watch.py."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["arrays_of", "from_plain", "plain", "with_columns", "with_rows"]

S = TypeVar("S")
"""A frozen dataclass of arrays."""


def arrays_of(state: Any) -> list[NDArray[Any]]:
    """Its arrays, in the order of its fields."""
    return [getattr(state, column.name) for column in fields(state)]


def with_rows(state: S, kept: NDArray[np.intp], new: S) -> S:
    """`state` with the rows `kept` only, and those of `new` after them."""
    pairs = zip(arrays_of(state), arrays_of(new), strict=True)
    if len(arrays_of(state)[0]) == len(kept) and not len(arrays_of(new)[0]):
        return type(state)(*(a.copy() for a, _ in pairs))
    return type(state)(*(np.concatenate([a[kept], b]) for a, b in pairs))


def with_columns(state: S, picks: list[int | None], new: S) -> S:
    """`state` with the columns `picks` in this order; None: the column of `new`, which has as many."""
    old = np.array([p for p in picks if p is not None], np.intp)
    place = np.array([k for k, p in enumerate(picks) if p is not None], np.intp)
    made = [array.copy() for array in arrays_of(new)]
    for a, b in zip(arrays_of(state), made, strict=True):
        b[:, place] = a[:, old]
    return type(state)(*made)


def plain(state: Any) -> dict[str, Any]:
    """`state` as JSON can hold it; NaN is written as null."""
    return {column.name: _plain(getattr(state, column.name)) for column in fields(state)}


def from_plain(kind: type[S], values: dict[str, Any], like: S) -> S:
    """What `plain` wrote, with the types of `like`. Raises KeyError, ValueError or TypeError."""
    made = []
    for column, model in zip(fields(kind), arrays_of(like), strict=True):  # type: ignore[arg-type]
        array = np.array(values[column.name], np.float64 if model.dtype.kind == "f" else model.dtype)
        made.append(array.reshape(len(array), *model.shape[1:]).astype(model.dtype))
    return kind(*made)


def _plain(array: NDArray[Any]) -> Any:
    if array.dtype.kind != "f":
        return array.tolist()
    with_null = array.astype(object)
    with_null[np.isnan(array)] = None
    return with_null.tolist()
