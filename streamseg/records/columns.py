"""Columns of numbers as bytes, small where neighbours are alike: the inside of a record's blocks.

Reading trusts nothing: whatever the bytes are, a ValueError comes of it or columns of the length asked for.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BYTES", "ColumnReader", "ColumnWriter"]

Whole = NDArray[np.int64]

MOST_BYTES = 64 * 1024 * 1024
"""Of one block before compression; ten masks of noise over a whole picture make 20 MB a second."""

_LEVEL = 6
_ESCAPE = 255
_FEW = 2
"""Steps of up to so much either way go three to a byte: six values each, the sixth for all others."""
_PER_BYTE = 3
_WEIGHTS = (2 * _FEW + 2) ** np.arange(_PER_BYTE)


class ColumnWriter:
    """Columns, one after the other; `finish` gives their bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def whole(self, values: NDArray[Any]) -> None:
        """Whole numbers, as they are: one byte each from -127 to 127."""
        values = values.astype(np.int64)
        folded = ((values << 1) ^ (values >> 63)).view(np.uint64)
        self._add(np.minimum(folded, _ESCAPE).astype(np.uint8))
        self._add(values[folded >= _ESCAPE].astype("<i8"))

    def steps(self, values: NDArray[Any]) -> None:
        """Whole numbers that are mostly from -2 to 2: three to a byte."""
        few = np.abs(values) <= _FEW
        kinds = np.full(-(-len(values) // _PER_BYTE) * _PER_BYTE, _FEW, np.int64)
        kinds[: len(values)] = np.where(few, values + _FEW, 2 * _FEW + 1)
        self._add((kinds.reshape(-1, _PER_BYTE) @ _WEIGHTS).astype(np.uint8))
        self.whole(values[~few])

    def bits(self, values: NDArray[Any]) -> None:
        """The bits of numbers of any type: first all lowest bytes, then all second ones …"""
        self._add(
            np.ascontiguousarray(np.frombuffer(values.tobytes(), np.uint8).reshape(-1, values.itemsize).T)
        )

    def _add(self, values: NDArray[Any]) -> None:
        content = values.tobytes()
        self._parts.append(len(content).to_bytes(4, "little"))
        self._parts.append(content)

    def finish(self) -> bytes:
        """All of it, compressed."""
        return zlib.compress(b"".join(self._parts), _LEVEL)


class ColumnReader:
    """Columns in the order in which they were written. Every method raises ValueError for damaged bytes."""

    def __init__(self, content: bytes) -> None:
        inflate = zlib.decompressobj()
        try:
            self._content = inflate.decompress(content, MOST_BYTES)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if not inflate.eof:
            raise ValueError("breaks off, or is larger than any block")
        self._at = 0

    def whole(self, count: int) -> Whole:
        folded = self._numbers(count, np.uint8).astype(np.int64)
        escaped = np.flatnonzero(folded == _ESCAPE)
        values: Whole = (folded >> 1) ^ -(folded & 1)
        values[escaped] = self._numbers(len(escaped), "<i8")
        return values

    def steps(self, count: int) -> Whole:
        packed = self._numbers(-(-count // _PER_BYTE), np.uint8)
        kinds: Whole = _UNPACKED[packed].reshape(-1)[:count].astype(np.int64)
        other = np.flatnonzero(kinds == 2 * _FEW + 1)
        kinds -= _FEW
        kinds[other] = self.whole(len(other))
        return kinds

    def bits(self, count: int, dtype: type) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize
        planes = self._numbers(count * size, np.uint8).reshape(size, count)
        return np.frombuffer(planes.T.tobytes(), dtype)

    def end(self) -> None:
        """Raise ValueError unless all was read."""
        if self._at != len(self._content):
            raise ValueError("holds more than it says")

    def _numbers(self, count: int, dtype: Any) -> NDArray[Any]:
        start = self._at + 4
        length = int.from_bytes(self._content[self._at : start], "little")
        self._at = start + length
        if self._at > len(self._content) or length != count * np.dtype(dtype).itemsize:
            raise ValueError("a column has another length than it should have")
        return np.frombuffer(self._content, dtype, count, start)


_UNPACKED = (np.arange(256)[:, None] // _WEIGHTS % (2 * _FEW + 2)).astype(np.uint8)
