from typing import Any

import pytest

from streamseg.tracking import TrackerConfig


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("high_score", 1.5, "within 0…1"),
        ("low_score", 0.4, r"at most high_score \(0.3\)"),
        ("gate_iou", float("nan"), "within 0…1"),
        ("confirm_hits", 0, "at least 1"),
        ("lost_seconds", float("inf"), "a finite time, not negative"),
        ("nominal_step_seconds", 0.0, "a finite time above 0"),
    ],
)
def test_a_bad_value_is_named(field: str, value: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"TrackerConfig.{field} is .*: must be {complaint}"):
        TrackerConfig(**{field: value})


def test_thresholds_move_together() -> None:
    config = TrackerConfig.for_score_threshold(0.15)
    assert config.high_score == 0.15
    assert config.low_score == pytest.approx(0.05)
