"""One source's rules, from boxes and ids to events, on rectangles of 20×20 that move over 200×100 pixels."""

import json
import math

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.events import EventsConfig, Watch
from streamseg.events.marks import marks_of
from streamseg.structures import Frame

RIGHT = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
ZONE = {"zones": {"z": {"polygon": RIGHT}}}
LINE = {"lines": {"l": {"points": [[0.5, 1], [0.5, 0]]}}}  # upwards: to the right is forward
FRAME = Frame(np.zeros((100, 200, 3), np.uint8), 0, 99.0, 0, "cam")


def to(a, b, n):
    return np.linspace(a, b, n).tolist()


def test_there_and_back_is_one_of_each(watching, walk):
    play = watching(ZONE | LINE).play(walk([*to(20, 160, 50), *[160] * 20, *to(160, 20, 50), *[20] * 20]))
    assert play.told() == [("z", "started"), ("l", "happened"), ("l", "happened"), ("z", "ended")]
    entered, crossed, back, left = play.events
    # The centre of the mask is at x + 10; 50 steps of 140/49 pixels lead it over x = 100.
    assert entered.at_seconds == pytest.approx(25 / 25)
    assert crossed.data["direction"] == "in"
    assert back.data == {
        "direction": "out", "forward": False, "unseen": False, "forward_count": 1, "backward_count": 1
    }  # fmt: skip
    assert left.data["reason"] == "left"
    assert left.data["seconds"] == pytest.approx(left.at_seconds - entered.at_seconds, abs=1e-6)
    assert (left.data["inside"], left.data["entered"], left.data["left"]) == (0, 1, 1)
    assert left.id == entered.id != crossed.id != back.id


def test_between_the_shares_nothing_is_told(watching, walk):
    """A box that trembles on the edge of a zone, between 30 and 50 % of it inside."""
    play = watching(ZONE).play(walk([*[20] * 10, *[87, 89] * 50]))
    assert play.events == []
    play.play(walk([91] * 10, start=10))  # 11 of 20 pixels are inside
    play.play(walk([87] * 50, start=11))
    assert play.told() == [("z", "started")]


@pytest.mark.parametrize(
    ("at", "enters"), [("area", True), ("centre", True), ("foot", False), ("box_foot", False)]
)
def test_what_is_asked_where_it_is(watching, at, enters):
    """A box whose lower edge hangs out of the zone."""
    top = {"zones": {"z": {"polygon": [[0, 0], [1, 0], [1, 0.5], [0, 0.5]], "at": at}}}
    play = watching(top).play([(k / 10, {1: (50, 30, 70, 55)}) for k in range(10)])
    assert bool(play.events) == enters


def test_loitering_is_told_once(watching, walk):
    rules = {"zones": {"z": {"polygon": RIGHT, "loiter": 2}}}
    play = watching(rules).play(walk([*[20] * 10, *[160] * 200]))
    assert play.told() == [("z", "started"), ("z", "updated")]
    assert play.events[1].at_seconds == pytest.approx(play.events[0].at_seconds + 2)
    assert play.events[1].data["loitering"] is True


def test_out_of_sight_inside_is_inside_until_it_is_forgotten(watching, walk):
    play = watching(ZONE).play(walk([*[20] * 10, *[160] * 10, *[None] * 40, *[160] * 5]))
    assert play.told() == [("z", "started")]
    play.play(walk([None] * 60, start=3))
    assert play.told() == [("z", "started"), ("z", "ended")]
    assert play.events[1].data["reason"] == "lost"
    assert play.events[1].at_seconds == pytest.approx(64 / 25)  # when it was seen last


def test_a_crossing_out_of_sight_is_counted_and_marked(watching, walk):
    play = watching(LINE).play(walk([*[20] * 10, *[None] * 10, *[160] * 10]))
    assert [(e.data["forward"], e.data["unseen"], e.at_seconds) for e in play.events] == [(True, True, 0.8)]


def test_a_track_that_goes_on_under_another_id_is_one_object(watching, walk):
    xs = to(20, 160, 50)
    play = watching(ZONE | LINE).play(walk(xs[:27]))
    play.play(walk([None] * 2, start=27 / 25))
    play.play(walk([*xs[29:], *[160] * 10], track=2, start=29 / 25))
    assert play.watch.state.hand_overs == 1
    assert play.told() == [("z", "started"), ("l", "happened")]
    assert {name: (t.entered, t.left) for name, t in play.watch.state.tallies.items()} == {
        "z": (1, 0),
        "l": (1, 0),
    }


def test_counts_wait(watching):
    rules = ZONE | {"counts": {"c": {"zone": "z", "least": 2, "after": 1}}}
    play = watching(rules)
    for k in range(60):
        boxes = {1: (150, 40, 170, 60), 2: (150 if k >= 10 else 20, 10, 170 if k >= 10 else 40, 30)}
        play.show(k / 10, boxes)
    [event] = [e for e in play.events if e.kind == "count"]
    assert (event.phase, event.data["count"], event.track) == ("started", 2, None)
    assert event.at_seconds == pytest.approx(1.2)  # the second one has entered after 0.2 s
    assert event.pts_seconds == pytest.approx(2.2)


def test_occupancy_is_of_all_masks_together(watching):
    rule = {"polygon": RIGHT, "over": 0.5, "under": 0.4, "after": 0.5, "classes": ["car"]}
    play = watching({"occupancy": {"o": rule}})
    for k in range(30):
        # Two cars, one half behind the other; then the other is a person.
        play.show(k / 10, {1: (100, 0, 200, 40), 2: (100, 20, 200, 60)}, {2: 0 if k < 20 else 1})
    assert [(e.phase, e.at_seconds) for e in play.events] == [("started", 0.0), ("ended", 2.0)]
    assert [e.data["share"] for e in play.events] == pytest.approx([0.6, 0.4], abs=0.01)


def test_still_then_gone(watching, walk):
    rules = {"still": {"s": {"after": 2, "move": 0.3}}}
    play = watching(rules).play(walk([*to(20, 100, 25), *[100, 101] * 40, *[None] * 80]))
    assert play.told() == [("s", "started"), ("s", "ended")]
    assert play.events[1].data["reason"] == "gone"
    play = watching(rules).play(walk([*[100] * 80, *to(100, 160, 25)]))
    assert play.events[1].data["reason"] == "moved"


def test_abandoned_is_still_with_nobody_near(watching):
    rules = {"still": {"left bag": {"classes": ["bag"], "after": 2, "unattended_by": "person", "reach": 0.2}}}
    play, classes = watching(rules), {1: 2, 2: 1}
    for k in range(100):
        person = 60 + (0 if k < 40 else min(4 * (k - 40), 120))
        play.show(k / 10, {1: (40, 70, 50, 80), 2: (person, 40, person + 20, 80)}, classes)
    [event] = play.events
    assert (event.track, event.class_name) == (1, "bag")
    assert 4.2 < event.at_seconds < 5  # when the person was further than 40 pixels away


def test_speed_on_a_plane(watching, walk):
    """200 pixels are 20 m: 5 pixels a frame at 25 fps are 12.5 m/s, 45 km/h."""
    rules = {
        "speeds": {
            "slow": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "metres": [20, 10, 20, 10], "over_kmh": 50},
            "fast": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "metres": [20, 10, 20, 10], "over_kmh": 40},
        }
    }
    play = watching(rules).play(walk([*to(0, 175, 36), *[None] * 60]))
    assert play.told() == [("fast", "started"), ("fast", "ended")]
    assert play.events[1].data["top_kmh"] == pytest.approx(45, abs=1)


def test_only_the_classes_of_a_rule(watching, walk):
    rules = {"zones": {"z": {"polygon": RIGHT, "classes": ["person"]}}}
    frames = walk([*[20] * 10, *[160] * 10])
    assert watching(rules).play(frames).events == []
    assert watching(rules).play(frames, {1: 1}).told() == [("z", "started")]


def test_only_the_sources_of_a_rule(watching, walk):
    rules = {"zones": {"z": {"polygon": RIGHT, "sources": ["other"]}}}
    assert watching(rules).play(walk([160] * 10)).events == []


def test_time_that_runs_backwards_changes_nothing(watching, walk):
    play = watching(ZONE).play(walk([20] * 25))
    play.play(walk([160] * 25))
    play.play([(math.nan, {1: (160, 40, 180, 60)})])
    assert play.events == []
    assert (
        play.watch.rejected_frames == 25  # 24 of the past, one of no time
    )  # 24 of the past and one of no time; the 25th is the last one again


def test_duplicate_frames_and_gaps_change_no_count(watching, walk):
    frames = walk([*to(20, 160, 50), *[160] * 20])
    doubled = [frame for frame in frames for _ in range(2)]
    thinned = [frame for k, frame in enumerate(frames) if k % 3 == 0]
    for played in (doubled, thinned):
        assert watching(ZONE | LINE).play(played).told() == [("z", "started"), ("l", "happened")]


def test_five_hundred_at_once_and_nan(watching):
    play = watching(ZONE | LINE)
    for f in range(6):
        boxes = {k: (k % 9 * 20.0, k % 90, k % 9 * 20 + 20.0, k % 90 + 10) for k in range(1, 501)}
        boxes[500] = (math.nan, 0, 10, 10)
        play.show(f / 10, boxes)
    inside = sum(1 for k in range(1, 500) if k % 9 * 20 >= 100)
    assert play.watch.state.tallies["z"].entered == inside


def test_the_same_input_gives_the_same_ids(watching, walk):
    frames = walk([*to(20, 160, 50), *[160] * 20, *to(160, 20, 50), *[20] * 20])
    one, other = (watching(ZONE | LINE).play(frames).events for _ in range(2))
    assert one == other
    assert len({(e.id, e.phase) for e in one}) == 4


def test_two_runs_of_a_camera_share_no_id(watching, walk):
    frames = walk([*to(20, 160, 50), *[160] * 20])
    one, other, one_again = (watching(ZONE, life=life).play(frames).events for life in ("1", "2", "1"))
    assert {e.id for e in one}.isdisjoint(e.id for e in other)
    assert [e.id for e in one] == [e.id for e in one_again]


def test_a_snapshot_goes_on_as_if_nothing_had_happened(watching, walk):
    rules = ZONE | LINE | {
        "counts": {"c": {"zone": "z", "least": 1}},
        "still": {"s": {"after": 1}},
        "contacts": {"t": {"between": ["car", "car"]}},
        "speeds": {"v": {"polygon": RIGHT, "metres": [20, 10, 20, 10]}},
    }  # fmt: skip
    frames = walk([*to(20, 160, 50), *[160] * 60, *to(160, 20, 50), *[20] * 20])
    whole = watching(rules).play(frames).events
    for cut in (10, 45, 75):
        first = watching(rules).play(frames[:cut])
        kept = json.dumps(first.watch.snapshot())
        second = watching(rules)
        second.watch.restore(json.loads(kept))
        assert json.dumps(second.watch.snapshot()) == kept
        again = [*first.events, *second.play(frames[cut:]).events]
        assert [(e.id, e.phase, e.data) for e in again] == [(e.id, e.phase, e.data) for e in whole]


@pytest.mark.parametrize("broken", [{}, {"snapshot": 7}, {"snapshot": 1, "rules": {"zones": 3}}])
def test_what_is_no_snapshot_is_one_line(watching, broken):
    with pytest.raises(ConfigError, match="not a snapshot"):
        watching(ZONE).watch.restore(broken)


def test_a_rule_removed_while_objects_are_inside(watching, walk):
    play = watching(ZONE | LINE).play(walk([*[20] * 10, *[160] * 20]))
    [ended] = play.watch.change(EventsConfig.model_validate(LINE), FRAME)
    assert (ended.rule, ended.phase, ended.data["reason"]) == ("z", "ended", "rule removed")
    assert ended.id == play.events[0].id
    # The line goes on: the way back is its second crossing.
    play.play(walk([20] * 20, start=2))
    assert play.events[-1].data["backward_count"] == 1
    assert play.events[-1].data["forward_count"] == 1


def test_a_rule_that_stays_goes_on(watching, walk):
    play = watching(ZONE).play(walk([*[20] * 10, *[160] * 20]))
    assert play.watch.change(EventsConfig.model_validate(ZONE | LINE), FRAME) == ()
    play.play(walk([20] * 20, start=2))
    assert play.told() == [("z", "started"), ("z", "ended")]


def test_marks_say_what_was_counted(watching, walk):
    rules = ZONE | LINE | {"occupancy": {"o": {"polygon": RIGHT}}}
    play = watching(rules).play(walk([*[20] * 10, *[160] * 20]))
    zone, line, occupied = marks_of(play.watch.config, play.watch.state, (100, 200))
    assert (zone.text, zone.active, zone.points[0].tolist()) == ("1 inside, 1 entered", True, [100, 0])
    assert (line.text, line.is_line) == ("1 in, 0 out", True)
    assert (occupied.text, occupied.active) == ("free", False)


def test_a_frame_of_another_size_measures_anew(made):
    watch = Watch(EventsConfig.model_validate(ZONE), "cam", ("car",))
    for k in range(10):
        hw = (100, 200) if k < 5 else (200, 400)
        frame = Frame(np.zeros((*hw, 3), np.uint8), k, k / 10, 0, "cam")
        told = watch.update(frame, *made({k // 5: (150, 40, 170, 60)} if k >= 5 else {}, hw=hw))
        assert told == ()
    assert watch.state.tallies["z"].entered == 0
