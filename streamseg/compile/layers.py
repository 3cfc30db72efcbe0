"""The layers of a network or an engine and the precision of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamseg.engines.tensorrt_api import new_logger, tensorrt_module
from streamseg.errors import EngineError

__all__ = ["Layer", "describe_layers", "layers_of_engine", "layers_of_network"]

WEIGHTED = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")

NAMES = {"float": "fp32", "half": "fp16"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as it was parsed, or as TensorRT fused it."""

    name: str
    kind: str
    """`CONVOLUTION`, `TOPK` …"""
    precision: str
    """Of its output, but `int8` for a convolution whose input comes from Q/DQ."""


def layers_of_network(trt: Any, network: Any) -> list[Layer]:
    """Every layer of a parsed network, in order."""
    layers: list[Layer] = []
    dequantized: set[str] = set()
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        # A subclass's own `type` (of an activation, a pooling) hides the layer's.
        kind = trt.ILayer.type.__get__(layer).name
        tensor = layer.get_output(0)
        if kind == "DEQUANTIZE":
            dequantized.add(tensor.name)
        precision = _precision(tensor.dtype.name)
        if kind in WEIGHTED and layer.get_input(0).name in dequantized:
            precision = "int8"
        layers.append(Layer(layer.name, kind, precision))
    return layers


def layers_of_engine(path: Path) -> list[Layer]:
    """What TensorRT made of the network, asked of its inspector. Raises EngineError: needs the GPU."""
    trt = tensorrt_module()
    logger = new_logger(trt)
    engine = trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        why = logger.errors[0] if logger.errors else "no reason given"
        raise EngineError(
            f"{path}: cannot be loaded for inspection, which needs the GPU it was built for ({why})"
        )
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return [_fused(entry) for entry in json.loads(text)["Layers"]]


def _fused(entry: str | dict[str, Any]) -> Layer:
    """One entry of the inspector; a bare name in engines built without details."""
    if isinstance(entry, str):
        return Layer(entry, "?", "?")
    output = (entry.get("Outputs") or [{}])[0]
    # TensorRT 11 splits `Format/DataType`.
    precision = output.get("DataType") or output.get("Format/Datatype") or "?"
    return Layer(str(entry.get("Name", "")), str(entry.get("LayerType", "?")), _precision(str(precision)))


def _precision(name: str) -> str:
    """TensorRT's name of a type as `--precision` has it."""
    return NAMES.get(name.lower(), name.lower())


def describe_layers(layers: Iterable[Layer]) -> list[str]:
    """A line for each layer and one for each precision; without the arithmetic of shapes, which is int64."""
    layers = [layer for layer in layers if layer.precision != "int64"]
    width = max((len(layer.kind) for layer in layers), default=0)
    lines = [f"{layer.precision:8} {layer.kind:{width}}  {layer.name}" for layer in layers]
    counts = Counter(layer.precision for layer in layers)
    weighted = Counter(layer.precision for layer in layers if layer.kind in WEIGHTED)
    return lines + [
        f"{precision}: {count} layers, of which {weighted[precision]} convolutions and products"
        for precision, count in counts.most_common()
    ]
