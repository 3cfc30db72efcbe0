"""Weights files: our own format, and bare state_dicts as dbolya/yolact publishes them."""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streamseg.errors import CheckpointError
from streamseg.models.catalog import CONFIGS, build_model
from streamseg.models.yolact import Yolact

__all__ = ["load_checkpoint", "load_weights", "read_archive", "save_checkpoint", "write_archive"]


def read_archive(path: Path) -> dict[str, Any]:
    """The dictionary in a file of torch.save, tensors and plain values only. Raises CheckpointError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: not a file of weights (it holds other data)") from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: damaged, or not a PyTorch checkpoint; get it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a state_dict")
    return content


def write_archive(content: Mapping[str, Any], path: Path) -> None:
    """Write atomically: a reader, or a kill, never sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(dict(content), file)
        Path(temporary).chmod(0o644)  # mkstemp's files are private
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_checkpoint(model: Yolact, state: Mapping[str, Tensor], path: Path) -> None:
    """Write `state`, weights for `model`, in our own format."""
    config = model.config
    header = {"model": config.name, "classes": list(config.classes), "input_hw": list(config.input_hw)}
    write_archive({"streamseg": header, "state_dict": dict(state)}, path)


def load_checkpoint(path: str | Path) -> Yolact:
    """The network of a file in our own format, in eval mode. Raises CheckpointError."""
    path = Path(path)
    content = read_archive(path)
    header = content.get("streamseg")
    if not isinstance(header, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError(f"{path}: not a streamseg checkpoint; for published weights name their model")
    name: Any = header.get("model")
    classes: Any = header.get("classes")
    size: Any = header.get("input_hw")
    if not isinstance(name, str) or name not in CONFIGS:
        raise CheckpointError(f"{path}: model {name!r} is unknown here; known: {', '.join(CONFIGS)}")
    if not _are_classes(classes) or not _is_size(size):
        raise CheckpointError(f"{path}: damaged header (classes {classes!r}, input_hw {size!r})")
    model = build_model(name, classes, (size[0], size[1]))
    _load_state(model, content["state_dict"], path)
    return model.eval()


def load_weights(model: Yolact, path: str | Path) -> None:
    """Load a bare state_dict, as published, or our own file into `model`. Raises CheckpointError."""
    path = Path(path)
    content = read_archive(path)
    state = content["state_dict"] if isinstance(content.get("state_dict"), dict) else content
    _load_state(model, state, path)


def _are_classes(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(name, str) for name in value)


def _is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(n, int) and n >= 64 for n in value)


def _is_counter(key: str) -> bool:
    return key.endswith(".num_batches_tracked")


def _is_leftover(key: str) -> bool:
    """Keys of published files that name no layer: old duplicates, and FPN levels of v1.0 files."""
    if key.startswith("backbone.layer") and not key.startswith("backbone.layers"):
        return True
    extra = key.removeprefix("fpn.downsample_layers.")
    return extra != key and extra.split(".")[0].isdigit() and int(extra.split(".")[0]) >= 2


def _load_state(model: Yolact, state: Mapping[str, Any], path: Path) -> None:
    misfit = f"{path}: does not fit {model.config.name}"
    wanted = model.state_dict()
    # Nothing reads BatchNorm's counter here; old files lack it and some writers store it as (1,).
    wanted = {key: value for key, value in wanted.items() if not _is_counter(key)}
    given = {key: value for key, value in state.items() if not _is_counter(key) and not _is_leftover(key)}
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    for problem, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            raise CheckpointError(f"{misfit}: {len(keys)} {problem} keys, the first is {keys[0]!r}")
    for key, value in given.items():
        if not isinstance(value, Tensor) or value.shape != wanted[key].shape:
            have = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise CheckpointError(
                f"{misfit}: {key!r} is {have}, expected {tuple(wanted[key].shape)}"
                " (another number of classes?)"
            )
    model.load_state_dict(given, strict=False)
