import numpy as np
import pytest

from streamseg.overlay.trails import POINTS, Trails
from streamseg.structures import Tracks


def tracks_at(centres: dict[int, tuple[float, float]]) -> Tracks:
    boxes = [[x - 2, y - 3, x + 2, y + 3] for x, y in centres.values()]
    n = len(centres)
    return Tracks(
        np.array(list(centres), np.int64),
        np.ones(n, np.float32),
        np.full(n, 2, np.uint8),
        np.array(boxes, np.float32).reshape(n, 4),
    )


def test_a_path_holds_the_centres_of_the_last_seconds_in_order() -> None:
    trails = Trails(seconds=1.0)
    for n in range(31):
        paths = trails.update(n / 10, tracks_at({4: (n, 2 * n)}))
    assert paths == {4: [(n, 2 * n) for n in range(20, 31)]}


def test_untracked_instances_have_no_path() -> None:
    assert Trails(1.0).update(0.0, tracks_at({-1: (5, 5)})) == {}


def test_memory_is_bounded_and_forgets_tracks_that_left() -> None:
    trails = Trails(seconds=2.0)
    for n in range(3000):
        paths = trails.update(n / 1000, tracks_at({n: (1, 1), 10**6: (n, n)}))
        assert all(len(path) <= POINTS + 1 for path in paths.values())
    assert len(trails) <= 2002
    assert paths[10**6][-1] == (2999, 2999)
    assert paths[10**6][0][0] == pytest.approx(1000, abs=40)
    trails.update(10.0, tracks_at({}))
    assert len(trails) == 0


def test_a_track_that_comes_back_soon_goes_on() -> None:
    trails = Trails(seconds=1.0)
    trails.update(0.0, tracks_at({1: (0, 0)}))
    trails.update(0.5, tracks_at({}))
    assert trails.update(0.9, tracks_at({1: (9, 9)})) == {1: [(0, 0), (9, 9)]}


def test_time_that_goes_back_forgets() -> None:
    trails = Trails(seconds=1.0)
    trails.update(100.0, tracks_at({1: (0, 0)}))
    assert trails.update(0.0, tracks_at({1: (5, 5)})) == {1: [(5, 5)]}
