"""What a configuration of rules may not say, and the one line that says so."""

import pytest

from streamseg.errors import ConfigError
from streamseg.events.config import EventsConfig, check_classes, check_sources
from streamseg.settings import load_section

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
CROSSED = [[0, 0], [1, 1], [1, 0], [0, 1]]


def load(rules):
    return load_section(EventsConfig, None, rules)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"zones": {"z": {"polygon": CROSSED}}}, "zones.z.polygon: .*edges 1 and 3 cross each other"),
        (
            {"zones": {"z": {"polygon": [[0, 0], [2, 0], [1, 1]]}}},
            r"zones.z.*\(2, 0\) lies outside",
        ),
        ({"lines": {"l": {"points": [[0, 0]]}}}, "lines.l.points: .*two points or more, this has 1"),
        ({"zones": {"z": {"polygon": SQUARE, "enter": 0.2}}}, r"leave \(0.3\) must be below enter \(0.2\)"),
        (
            {"zones": {"z": {"polygon": SQUARE, "entr": 0.2}}},
            "unknown key 'zones.z.entr'.*'enter'",
        ),
        ({"zone": {"z": {"polygon": SQUARE}}}, "unknown key 'zone'.*did you mean 'zones'"),
        ({"counts": {"c": {"zone": "dor", "least": 2}}, "zones": {"door": {"polygon": SQUARE}}}, "'door'"),
        ({"zones": {"a": {"polygon": SQUARE}}, "lines": {"a": {"points": [[0, 0], [1, 1]]}}}, "'a'"),
        ({"zones": {"a/b": {"polygon": SQUARE}}}, "name is 1 to 63 letters"),
        ({"speeds": {"s": {"polygon": SQUARE}}}, "either metres .* or ground"),
        ({"speeds": {"s": {"polygon": SQUARE, "metres": [9, 1, 1, 1]}}}, "none as long as the other three"),
        ({"occupancy": {"o": {"polygon": SQUARE, "over": 0.3}}}, "under .* must be below over"),
        ({"zones": {"z": {"polygon": [[0, float("nan")], [1, 0], [1, 1]]}}}, "finite"),
    ],
)
def test_one_line_that_names_what_is_wrong(rules, says):
    with pytest.raises(ConfigError, match=f"(?is){says}") as error:
        load(rules)
    assert "\n" not in str(error.value)


def test_unknown_classes_and_sources():
    rules = load({"lines": {"gate": {"points": [[0, 0], [1, 1]], "classes": ["cra"], "sources": ["yard"]}}})
    with pytest.raises(ConfigError, match="rule 'gate': the engine has no class 'cra' .did you mean 'car'"):
        check_classes(rules, ("car", "person"))
    with pytest.raises(ConfigError, match="rule 'gate': no source is called 'yard'; there are cam1, cam2"):
        check_sources(rules, ["cam1", "cam2"])


@pytest.mark.parametrize(
    "rule",
    [
        {"contacts": {"r": {"between": ["car", "dogg"]}}},
        {"inside": {"r": {"what": "dogg", "of": "car"}}},
        {"still": {"r": {"unattended_by": "dogg"}}},
    ],
)
def test_classes_of_every_kind_of_rule_are_checked(rule):
    with pytest.raises(ConfigError, match="'dogg'"):
        check_classes(load(rule), ("car", "dog"))
