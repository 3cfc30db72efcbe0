import numpy as np
import pytest

from streamseg.events.observation import observe
from streamseg.events.pairs import distance_px, share_covered


@pytest.mark.parametrize(
    ("other", "apart"),
    [((50, 10, 70, 30), 20), ((10, 45, 30, 60), 15), ((33, 34, 50, 60), 5), ((20, 20, 40, 40), 0)],
)
def test_distance_between_masks(made, other, apart):
    seen = observe(*made({1: (10, 10, 30, 30), 2: other}), 0.0)
    assert distance_px(seen, 0, 1) == pytest.approx(apart)
    assert distance_px(seen, 1, 0) == pytest.approx(apart)


def test_share_of_one_mask_in_another(made):
    seen = observe(*made({1: (10, 10, 30, 30), 2: (20, 0, 90, 90)}), 0.0)
    assert share_covered(seen, 0, 1) == pytest.approx(0.5)
    assert share_covered(seen, 1, 0) == pytest.approx(200 / 6300)


def test_a_contact_begins_and_ends_once(watching):
    play = watching({"contacts": {"touch": {"between": ["car", "person"], "after": 0.2}}})
    for k in range(60):
        x = 100 - 2.0 * k if k < 40 else 20 + 4.0 * (k - 40)
        play.show(k / 10, {1: (10, 40, 40, 60), 2: (x, 40, x + 20, 60)}, {2: 1})
    assert play.told() == [("touch", "started"), ("touch", "ended")]
    first = play.events[0]
    assert (first.track, first.data["other"], first.class_name) == (1, 2, "car")
    assert len({e.id for e in play.events}) == 1
    assert len(play.watch.state.pairs.first) == 0  # nothing goes on any more


def test_a_contact_of_other_classes_is_none(watching):
    play = watching({"contacts": {"touch": {"between": ["person", "bag"]}}})
    play.play([(k / 10, {1: (10, 40, 40, 60), 2: (30, 40, 60, 60)}) for k in range(20)], {2: 1})
    assert play.events == []


def test_two_of_one_class_are_one_pair(watching):
    play = watching({"contacts": {"touch": {"between": ["car", "car"], "within": 0.1}}})
    play.play([(k / 10, {2: (50, 40, 60, 60), 1: (10, 40, 40, 60)}) for k in range(20)])
    assert [(e.track, e.data["other"]) for e in play.events] == [(1, 2)]


def test_one_mask_inside_another(watching):
    play = watching({"inside": {"carried": {"what": "bag", "of": "person", "share": 0.6}}})
    classes = {1: 1, 2: 2}
    for k in range(40):
        bag = (22, 45, 32, 55) if k < 20 else (37, 45, 47, 55)
        play.show(k / 10, {1: (20, 20, 40, 80), 2: bag}, classes)
    assert play.told() == [("carried", "started"), ("carried", "ended")]
    assert (play.events[0].track, play.events[0].data["other"]) == (2, 1)


def test_a_lost_object_ends_its_pairs(watching):
    play = watching({"contacts": {"touch": {"between": ["car", "car"], "after": 0.1}}})
    play.play([(k / 10, {1: (10, 40, 40, 60), 2: (30, 40, 60, 60)}) for k in range(10)])
    play.play([(1.0 + k / 10, {1: (10, 40, 40, 60)}) for k in range(40)])
    assert play.events[-1].data["reason"] == "lost"
    assert np.isclose(play.events[-1].at_seconds, 0.9)
