"""Weights files: our own format, and state_dicts as they are published (`layouts.py`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streamseg.errors import CheckpointError, ConfigError
from streamseg.models.network import NETWORK_NAMES, RENAMED, Network, build_network
from streamseg.models.weights.archive import read_archive, write_archive
from streamseg.models.weights.class_transfer import take_classes
from streamseg.models.weights.engine_weights import read_engine_weights
from streamseg.models.weights.layouts import our_state

__all__ = ["load_checkpoint", "load_weights", "load_weights_but_classes", "save_checkpoint"]

WRAPPERS = ("state_dict", "model")
"""Under what key files keep the weights that hold more than them."""
SIMILAR = 0.5
"""Share of equal tensors from which on a file is called alike; ResNet-50 and -101 share 54 %."""


def save_checkpoint(model: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Write `state`, weights for `model`, in our own format."""
    config = model.config
    header = {"model": config.name, "classes": list(config.classes), "input_hw": list(config.input_hw)}
    write_archive({"streamseg": header, "state_dict": dict(state)}, path)


def load_checkpoint(path: str | Path) -> Network:
    """The network of a file in our own format, in eval mode. Raises CheckpointError."""
    path = Path(path)
    content = read_archive(path)
    header = content.get("streamseg")
    if not isinstance(header, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError(f"{path}: not a streamseg checkpoint; for published weights name their model")
    name: Any = header.get("model")
    name = RENAMED.get(name, name) if isinstance(name, str) else name
    classes: Any = header.get("classes")
    size: Any = header.get("input_hw")
    if not isinstance(name, str) or name not in NETWORK_NAMES:
        raise CheckpointError(f"{path}: model {name!r} is unknown here; known: {', '.join(NETWORK_NAMES)}")
    if not _are_classes(classes) or not _is_size(size):
        raise CheckpointError(f"{path}: damaged header (classes {classes!r}, input_hw {size!r})")
    try:
        model = build_network(name, classes, (size[0], size[1]))
    except ConfigError as error:
        raise CheckpointError(f"{path}: damaged header ({error})") from error
    _load_state(model, _named(content["state_dict"], path), path)
    return model.eval()


def load_weights(model: Network, path: str | Path) -> None:
    """Load published weights of any known layout, or our own file, into `model`. Raises CheckpointError,
    which says what is missing, unexpected or of another shape, and what model the file looks like."""
    path = Path(path)
    _load_state(model, _read_state(path), path)


def load_weights_but_classes(model: Network, path: str | Path) -> tuple[str, ...]:
    """The same, or an engine file's, whose classes may be others than the model's. In layers with a part for
    every class, parts of classes of the same name are taken, and the others stay as they are; a file that has
    no such name gives those layers whole if its classes are as many, else not at all. Returns the names of
    the layers not taken whole. Raises CheckpointError."""
    path = Path(path)
    given, old = _state_and_classes(model, path)
    wanted = _shapes(model)
    with torch.device("meta"):
        other = _shapes(build_network(model.config.name, (*model.config.classes, "one more")))
    known = (
        _are_classes(old) and tuple(old) != model.config.classes and bool({*old} & {*model.config.classes})
    )
    spared = {
        key
        for key, shape in wanted.items()
        if shape != other[key] and key in given and (known or _kind(given[key]) != shape)
    }
    _load_state(model, {key: value for key, value in given.items() if key not in spared}, path, spared)
    for key in spared if known else ():
        groups = int(other[key][0]) - int(wanted[key][0])
        take_classes(model.get_parameter(key), given[key], groups, old, model.config.classes)
    return tuple(dict.fromkeys(key.rpartition(".")[0] for key in wanted if key in spared))


def _state_and_classes(model: Network, path: Path) -> tuple[Mapping[str, Any], Any]:
    """What a file holds by our names, and the classes that it says it knows, if it does."""
    if path.suffix == ".onnx":
        return read_engine_weights(model, path)
    content = read_archive(path)
    header = content.get("streamseg")
    known = header.get("classes") if isinstance(header, dict) else None
    return our_state(_state_in(content, path)), known


def _read_state(path: Path) -> Mapping[str, Any]:
    return _state_in(read_archive(path), path)


def _state_in(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    wrapped = (content[key] for key in WRAPPERS if isinstance(content.get(key), dict))
    return _named(next(wrapped, content), path)


def _named(state: Mapping[Any, Any], path: Path) -> Mapping[str, Any]:
    if not all(isinstance(key, str) for key in state):
        raise CheckpointError(f"{path}: not a state_dict (its keys are no names)")
    return state


def _are_classes(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(name, str) for name in value)


def _is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(n, int) and n >= 64 for n in value)


def _is_counter(key: str) -> bool:
    return key.endswith(".num_batches_tracked")


def _load_state(model: Network, state: Mapping[str, Any], path: Path, spared: Collection[str] = ()) -> None:
    # Nothing reads BatchNorm's counter here; old files lack it and some writers store it as (1,).
    given = {key: value for key, value in our_state(state).items() if not _is_counter(key)}
    wanted = {key: shape for key, shape in _shapes(model).items() if key not in spared}
    problems = []
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    for problem, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            problems.append(f"{len(keys)} {problem} keys, the first is {keys[0]!r}")
    differing = [key for key in wanted if key in given and _kind(given[key]) != wanted[key]]
    if differing:
        first = differing[0]
        problems.append(
            f"{len(differing)} of another shape: {first!r} is {_kind(given[first])}, expected {wanted[first]}"
        )
    if problems:
        hint = _resemblance(given, model.config.name) or (differing and " (another number of classes?)") or ""
        raise CheckpointError(f"{path}: does not fit {model.config.name}: {'; '.join(problems)}{hint}")
    model.load_state_dict(given, strict=False)


def _shapes(model: Network) -> dict[str, tuple[int, ...] | str]:
    return {key: _kind(value) for key, value in model.state_dict().items() if not _is_counter(key)}


@cache
def _shapes_by_name(name: str) -> dict[str, tuple[int, ...] | str]:
    with torch.device("meta"):  # shapes alone: no memory, no random numbers
        return _shapes(build_network(name))


def _kind(value: object) -> tuple[int, ...] | str:
    """The shape of ordinary weights; of anything else what it is."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.layout is not torch.strided or value.is_quantized or not value.is_floating_point():
        return f"{value.dtype} {tuple(value.shape)}"
    return tuple(value.shape)


def _resemblance(given: Mapping[str, Any], asked: str) -> str:
    """Which model these weights are likely of, as the end of a sentence; "" when it is the one asked for."""
    kinds = {key: _kind(value) for key, value in given.items()}
    shares = {}
    for name in NETWORK_NAMES:
        shapes = _shapes_by_name(name)
        same = sum(kinds.get(key) == shape for key, shape in shapes.items())
        shares[name] = same / max(len(shapes), len(kinds))
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < SIMILAR:
        return f"; it looks like none of {', '.join(NETWORK_NAMES)}"
    if shares[best] <= shares.get(asked, 0):
        return ""
    return f"; it looks like {best} ({shares[best]:.0%} of the tensors fit)"
