"""What `streamseg export` and `streamseg engines` do: make engine files and describe them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from streamseg.engines.locate import list_engines, read_info
from streamseg.errors import ConfigError, EngineError, MissingDependency
from streamseg.zoo.catalog import PUBLISHED
from streamseg.zoo.pull import pull
from streamseg.zoo.watch import Watcher

__all__ = ["check_exportable", "describe_engines", "export_engine", "parse_size"]


def check_exportable(model: str) -> None:
    """Raise MissingDependency or ConfigError where `model`, a name, cannot be exported here."""
    for package in ("torch", "onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency.of(package, "models", "streamseg export")
    from streamseg.models.network import NETWORK_NAMES

    network = _network_name(model)
    if model in PUBLISHED and network not in NETWORK_NAMES:
        raise ConfigError(
            f"{model}: its weights can be pulled, but this version has no network {network!r} to run them; "
            f"it has {', '.join(NETWORK_NAMES)}"
        )


def _network_name(model: str) -> str:
    return PUBLISHED[model].model if model in PUBLISHED else model


def export_engine(
    model: str,
    output: str,
    *,
    weights: str | None = None,
    size: str | None = None,
    max_detections: int = 100,
    score_threshold: float = 0.0,
    cross_class: bool = False,
    classes: str | None = None,
    half_weights: bool = False,
    cache_dir: str | None = None,
    watcher: Watcher | None = None,
) -> Path:
    """Export a catalogued model, or a streamseg checkpoint, to the ONNX file `output`.

    `weights` is a published state_dict for a catalogued model; when left out, the published one of that
    name is pulled into `cache_dir`, which `watcher` is told. `size` is `HxW` in pixels, `classes` names with
    commas between. Raises MissingDependency, ConfigError, CheckpointError, ExportError.
    """
    check_exportable(model)
    from streamseg.export.onnx_export import export
    from streamseg.models.checkpoint import load_checkpoint, load_weights
    from streamseg.models.network import Network, build_network

    if Path(output).suffix != ".onnx":
        raise ConfigError(f"{output}: an engine file ends in .onnx")
    input_hw = parse_size(size) if size else None
    if model.endswith(".pth"):
        if weights or size:
            raise ConfigError(f"{model}: a streamseg checkpoint has its own weights and size")
        network: Network = load_checkpoint(model)
    else:
        network = build_network(_network_name(model), input_hw=input_hw)
        if weights is None:
            weights = _published_weights(model, cache_dir, watcher)
        load_weights(network, weights)
    return export(
        network.eval(),
        output,
        max_detections=max_detections,
        score_threshold=score_threshold,
        cross_class=cross_class,
        classes=[name.strip() for name in classes.split(",")] if classes else None,
        half_weights=half_weights,
        checkpoint=weights or model,
    )


def _published_weights(model: str, cache_dir: str | None, watcher: Watcher | None) -> str:
    if model not in PUBLISHED:
        raise ConfigError(
            f"{model}: needs its weights, --weights FILE.pth; to use what is bundled: streamseg engines"
        )
    return str(pull(PUBLISHED[model], cache_dir, watcher=watcher).path)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of `HxW`, pixels. Raises ConfigError."""
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if match is None:
        raise ConfigError(f"--size {text}: expected HEIGHTxWIDTH in pixels, such as 550x550")
    return int(match[1]), int(match[2])


def describe_engines(folder: str) -> list[str]:
    """One paragraph for each engine that can be used by name or lies in `folder`."""
    lines: list[str] = []
    for name, path in list_engines(folder).items():
        lines += _describe(name, path)
    return lines or [f"no engines bundled or in {folder}; make one with: streamseg export MODEL -o OUT.onnx"]


def _describe(name: str, path: Path) -> list[str]:
    from streamseg.report import bundled_card  # which imports app, and app this

    try:
        info = read_info(path)
    except EngineError as error:
        return [f"{name}  unusable: {error}"]
    height, width = info.input_hw
    card = bundled_card(name)
    quality = f", mask AP {card['mask_ap']:.1f} (held-out images)" if card else ""
    return [
        f"{name}  {info.family} {info.model}, {width}x{height}, {len(info.classes)} classes{quality}",
        f"    {path}",
        f"    {', '.join(info.classes)}",
    ]
