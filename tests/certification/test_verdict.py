from dataclasses import replace

import pytest

from streamseg.certification.comparison import ClassFigures, Figures
from streamseg.certification.verdict import Thresholds, judge, thresholds_from

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
    score_shift={"mean": 0.0, "p95": 0.01, "max": 0.02},
    class_changes={},
    classes=(ClassFigures("cat", 190, 0, 0, 0), ClassFigures("cup", 10, 0, 0, 0)),
)


def test_good_figures_pass():
    assert judge(GOOD, Thresholds()) == ("passed", ())


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        ({"matched": 195, "missed": 5}, "5 of 200 instances missed or of another class (2.5%), allowed 2.0%"),
        ({"matched": 195, "missed": 3, "changed": 2}, "5 of 200 instances missed or of another class"),
        ({"extra": 11}, "11 instances that the reference does not have (5.5%), allowed 5.0%"),
        (
            {"candidate": 179},
            "179 instances reach the score instead of 200 (-10.5%), allowed 10.0% either way",
        ),
        ({"candidate": 221}, "(+10.5%)"),
        ({"iou": {"p1": 0.1, "p5": 0.84, "p50": 0.99, "mean": 0.98}}, "mask IoU p5 is 0.840, at least 0.85"),
        ({"boundary_share": 0.0011}, "boundary error is 0.11% of the frame's diagonal on average"),
        ({"score_shift": {"mean": 0, "p95": 0.081, "max": 0.2}}, "score shift p95 is 0.081, allowed 0.08"),
    ],
)
def test_each_threshold_names_itself(worse, said):
    verdict, (fault,) = judge(replace(GOOD, **worse), Thresholds())
    assert verdict == "failed"
    assert said in fault


def test_what_is_at_the_limit_passes():
    edge = replace(GOOD, matched=196, missed=4, extra=10, candidate=180)
    assert judge(edge, Thresholds()) == ("passed", ())


def test_a_rare_class_does_not_vanish_in_the_total():
    rare = (ClassFigures("cat", 197, 0, 0, 0), ClassFigures("cup", 0, 2, 0, 1))
    verdict, faults = judge(replace(GOOD, matched=197, missed=2, changed=1, classes=rare), Thresholds())
    assert verdict == "failed"
    assert faults == ("cup: 3 of 3 instances missed or of another class (100.0%), allowed 10.0%",)
    two = (ClassFigures("cat", 198, 0, 0, 0), ClassFigures("cup", 0, 2, 0, 0))
    assert judge(replace(GOOD, matched=198, missed=2, classes=two), Thresholds()) == ("passed", ())


@pytest.mark.parametrize("due", [0, 19])
def test_comparing_nothing_is_no_agreement(due):
    poor = replace(GOOD, reference=due, candidate=due, matched=due, classes=())
    verdict, (fault,) = judge(poor, Thresholds())
    assert verdict == "not enough"
    assert f"the reference finds {due} instances in 50 frames, at least 20 are needed" in fault


def test_a_candidate_full_of_ghosts_does_not_make_footage_enough():
    ghosts = replace(GOOD, reference=0, matched=0, extra=300, candidate=300, classes=())
    assert judge(ghosts, Thresholds())[0] == "not enough"


def test_thresholds_that_are_not_given_keep_their_default():
    assert thresholds_from(max_missed=0.5, max_extra=None) == replace(Thresholds(), max_missed=0.5)
