"""What an engine file says of itself: `streamseg.*` metadata ↔ EngineInfo, each the inverse of the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from streamseg.engine_contract import CONTRACT_VERSION, EngineInfo, shortened
from streamseg.errors import NotAnEngine

__all__ = ["MAKE_ONE", "SCOPES", "info_from_metadata", "metadata_from_info"]

PREFIX = "streamseg."
SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata of a node: the modules it came from, as torch's exporter writes them; all that is kept of that."""
EXPORT = "streamseg export MODEL -o OUT.onnx"
MAKE_ONE = f"make one with: {EXPORT}"
FIRST = "1"
READABLE = (FIRST, str(CONTRACT_VERSION))
REQUIRED = ("family", "model", "resize", "max_detections", "score_threshold", "classes", "pad")
NUMBERS = {"max_detections": int, "mask_finer": int, "score_threshold": float}
SINCE_2 = ("mask_layout", "mask_encoding", "mask_paste", "mask_finer", "stuff_classes", "kind")
FINER_BEFORE = {"solo": 4, "solov2": 4}
"""`mask_finer` of contract-1 files, which do not say it, by family."""


def metadata_from_info(info: EngineInfo) -> dict[str, str]:
    """The `streamseg.*` entries to store in the file (the input size is the graph's own)."""
    entries = {"contract": str(CONTRACT_VERSION)}
    for field, value in asdict(info).items():
        match field:
            case "input_hw":
                continue
            case "pad_bgr":
                entries["pad"] = ",".join(map(str, value))
            case "classes" | "stuff_classes":
                entries[field] = json.dumps(list(value), ensure_ascii=False)
            case _:
                entries[field] = value if isinstance(value, str) else repr(value)
    return {PREFIX + key: text for key, text in entries.items()}


def info_from_metadata(metadata: Mapping[str, str], input_hw: tuple[int, int], path: str) -> EngineInfo:
    """Read the entries back. Raises NotAnEngine, naming `path` and the command that makes an engine."""
    if PREFIX + "contract" not in metadata:
        raise NotAnEngine(f"{path}: not a streamseg engine (no streamseg.* metadata); {MAKE_ONE}")
    entries = {key.removeprefix(PREFIX): text for key, text in metadata.items() if key.startswith(PREFIX)}
    contract = entries["contract"]
    if contract not in READABLE:
        raise NotAnEngine(
            f"{path}: engine contract {shortened(contract)}, this streamseg reads {' and '.join(READABLE)}; "
            f"export it again with: {EXPORT}"
        )
    try:
        return EngineInfo(input_hw=input_hw, **_values(entries, contract))
    except (KeyError, ValueError, TypeError, RecursionError, NotAnEngine) as error:
        what = f"no {error}" if isinstance(error, KeyError) else _reason(error)
        raise NotAnEngine(
            f"{path}: damaged streamseg metadata ({what}); export it again with: {EXPORT}"
        ) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "…"


def _values(entries: Mapping[str, str], contract: str) -> dict[str, Any]:
    """Entries → fields of EngineInfo; what a file may leave out keeps its default."""
    values: dict[str, Any] = {key: entries[key] for key in REQUIRED}
    known = {field.name for field in fields(EngineInfo)} - {"input_hw"}
    if contract == FIRST:
        known -= set(SINCE_2)
    values |= {key: text for key, text in entries.items() if key in known}
    values["pad_bgr"] = tuple(int(level) for level in values.pop("pad").split(","))
    for key, number in NUMBERS.items():
        if key in values:
            values[key] = number(values[key])
    for key in ("classes", "stuff_classes"):
        if key in values:
            values[key] = _names(key, values[key])
    if contract == FIRST:
        values["mask_finer"] = FINER_BEFORE.get(values["family"], 1)
    return values


def _names(key: str, text: str) -> tuple[str, ...]:
    names = json.loads(text)
    if not isinstance(names, list):
        raise ValueError(f"{key} is not a list")
    return tuple(names)
