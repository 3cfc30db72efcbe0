"""Runs → few numbers → the same runs, of masks as they are and of whatever else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamseg.masks import Region, Runs, runs_from_region
from streamseg.masks.packed import PackedRuns, pack_runs, unpack_runs

EMPTY = Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


def there_and_back(masks: list[Runs], hw: tuple[int, int]) -> list[Runs]:
    ragged = unpack_runs(pack_runs(masks), np.array([hw] * len(masks), np.int64).reshape(-1, 2))
    return [ragged.of(k) for k in range(len(masks))]


def same(one: Runs, other: Runs) -> bool:
    return np.array_equal(one.column, other.column) and np.array_equal(one.row, other.row)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)), min_size=0, max_size=5
    )
)
def test_any_pixels_come_back(pictures: list[np.ndarray]) -> None:
    masks = [runs_from_region(Region((3 * k, k), bits)) for k, bits in enumerate(pictures)]
    for before, after in zip(masks, there_and_back(masks, (40, 40)), strict=True):
        assert same(before, after)


def test_runs_without_a_pixel_and_masks_without_a_run_come_back() -> None:
    thin = Runs(np.array([4, 4, 4, 4, 9, 9]), np.array([2, 2, 5, 7, 0, 20]))
    masks = [EMPTY, thin, EMPTY, thin, EMPTY]
    for before, after in zip(masks, there_and_back(masks, (20, 10)), strict=True):
        assert same(before, after)
    assert there_and_back([], (20, 10)) == []
    assert [len(runs.row) for runs in there_and_back([EMPTY, EMPTY], (20, 10))] == [0, 0]


def test_an_edge_that_moves_little_is_small_numbers() -> None:
    column = np.repeat(np.arange(100, 200), 2)
    row = np.stack([300 + np.arange(100) // 3, np.full(100, 400)], axis=1).ravel()
    packed = pack_runs([Runs(column, row)])
    assert (len(packed.gap), len(packed.heads), len(packed.steps)) == (1, 2, 198)
    assert set(packed.steps.tolist()) == {0, 1}


@pytest.mark.parametrize("name", ["segments", "gap", "columns", "edges", "heads", "steps"])
@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a + 10**6, lambda a: -a - 1])
def test_numbers_that_are_no_masks_are_refused(name: str, change) -> None:
    disc = np.hypot(*np.mgrid[-9:9, -9:9]) < 8
    packed = pack_runs([runs_from_region(Region((2, 2), disc))])
    columns = {key: getattr(packed, key) for key in PackedRuns.__slots__}
    columns[name] = change(columns[name])
    with pytest.raises(ValueError, match="mask"):
        unpack_runs(PackedRuns(**columns), np.array([[30, 30]]))
