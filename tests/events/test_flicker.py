"""No flicker shorter than the patience makes an event, least of all one in the opposite direction.

The whole way: boxes and ids in, events out; frames at any times, with the object out of sight now and then.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

AFTER = 0.3
RULES = {
    "zones": {
        f"zone {at}": {
            "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]],
            "at": at,
            "enter_after": AFTER,
            "leave_after": AFTER,
        }
        for at in ("area", "foot", "centre", "box_foot")
    },
    "lines": {
        "down": {"points": [[0.5, 0], [0.5, 1]], "after": AFTER},
        "up": {"points": [[0.5, 1], [0.5, 0]], "after": AFTER, "at": "foot"},
    },
    "counts": {"some": {"zone": "zone area", "least": 1, "after": AFTER}},
    "occupancy": {"full": {"polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]], "over": 0.02, "under": 0.01,
                           "after": AFTER}},
}  # fmt: skip


@st.composite
def flickers(draw):
    """Frames (time, wrong, seen): what is wrong is so for less than the patience, out of sight included."""
    steps = draw(st.lists(st.floats(0.01, 0.12), min_size=20, max_size=40))
    frames, since = [], None
    for t in np.cumsum(steps).tolist():
        wrong, seen = draw(st.booleans()), draw(st.integers(0, 9)) > 0
        if not wrong or not seen:
            frames.append((t, False, seen))
            since = None if seen else since
            continue
        since = t if since is None else since
        if t - since >= AFTER - 1e-3:
            frames.append((t, False, True))
            since = None
        else:
            frames.append((t, True, True))
    return frames


def shown(watching, frames, home, away):
    """The events of a box that is at home for a second, and then flickers."""
    play = watching(RULES)
    play.play([(-1.0 + k / 10, {1: (home, 40, home + 20, 60)}) for k in range(10)])
    before = len(play.events)
    for t, wrong, seen in frames:
        x = away if wrong else home
        play.show(t, {1: (x, 40, x + 20, 60)} if seen else {})
    return play.events[before:]


@settings(max_examples=15, deadline=None)
@given(frames=flickers())
def test_outside_it_makes_no_event(watching_class, frames):
    assert shown(watching_class, frames, home=20, away=160) == []


@settings(max_examples=15, deadline=None)
@given(frames=flickers())
def test_inside_it_makes_no_event(watching_class, frames):
    assert [e for e in shown(watching_class, frames, home=160, away=20) if e.kind != "occupancy"] == []


@settings(max_examples=15, deadline=None)
@given(frames=flickers(), right=st.booleans())
def test_at_birth_it_crosses_no_line(watching_class, frames, right):
    play = watching_class(RULES)
    for t, wrong, seen in frames:
        x = 160 if wrong != right else 20
        play.show(t, {1: (x, 40, x + 20, 60)} if seen else {})
    assert [e for e in play.events if e.kind == "line"] == []
