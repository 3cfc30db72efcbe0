"""Columns of numbers as bytes, and back; whatever the bytes are."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.records.columns import MOST_BYTES, ColumnReader, ColumnWriter

WHOLE = st.lists(st.integers(-(2**62), 2**62), max_size=20)


@settings(max_examples=50, deadline=None)
@given(WHOLE, st.lists(st.integers(-5, 5), max_size=20), st.lists(st.floats(width=32), max_size=8))
def test_what_is_written_is_read(whole: list[int], steps: list[int], floats: list[float]) -> None:
    out = ColumnWriter()
    out.whole(np.array(whole, np.int64))
    out.steps(np.array(steps, np.int64))
    out.bits(np.array(floats, np.float32))
    read = ColumnReader(out.finish())
    assert read.whole(len(whole)).tolist() == whole
    assert read.steps(len(steps)).tolist() == steps
    assert read.bits(len(floats), np.float32).tobytes() == np.array(floats, np.float32).tobytes()
    read.end()


def test_small_steps_take_a_third_of_a_byte_before_compression() -> None:
    out = ColumnWriter()
    out.steps(np.zeros(3000, np.int64))
    assert len(zlib.decompress(out.finish())) == 1000 + 12


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 30))
def test_other_bytes_are_refused(content: bytes, count: int) -> None:
    for packed in (content, zlib.compress(content)):
        with pytest.raises(ValueError, match=r"."):
            read_all(packed, count)


def read_all(packed: bytes, count: int) -> None:
    read = ColumnReader(packed)
    read.whole(count + 1)
    read.steps(count)
    read.bits(count + 1, np.float64)
    read.end()


def test_a_bomb_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than any block"):
        ColumnReader(zlib.compress(bytes(MOST_BYTES + 1)))


def test_what_is_left_over_is_noticed() -> None:
    out = ColumnWriter()
    out.whole(np.arange(3))
    out.whole(np.arange(3))
    read = ColumnReader(out.finish())
    read.whole(3)
    with pytest.raises(ValueError, match="more than it says"):
        read.end()
