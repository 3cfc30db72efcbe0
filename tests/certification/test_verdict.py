import re
from dataclasses import replace

import pytest

from streamseg.certification.comparison import ClassFigures, Figures
from streamseg.certification.probes import Nearer
from streamseg.certification.thresholds import Thresholds, thresholds_from
from streamseg.certification.verdict import judge

GOOD = Figures(
    frames=50,
    reference=200,
    candidate=200,
    maskless=0,
    matched=200,
    missed=0,
    extra=0,
    changed=0,
    fell_below=0,
    rose_above=0,
    iou={"p1": 0.9, "p5": 0.95, "p50": 0.99, "mean": 0.98},
    boundary_px={"p95": 2.0, "mean": 0.5},
    boundary_share=0.0005,
    boundary_uncertainty=0.00005,
    box_iou={"p1": 0.9, "p5": 0.95, "p50": 0.99, "mean": 0.98},
    box_px={"p95": 2.0, "mean": 0.5},
    beyond={"mask": 2, "box": 3, "score": 0},
    weak_reference=40,
    weak_candidate=42,
    nearer=(Nearer("brighter", 20, 12),),
    score_shift={"mean": 0.0, "p95": 0.01, "max": 0.02},
    class_changes={},
    classes=(ClassFigures("cat", 190, 0, 0, 0), ClassFigures("cup", 10, 0, 0, 0)),
)


def test_good_figures_pass():
    assert judge(GOOD, Thresholds()) == ("passed", ())


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        ({"matched": 190, "missed": 9}, "9 of 199 instances missed or of another class (4.5%), allowed 2.0%"),
        ({"matched": 190, "missed": 3, "changed": 7}, "10 of 200 instances missed or of another class"),
        ({"extra": 17}, "17 instances that the reference does not have (8.5%), allowed 5.0%"),
        (
            {"candidate": 170},
            "170 instances reach the score instead of 200 (-15.0%), allowed 10.0% either way",
        ),
        ({"candidate": 230}, "(+15.0%)"),
        (
            {"weak_candidate": 0},
            "0 instances below the score that a tracker would use instead of 40 (-100.0%)",
        ),
        ({"beyond": {"mask": 20, "box": 0, "score": 0}}, "mask IoU p5 is 0.950, at least 0.85 is wanted (20"),
        (
            {"beyond": {"mask": 0, "box": 20, "score": 0}},
            "box IoU p5 is 0.950, at least 0.85 is wanted (20 of",
        ),
        ({"beyond": {"mask": 0, "box": 0, "score": 20}}, "score shift p95 is 0.010, allowed 0.08 (20 of 200"),
        ({"boundary_share": 0.0011}, "boundary error is 0.11% of the frame's diagonal on average"),
        (
            {"nearer": (Nearer("darker", 20, 16),)},
            "in 16 of 20 frames it finds rather what the reference finds",
        ),
    ],
)
def test_each_threshold_names_itself(worse, said):
    verdict, (fault,) = judge(replace(GOOD, **worse), Thresholds())
    assert verdict == "failed"
    assert said in fault


def test_what_one_instance_would_decide_is_not_decided():
    """At 2 % of 200, three may be missed and nine may not; between them the footage is too short."""
    verdicts = [judge(replace(GOOD, matched=200 - n, missed=n), Thresholds())[0] for n in range(12)]
    assert verdicts == ["passed"] * 4 + ["not enough"] * 5 + ["failed"] * 3


def test_too_close_to_tell_says_how_many_frames_would_do():
    verdict, (reason,) = judge(replace(GOOD, matched=193, missed=7), Thresholds())
    assert verdict == "not enough"
    assert "7 of 200 instances missed" in reason
    frames = int(re.search(r"about (\d+) frames like these would do", reason)[1])
    assert 60 <= frames <= 150
    longer = replace(GOOD, frames=frames, matched=193 * frames // 50, missed=round(7 * frames / 50))
    assert judge(longer, Thresholds())[0] == "failed"


def test_thirty_instances_all_found_are_too_few_for_two_in_a_hundred():
    few = replace(
        GOOD, reference=30, candidate=30, matched=30, beyond=dict.fromkeys(GOOD.beyond, 0), classes=()
    )
    verdict, reasons = judge(few, Thresholds())
    assert verdict == "not enough"
    assert "0 of 30 instances missed" in reasons[0]
    assert judge(few, Thresholds(max_missed=0.1))[0] == "passed"


def test_a_rare_class_does_not_vanish_in_the_total():
    def verdict(missed, due):
        rows = (ClassFigures("cat", 300 - due, 0, 0, 0), ClassFigures("cup", due - missed, missed, 0, 0))
        some = replace(GOOD, reference=300, candidate=300 - missed, matched=300 - missed, missed=missed)
        return judge(replace(some, classes=rows), Thresholds())

    assert verdict(1, 1) == ("passed", ())
    for missed in (2, 3):
        name, (reason,) = verdict(missed, missed)
        assert name == "not enough"
        assert f"cup: {missed} of {missed} instances missed or of another class (100.0%)" in reason
    name, (reason,) = verdict(4, 4)
    assert (name, reason[:28]) == ("failed", "cup: 4 of 4 instances missed")


def test_a_boundary_error_known_too_badly_is_not_held_against_it():
    vague = replace(GOOD, boundary_share=0.0011, boundary_uncertainty=0.0005)
    verdict, (reason,) = judge(vague, Thresholds())
    assert verdict == "not enough"
    assert "boundary error is 0.11%" in reason


@pytest.mark.parametrize("due", [0, 19])
def test_comparing_nothing_is_no_agreement(due):
    none = dict.fromkeys(GOOD.beyond, 0)
    poor = replace(GOOD, reference=due, candidate=due, matched=due, beyond=none, classes=())
    verdict, (fault,) = judge(poor, Thresholds())
    assert verdict == "not enough"
    assert f"the reference finds {due} instances in 50 frames, at least 20 are needed" in fault


def test_a_candidate_full_of_ghosts_fails_where_there_is_nothing():
    ghosts = replace(GOOD, reference=0, matched=0, extra=300, candidate=300, classes=())
    assert judge(ghosts, Thresholds())[0] == "failed"
    one = replace(ghosts, extra=1, candidate=1)
    assert judge(one, Thresholds())[0] == "not enough"


def test_thresholds_that_are_not_given_keep_their_default():
    assert thresholds_from(max_missed=0.5, max_extra=None) == replace(Thresholds(), max_missed=0.5)
