"""What a settings file cannot do to the program; its keys are in tests/streaming/test_config.py."""

from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.settings import load_section, size_hw_from_text, text_with_values
from streamseg.streaming.config import RunConfig

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join([f'*{chr(97 + k)}'] * 9)}]" for k in range(8)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS + "\nclasses: *i\n", r"run.yaml line 2: not valid YAML: an alias"),
        ("classes: [" + "a, " * 100_000 + "a]", "longer than 256 KiB"),
        ("classes: " + "[" * 5_000 + "]" * 5_000, "nested too deep"),
        ("score: 0.2\nscore: 0.3\n", r"line 2: not valid YAML: key 'score' stands twice"),
        ("score: [" + "1, " * 20_000 + "1]", "score: input should be a valid number"),
        ("score: " + "x" * 100_000, "score: input should be a valid number"),
        ("score: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
    ids=["aliases", "long", "deep", "twice", "a long list", "a long word", "an object"],
)
def test_hostile_yaml_is_one_short_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=says) as caught:
        load_section(RunConfig, str(path))

    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_a_size_is_height_times_width() -> None:
    assert size_hw_from_text("--size", "550x640") == (550, 640)
    with pytest.raises(ConfigError, match="--size 550: expected HEIGHTxWIDTH"):
        size_hw_from_text("--size", "550")


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ("", {("score",): 0.2}, "score: 0.2\n"),
        ("a: 1", {("score",): 0.2}, "a: 1\nscore: 0.2\n"),
        ("score: 0.3", {("score",): 0.2}, "score: 0.2"),
        ("sources: x # one\n", {("sources",): ["x", "y"]}, 'sources: ["x", "y"] # one\n'),
        ("sources: [x, 0]\nb: 1\n", {("sources",): ["0"]}, 'sources: ["0"]\nb: 1\n'),
        ("sources:\n- x\n- y", {("sources",): ["x", "z"]}, 'sources:\n- x\n- "z"\n'),
        ("sources:\n- x\n# end\nb: 1\n", {("sources",): []}, "sources:\n  []\n# end\nb: 1\n"),
        ("classes: [cat]\n", {("classes",): None}, "classes: null\n"),
        ("a: 1\n", {("classes",): None}, "a: 1\n"),
        ("", {("e", "z", "door"): {"at": 1}}, 'e:\n  z:\n    door: {"at": 1}\n'),
        ("a: 1\n", {("e", "z", "on"): {}}, 'a: 1\ne:\n  z:\n    "on": {}\n'),
        (
            "e:\n  z:\n    a: {}\n# end\nb: 1\n",
            {("e", "z", "c d"): {}},
            "e:\n  z:\n    a: {}\n    c d: {}\n# end\nb: 1\n",
        ),
        (
            "e:\n  z:\n    a:\n      at: 1\n      # x\n  l: {}",
            {("e", "z", "a"): None},
            "e:\n  z:\n    {}\n      # x\n  l: {}",
        ),
        (
            "e:\n  # above\n  a: {at: 1} # beside\n  b: 2\n",
            {("e", "a"): {"at": 2}},
            'e:\n  # above\n  a: {"at": 2} # beside\n  b: 2\n',
        ),
        ("e:\n  a: 1\n  b:\n    c: 2\nf: 3\n", {("e", "b"): None, ("f",): 4}, "e:\n  a: 1\nf: 4\n"),
        (
            "e: {z: {a: {at: 1}}} # all\n",
            {("e", "z", "b"): {}, ("e", "z", "a"): None},
            'e: {"z": {"b": {}}} # all\n',
        ),
        ("e:\nb: 1\n", {("e", "z", "a"): {}}, 'e: {"z": {"a": {}}}\nb: 1\n'),
        ("e:\n  l: {}\n", {("e", "z", "a"): None}, "e:\n  l: {}\n"),
    ],
)
def test_values_are_put_into_a_text(before, values, after):
    assert text_with_values(before, values) == after


@pytest.mark.parametrize("text", ["{score: 0.3}", "a: [", "- x", "a: &b 1\nc: *b\n"])
def test_a_file_that_cannot_be_changed_is_said_to_be_so(text):
    with pytest.raises(ValueError, match="it is"):
        text_with_values(text, {("score",): 0.2})


@pytest.mark.parametrize("text", ["e: {a: 1, # x\n}\n", "e: 7\n", "e: [a]\n"])
def test_comments_within_braces_are_not_lost(text):
    with pytest.raises(ValueError, match="it has"):
        text_with_values(text, {("e", "b"): 1})
