"""Scores of identities, by hand."""

import numpy as np
import pytest

from streamseg.evaluation.tracking_scores import TrackedFrame, tracking_scores


def frames(ids: list[int]) -> list[TrackedFrame]:
    """One object, followed by one track after another."""
    return [TrackedFrame(np.array([5]), np.array([k]), np.ones((1, 1))) for k in ids]


def test_perfect() -> None:
    scores = tracking_scores({"a": frames([7] * 10), "b": frames([3] * 4)})

    assert scores == {"HOTA": 100, "AssA": 100, "DetA": 100, "MOTA": 100, "IDF1": 100, "IDSW": 0}


def test_one_switch_in_the_middle() -> None:
    scores = tracking_scores({"a": frames([1] * 5 + [2] * 5)})

    # Each track shares 5 of the object's 10 frames: association 1/2, HOTA its root.
    assert (scores["DetA"], scores["AssA"], scores["IDSW"]) == (100, pytest.approx(50), 1)
    assert scores["HOTA"] == pytest.approx(100 * 0.5**0.5)
    assert scores["IDF1"] == pytest.approx(50)
    assert scores["MOTA"] == pytest.approx(90)


def test_ids_need_not_be_small() -> None:
    assert tracking_scores({"a": frames([10**12] * 3)})["HOTA"] == 100


def test_frames_without_anything() -> None:
    nothing = TrackedFrame(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0)))

    assert tracking_scores({"a": [nothing, *frames([1, 1]), nothing]})["HOTA"] == 100
