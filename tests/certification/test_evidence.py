import pytest

from streamseg.certification.evidence import footage_needed, more_often_than_not, weigh


@pytest.mark.parametrize(
    ("count", "allowed", "finding"),
    [
        (0, 0.9, "open"),
        (0, 1.0, "fine"),
        (3, 4.0, "fine"),
        (4, 4.0, "open"),
        (8, 4.0, "open"),  # P(8 or more | 4) = 0.051
        (9, 4.0, "fault"),
        (3, 0.0, "open"),
        (4, 0.0, "fault"),
    ],
)
def test_a_verdict_needs_more_than_one_instance(count, allowed, finding):
    assert weigh(count, allowed) == finding


@pytest.mark.parametrize("allowed", [0.3, 1.0, 2.5, 10.0, 40.0])
def test_between_pass_and_fail_lie_two_instances_at_least(allowed):
    findings = [weigh(count, allowed) for count in range(100)]
    assert findings == sorted(findings, key=["fine", "open", "fault"].index)
    assert findings.count("open") >= 2


def test_how_much_more_footage_settles_it():
    assert footage_needed(0, 1.0) == 1
    assert footage_needed(0, 0.5) == pytest.approx(1.1**8)  # 0.5 · 2.14 ≥ 1
    factor = footage_needed(7, 4.0)
    assert weigh(round(7 * factor), 4.0 * factor) == "fault"
    assert footage_needed(4, 4.0) is None


def test_a_sign_test():
    assert not more_often_than_not(0, 0)
    assert not more_often_than_not(6, 6)
    assert more_often_than_not(7, 7)
    assert not more_often_than_not(15, 20)  # 0.021
    assert more_often_than_not(16, 20)  # 0.006
