import numpy as np

from streamseg.events.resting import SETTLE_SECONDS, Resting

ROW = np.zeros(1, np.intp)
REACH = np.array([[5.0]])


def run(xs, step=0.1):
    state, rests, away = Resting.none(1, 1), [], []
    for k, x in enumerate(xs):
        state, rest, elsewhere = state.step(ROW, np.array([(x, 0.0)]), REACH, k * step)
        rests.append(bool(rest[0, 0]))
        away.append(bool(elsewhere[0, 0]))
    return state, rests, away


def test_one_that_trembles_rests():
    _, rests, away = run([0, 2, -3, 4, 1] * 4)
    assert all(rests)
    assert not any(away)


def test_a_jump_and_back_is_no_move():
    state, rests, _ = run([0, 0, 50, 50, 0, 0])
    assert all(rests)
    assert state.anchor[0, 0].tolist() == [0, 0]


def test_one_that_goes_rests_where_it_has_settled():
    state, rests, away = run([0, 0, *[50] * 10])
    at = 2 + round(SETTLE_SECONDS / 0.1)
    assert [k for k, rest in enumerate(rests) if not rest] == [at]
    assert away[2 : at + 1] == [True] * (at - 1)
    assert state.anchor[0, 0].tolist() == [50, 0]
