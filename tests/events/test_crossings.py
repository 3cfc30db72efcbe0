"""Lines, by steps of one object: what is counted, and when; flicker is in test_flicker.py."""

import numpy as np

from streamseg.events.crossings import Gates, Sides

AFTER = 0.3
GATES = Gates([np.array([(10.0, 0.0), (10.0, 20.0)])], np.array([0.6]), np.array([AFTER]))
ROW = np.zeros(1, np.intp)


def run(frames, state=None):
    """Crossings of one object that is, at a time, at x (10 wide) and y; None: out of sight."""
    state, crossed, gap = state or Sides.none(1, 1), [], False
    for now, x, *y in frames:
        if x is None:
            gap = True
            continue
        # Walking down, the left is where x is greater.
        left = np.clip((x + 5 - 10) / 10, 0, 1)
        point = np.array([[[x, y[0] if y else 10.0]]])
        state, more = state.step(ROW, np.array([[left]], np.float32), point, np.array([gap]), GATES, now)
        crossed, gap = crossed + more, False
    return state, crossed


def steps(*xs, start=0.0):
    return [(start + k * 0.1, x) for k, x in enumerate(xs)]


def test_there_and_back():
    there = np.linspace(0, 20, 21).tolist()
    _, crossed = run(steps(*there, *[20] * 5, *there[::-1], *[0] * 5))
    assert [c.forward for c in crossed] == [False, True]
    assert [round(c.at, 1) for c in crossed] == [1.0, 3.7]
    assert not any(c.unseen for c in crossed)


def test_past_the_end_is_no_crossing():
    _, crossed = run([(t, x, 30.0) for t, x in steps(*np.linspace(0, 20, 21), *[20] * 5)])
    assert crossed == []


def test_round_the_end_and_back_through_it_is_one_crossing():
    xs = [*np.linspace(0, 20, 11), *[20] * 10, *np.linspace(20, 0, 11), *[0] * 5]
    ys = [*[30.0] * 21, *[10.0] * 16]
    _, crossed = run([(k / 10, x, y) for k, (x, y) in enumerate(zip(xs, ys, strict=True))])
    assert [c.forward for c in crossed] == [True]


def test_one_that_straddles_the_line_never_crosses():
    _, crossed = run(steps(*[9, 10, 11] * 40))
    assert crossed == []


def test_out_of_sight_it_is_counted_when_it_comes_back_and_marked():
    _, crossed = run(steps(*[0] * 5, *[None] * 5, *[20] * 6))
    assert [(c.unseen, round(c.at, 1)) for c in crossed] == [(True, 1.0)]


def test_stop_and_go_at_the_line_counts_once():
    rng = np.random.default_rng(1)
    wait = (10 + rng.normal(0, 0.4, 2000)).tolist()
    _, crossed = run(steps(*[0] * 5, *wait, *[20] * 6))
    assert len(crossed) == 1
