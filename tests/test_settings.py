"""What a settings file cannot do to the program; its keys are in tests/streaming/test_config.py."""

from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.settings import load_section, size_hw_from_text
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
