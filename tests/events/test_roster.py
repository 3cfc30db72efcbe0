from dataclasses import replace

import numpy as np
import pytest

from streamseg.events.observation import observe
from streamseg.events.roster import MOST_OBJECTS, Memory, Roster

MEMORY = Memory(forget_after=2.0, hand_over_after=1.0, hand_over_reach=0.7)


def played(made, frames, memory=MEMORY, classes=None):
    roster, before, all_moves = Roster.none(), -np.inf, []
    for t, seen in frames:
        roster, moves = roster.step(observe(*made(seen, classes), t), before, memory)
        all_moves.append(moves)
        before = t
    return roster, all_moves


def at(x, y=40.0):
    return x, y, x + 20, y + 20


def test_rows_stay_while_objects_come_and_go(made):
    roster, moves = played(
        made, [(0.0, {5: at(0), 3: at(90)}), (0.1, {3: at(91)}), (0.2, {9: at(150), 5: at(1)})]
    )
    assert roster.id.tolist() == [5, 3, 9]
    assert moves[2].rows.tolist() == [2, 0]
    assert moves[2].gap.tolist() == [False, True]


def test_the_forgotten_are_told_with_the_time_they_were_last_seen(made):
    roster, moves = played(made, [(0.0, {1: at(0)}), (0.5, {1: at(0)}), (2.0, {}), (2.8, {})])
    assert moves[2].lost.tolist() == []
    assert (moves[3].lost.tolist(), moves[3].lost_at.tolist()) == ([0], [0.5])
    assert len(roster) == 0


def test_an_id_that_comes_back_after_that_is_another_object(made):
    _, moves = played(made, [(0.0, {1: at(0)}), (5.0, {1: at(0)})])
    assert (moves[1].lost.tolist(), moves[1].born) == ([0], 1)


def test_a_birth_where_a_track_died_is_the_same_object(made):
    frames = [(k / 10, {1: at(4.0 * k)}) for k in range(5)]
    roster, moves = played(made, [*frames, (0.5, {}), (0.9, {2: at(36)})])
    assert [(h.old, h.new, h.row) for h in moves[-1].hand_overs] == [(1, 2, 0)]
    assert roster.id.tolist() == [2]


@pytest.mark.parametrize(
    ("birth", "classes", "later"),
    [(at(120), None, 0.2), (at(2), {2: 1}, 0.2), (at(2), None, 1.2), ((0, 0, 90, 90), None, 0.2)],
    ids=["elsewhere", "another class", "too late", "another size"],
)
def test_any_other_birth_is_another_object(made, birth, classes, later):
    roster, moves = played(made, [(0.0, {1: at(0)}), (later, {2: birth})], classes=classes)
    assert moves[-1].hand_overs == []
    assert roster.id.tolist() == [1, 2]


def test_who_is_in_sight_hands_nothing_over(made):
    _, moves = played(made, [(0.0, {1: at(0)}), (0.1, {1: at(0), 2: at(5)})])
    assert moves[-1].hand_overs == []


def test_memory_is_bounded(made):
    keep = Memory(3600.0, 0.0, 0.7)
    frames = [(f / 10, {f * 900 + k: at(k % 180) for k in range(1, 901)}) for f in range(7)]
    roster, _ = played(made, frames, keep)
    assert len(roster) == MOST_OBJECTS
    assert set(roster.id[-900:].tolist()) == set(frames[-1][1])


@pytest.mark.parametrize(("x", "handed"), [(100, True), (220, False)], ids=["on its way", "beyond it"])
def test_who_was_out_of_sight_longer_may_have_come_farther(made, x, handed):
    """40 pixels a second for as long as it was away, and 1.7 + 1.5 of its sizes beside that."""
    memory = Memory(forget_after=2.0, hand_over_after=2.0, hand_over_reach=0.7)
    walk = [(k / 10, {1: at(4.0 * k)}) for k in range(5)]
    _, moves = played(made, [*walk, (1.9, {2: at(x, 60)})], memory)
    assert [(h.old, h.new) for h in moves[-1].hand_overs] == ([(1, 2)] if handed else [])


@pytest.mark.parametrize(("age", "handed"), [(0.1, True), (0.0, False)])
def test_an_id_may_come_later_than_its_object(made, age, handed):
    """Out of sight for 2.05 seconds by its ids, and for 1.95 in truth."""
    memory = Memory(forget_after=2.0, hand_over_after=2.0, hand_over_reach=0.7)
    roster, _ = Roster.none().step(observe(*made({1: at(0)}), 0.0), -np.inf, memory)
    instances, tracks = made({2: at(0)})
    seen = observe(instances, replace(tracks, age_seconds=np.array([age], np.float32)), 2.05)
    roster, moves = roster.step(seen, 2.0, memory)
    assert bool(moves.hand_overs) == handed
