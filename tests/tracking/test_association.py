from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamseg.tracking.association import Round, associate, best_pairs, enlarged, gap_buffer

Array = np.ndarray


def by_box(rows: Array, columns: Array, iou: Array) -> Array:
    return iou


def best(iou: Array, gate: float, rank: Callable[[Array, Array, Array], Array]) -> tuple[Array, Array]:
    """`best_pairs` of all pairs of a matrix that pass the gate."""
    rows, columns = np.nonzero(iou >= gate)
    return best_pairs(rows, columns, iou[rows, columns], rank)


def pairs_of(result: tuple[Array, Array]) -> set[tuple[int, int]]:
    return set(zip(result[0].tolist(), result[1].tolist(), strict=True))


def test_gap_buffer_grows_from_the_usual_step() -> None:
    steps = [0.02, 0.04, 0.04 + 1e-9, 0.08, 0.12, 1.0, float("inf")]
    assert [gap_buffer(s, 0.04) for s in steps] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3, 0.3], abs=1e-8)


def test_enlarged() -> None:
    boxes = np.array([[10.0, 20.0, 20.0, 40.0]])
    assert enlarged(boxes, 0.1).tolist() == [[9, 18, 21, 42]]
    assert enlarged(boxes, 0.0) is boxes


def test_rank_is_asked_only_where_there_is_a_choice() -> None:
    asked: list[tuple[int, int]] = []

    def rank(rows: Array, columns: Array, iou: Array) -> Array:
        asked.extend(zip(rows.tolist(), columns.tolist(), strict=True))
        return np.where(rows == columns, 0.9, 0.1)

    iou = np.array([[0.9, 0.2, 0.0], [0.0, 0.5, 0.6], [0.0, 0.6, 0.5]])
    assert pairs_of(best(iou, 0.3, rank)) == {(0, 0), (1, 1), (2, 2)}
    assert set(asked) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_nothing_passes_below_the_gate_and_low_ranks_still_match() -> None:
    iou = np.array([[0.35, 0.29], [0.35, 0.0]])
    found = pairs_of(best(iou, 0.3, lambda r, c, box: box - 1))
    assert len(found) == 1
    assert found <= {(0, 0), (1, 0)}


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_best_sum_of_all_pairings(iou: Array) -> None:
    wide = iou if iou.shape[0] <= iou.shape[1] else iou.T
    worth = np.where(wide >= 0.3, wide, 0)
    highest = max(
        sum(worth[r, c] for r, c in enumerate(columns))
        for columns in permutations(range(wide.shape[1]), wide.shape[0])
    )
    rows, columns = best(iou, 0.3, by_box)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert (iou[rows, columns] >= 0.3).all()
    assert iou[rows, columns].sum() == pytest.approx(highest)


def test_stages_in_turn() -> None:
    tracks = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10]])
    found = np.array([[2.0, 0, 12, 10], [100, 0, 110, 10], [0, 0, 10, 10]])
    first, second = np.array([True, False]), np.array([False, True])
    good = np.array([True, True, False])
    stages = [Round(first, good, 0.3, 0.0), Round(second, good, 0.3, 0.0), Round(second, ~good, 0.3, 0.0)]
    # The first track may only choose among the good: it takes what fits the second better.
    assert pairs_of(associate(tracks, found, stages, by_box)) == {(0, 0), (1, 2)}


def test_buffer_and_allowed_pairs() -> None:
    tracks, found = np.array([[0.0, 0, 10, 10]]), np.array([[9.0, 0, 19, 10]])
    everyone = np.array([True])
    assert pairs_of(associate(tracks, found, [Round(everyone, everyone, 0.2, 0.0)], by_box)) == set()
    assert pairs_of(associate(tracks, found, [Round(everyone, everyone, 0.2, 0.3)], by_box)) == {(0, 0)}
    refused = Round(everyone, everyone, 0.2, 0.3, np.array([[False]]))
    assert pairs_of(associate(tracks, found, [refused], by_box)) == set()


def test_forbidden_pairs_stay_forbidden_without_a_gate() -> None:
    """The first track may only have the second detection, far away; at a gate of 0 that is near enough."""
    tracks = np.array([[0.0, 0, 10, 10], [50, 0, 60, 10]])
    found = np.array([[0.0, 0, 10, 10], [100, 0, 110, 10]])
    everyone = np.array([True, True])
    allowed = np.array([[False, True], [False, False]])
    stage = Round(everyone, everyone, 0.0, 0.0, allowed)
    assert pairs_of(associate(tracks, found, [stage], by_box)) == {(0, 1)}
    assert pairs_of(associate(tracks, found, [stage._replace(allowed=~allowed & False)], by_box)) == set()


def test_nobody() -> None:
    none = np.zeros(0, bool)
    rows, columns = associate(np.zeros((0, 4)), np.zeros((0, 4)), [Round(none, none, 0.3, 0.0)], by_box)
    assert rows.shape == columns.shape == (0,)
