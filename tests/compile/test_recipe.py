"""Recipes: every file in engines/, what they refuse, and what a build takes from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamseg.compile.recipe import load_recipe
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.locate import list_engines
from streamseg.errors import ConfigError
from streamseg.jobs.build import output_of
from streamseg.zoo.published import PUBLISHED

RECIPES = sorted((Path(__file__).parents[2] / "engines").glob("*.yaml"))


@pytest.fixture
def write(tmp_path):
    def _write(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return _write


def test_there_are_recipes() -> None:
    names = {path.stem for path in RECIPES}
    assert names >= {"yolact_r50_fp16", "yolact_r50_int8", "yolact_plus_r50_fp16", "solov2_light_r50_fp16"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_what_its_name_says(path: Path) -> None:
    recipe = load_recipe(
        str(path), {"calibrate": "clip.mp4"} if "int8" in path.stem or "mixed" in path.stem else {}
    )
    assert recipe.model in {*PUBLISHED, *list_engines()}
    name = f"{recipe.model}_{recipe.precision}" + ("_cpu" if recipe.target == "cpu" else "")
    assert path.stem == name
    assert recipe.options.precision == recipe.precision


def test_int8_without_footage_says_what_to_add() -> None:
    path = next(path for path in RECIPES if path.stem == "yolact_r50_int8")
    with pytest.raises(ConfigError, match="precision int8: needs --calibrate CLIP"):
        _ = load_recipe(str(path), {}).options


def test_flags_win_over_the_file(write) -> None:
    source = write("model: compact\nprecision: fp32\nbatch: [1, 2, 3]\nframes: 7\n")
    recipe = load_recipe(source, {"precision": "bf16", "batch": "2:4:8"})
    assert recipe.options == BuildOptions(precision="bf16", batch=(2, 4, 8), frames=7)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("model: compact\nprecison: fp16\n", "unknown key 'precison' .did you mean 'precision'"),
        ("precision: fp16\n", "model: field required"),
        ("model: compact\nprecision: fp8\n", "precision: input should be 'fp32', 'fp16', 'bf16'"),
        ("model: compact\nbatch: 1:4:8\n", r"batch: .*write it as a list, \[1, 4, 8\]"),
        ("model: compact\nbatch: [1, 8]\n", "batch"),
        ("model: compact\nframes: 0\n", "frames: input should be greater than or equal to 1"),
        ("model: [compact\n", "line .: not valid YAML"),
        ("- compact\n", "expected keys and values"),
    ],
)
def test_mistakes(write, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.yaml.*{complaint}"):
        load_recipe(write(text), {})


@pytest.mark.parametrize(
    ("source", "output", "overrides", "expected"),
    [
        ("net.onnx", None, {}, "net-fp16.engine"),
        ("folder/net.onnx", None, {"precision": "bf16"}, "folder/net-bf16.engine"),
        ("yolact_r50", None, {}, "yolact_r50-fp16.engine"),
        ("yolact_r50", None, {"target": "cpu", "precision": "int8"}, "yolact_r50-int8.onnx"),
        ("net.onnx", "a.engine", {}, "a.engine"),
        ("net.onnx", "a.onnx", {}, "a.onnx"),
    ],
)
def test_where_a_build_goes(source: str, output: str | None, overrides: dict, expected: str) -> None:
    assert output_of(source, output, load_recipe(source, overrides)) == Path(expected)


def test_a_recipe_gives_its_name_to_the_engine(write) -> None:
    source = write("model: compact\n")
    assert output_of(source, None, load_recipe(source, {})) == Path(source).with_suffix(".engine")
    with pytest.raises(ConfigError, match=r"a\.plan: an engine ends in \.engine .* or \.onnx"):
        output_of(source, "a.plan", load_recipe(source, {}))
