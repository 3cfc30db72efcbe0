"""What `streamseg export` does: a network and its weights → an engine file.

Tested in tests/zoo/test_names.py.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from streamseg.errors import ConfigError, MissingDependency
from streamseg.progress import Watcher
from streamseg.zoo.published import PUBLISHED
from streamseg.zoo.pull import pull

__all__ = ["check_exportable", "export_engine"]


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
    input_hw: tuple[int, int] | None = None,
    max_detections: int = 100,
    score_threshold: float = 0.0,
    cross_class: bool = False,
    classes: Sequence[str] | None = None,
    half_weights: bool = False,
    cache_dir: str | None = None,
    watcher: Watcher | None = None,
) -> Path:
    """Export a catalogued model, or a streamseg checkpoint, to the ONNX file `output`.

    `weights` is a published state_dict for a catalogued model; when left out, the published one of that
    name is pulled into `cache_dir`, which `watcher` is told. `input_hw` in pixels, the model's own when left
    out; `classes` are the names to keep. Raises MissingDependency, ConfigError, CheckpointError, ExportError.
    """
    check_exportable(model)
    from streamseg.export.onnx_export import export
    from streamseg.models.network import Network, build_network
    from streamseg.models.weights.checkpoint import load_checkpoint, load_weights

    if Path(output).suffix != ".onnx":
        raise ConfigError(f"{output}: an engine file ends in .onnx")
    if model.endswith(".pth"):
        if weights or input_hw:
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
        classes=classes,
        half_weights=half_weights,
        checkpoint=weights or model,
    )


def _published_weights(model: str, cache_dir: str | None, watcher: Watcher | None) -> str:
    if model not in PUBLISHED:
        raise ConfigError(
            f"{model}: needs its weights, --weights FILE.pth; to use what is bundled: streamseg engines"
        )
    return str(pull(PUBLISHED[model], cache_dir, watcher=watcher).path)
