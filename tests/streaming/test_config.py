"""Configuration: precedence, messages, and every file in configs/."""

from pathlib import Path

import pytest

from streamseg.engine_contract import PRECISIONS, RUNTIME_NAMES
from streamseg.errors import ConfigError
from streamseg.streaming.config import RunConfig, load_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.fixture
def write(tmp_path):
    def _write(text: str) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return str(path)

    return _write


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_shipped_configurations_load(path: Path) -> None:
    assert isinstance(load_config(str(path)), RunConfig)


def test_there_are_shipped_configurations() -> None:
    assert {p.stem for p in CONFIGS} >= {"file", "webcam", "rtsp_low_latency", "many_cameras"}


def test_flags_win_over_file_over_defaults(write) -> None:
    path = write("score: 0.5\nengine: {path: a.onnx, threads: 2}\n")
    config = load_config(path, {"engine": {"threads": 1}})
    assert (config.score, config.engine.path, config.engine.threads) == (0.5, "a.onnx", 1)
    assert config.engine.runtime == "auto"


@pytest.mark.parametrize("precision", ["auto", *PRECISIONS])
@pytest.mark.parametrize("runtime", ["auto", *RUNTIME_NAMES])
def test_every_runtime_and_precision_may_be_asked_for(write, runtime: str, precision: str) -> None:
    """What a runtime has of them it says itself: TensorRT's cure is `use auto or fp16`."""
    engine = load_config(write(f"engine: {{runtime: {runtime}, precision: {precision}}}\n")).engine
    assert (engine.runtime, engine.precision) == (runtime, precision)


def test_a_lone_source_needs_no_list(write) -> None:
    assert load_config(write("sources: 0\n")).sources == ("0",)
    assert load_config(write("classes: person\n")).classes == ("person",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scores: 0.5", r"run.yaml: unknown key 'scores' \(did you mean 'score'\?\)"),
        ("engine: {runtim: auto}", r"unknown key 'engine.runtim' \(did you mean 'runtime'\?\)"),
        ("output: {vidoe: a.mp4}", r"unknown key 'output.vidoe' \(did you mean 'video'\?\)"),
        ("score: 1.5", r"run.yaml: score: input should be less than or equal to 1, got 1.5"),
        ("engine: {runtime: cuda}", r"engine.runtime: .*'openvino'.*got 'cuda'"),
        ("capture: {size: [0, -1]}", r"capture.size.0: input should be greater than or equal to 1, got 0"),
        ("- a", r"run.yaml: expected keys and values, found a list"),
        ("a: [", r"run.yaml line 1: not valid YAML"),
    ],
)
def test_a_mistake_is_named_in_one_line(write, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(write(text))
    assert "\n" not in str(caught.value)


def test_one_source_may_differ_from_the_others(write) -> None:
    text = "capture: {transport: udp, stall_s: 3, per_source: {yard: {transport: tcp, self_signed: true}}}\n"
    capture = load_config(write(text)).capture
    yard, gate = capture.of("yard"), capture.of("gate")
    assert (yard.transport, yard.self_signed, yard.stall_s) == ("tcp", True, 3)
    assert (gate.transport, gate.self_signed) == ("udp", False)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match="the name of the configuration is empty"):
        load_config("")
    with pytest.raises(ConfigError, match="nowhere.yaml: cannot read"):
        load_config("nowhere.yaml")
