"""The machine of evidence and patience; what it promises about flicker is in test_flicker.py."""

import numpy as np

from streamseg.events.episodes import Episodes, Waits

ROW = np.zeros(1, np.intp)
NAME = np.array([7])
BEGIN, END = 0.5, 0.3
PATIENCE = Waits(np.array([BEGIN]), np.array([END]), np.array([2.0]))


def run(evidence, start=None):
    """Turns of one subject, whose evidence is (time, for, against)."""
    state, turns = start or Episodes.none(1, 1), []
    for now, rise, fall in evidence:
        state, more = state.step(ROW, NAME, np.array([[rise]]), np.array([[fall]]), PATIENCE, now)
        turns += more
    return state, turns


def test_begins_at_the_first_evidence_and_ends_at_the_first_against():
    evidence = [(k / 10, 3 <= k < 40, not 3 <= k < 40) for k in range(60)]
    _, turns = run(evidence)
    assert [(t.phase, round(t.at, 6)) for t in turns] == [("started", 0.3), ("updated", 2.3), ("ended", 4.0)]
    assert {t.subject for t in turns} == {7}
    assert turns[2].began == turns[0].at


def test_a_patience_of_nothing_is_at_once():
    state = Episodes.none(1, 1)
    none = Waits(np.zeros(1), np.zeros(1), np.full(1, np.inf))
    _, turns = state.step(ROW, NAME, np.ones((1, 1), bool), np.zeros((1, 1), bool), none, 4.0)
    assert [t.phase for t in turns] == ["started"]


def test_between_the_thresholds_nothing_changes():
    state, turns = run([(k / 10, False, False) for k in range(50)])
    assert not turns
    state, _ = run([(k / 10, True, False) for k in range(10)])
    state, turns = run([(k / 10, False, False) for k in range(10, 15)], state)
    assert state.on[0, 0]


def test_a_step_changes_nothing_it_was_given():
    state, _ = run([(0.0, True, False)])
    before = state.since.copy()
    state.step(ROW, NAME, np.ones((1, 1), bool), np.zeros((1, 1), bool), PATIENCE, 9.0)
    assert np.array_equal(state.since, before)


def test_who_is_not_seen_any_more_ends_when_last_seen():
    state, _ = run([(k / 10, True, False) for k in range(10)])
    [turn] = state.endings(ROW, np.array([0.9]))
    assert (turn.phase, turn.at, turn.lost) == ("ended", 0.9, True)
