"""An ONNX engine → a TensorRT engine and its sidecar.

The network is strongly typed: each tensor has the type that the graph says, so precision is a matter of the
graph (`precision.py`, `streamseg.compile.quantize`) and the same in TensorRT 10, 11 and TensorRT-RTX.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx

from streamseg.compile.build_progress import interruptible, progress_monitor
from streamseg.compile.deform_sampling import with_sampled_deform_conv
from streamseg.compile.layers import Layer, layers_of_network
from streamseg.compile.precision import lowered
from streamseg.compile.roi_sampling import with_sampled_rois
from streamseg.compile.timing_cache import kept_timings
from streamseg.engine_contract import INPUT_NAME, EngineInfo
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.fingerprint import Fingerprint, write_fingerprint
from streamseg.engines.locate import read_info
from streamseg.engines.machine import this_machine
from streamseg.engines.tensorrt_api import flavour_of, is_rtx, new_logger, tensorrt_module
from streamseg.errors import ConfigError, EngineError
from streamseg.files import file_sha256, write_bytes
from streamseg.progress import Watcher

__all__ = ["build_engine", "inspect_network"]

GIB = 1 << 30
PORTABLE = {"same_compute_capability": "SAME_COMPUTE_CAPABILITY", "ampere_plus": "AMPERE_PLUS"}


def build_engine(
    source: Path,
    output: Path,
    options: BuildOptions,
    watcher: Watcher,
    *,
    quantized: Path | None = None,
    cache_dir: Path | None = None,
) -> Path:
    """Build `source`, an engine as exported, for this machine's GPU; write `output`, its sidecar, return it.

    `quantized` is the form of `source` with signed Q/DQ that `int8` and `mixed` need. Timings of tactics are
    kept in `cache_dir`, the user's when left out, for the next build. The file appears when it is whole.
    Raises EngineError, ExportError, ConfigError, MissingDependency.
    """
    info = _info_of(source)
    _check_output(output)
    digest = file_sha256(source)
    with _Build(source, options, quantized) as build:
        watcher.say(f"{source}: {build.what}, {build.network.num_layers} layers, {options.precision}")
        plan = build.plan(watcher, cache_dir)
    _write(plan, output)
    where = os.path.relpath(source, output.parent)
    machine = this_machine()
    write_fingerprint(output, Fingerprint(info, machine, options, where, digest, file_sha256(output)))
    return output


def inspect_network(source: Path, options: BuildOptions, *, quantized: Path | None = None) -> list[Layer]:
    """The layers that a build would start from. Raises as `build_engine` does; writes nothing."""
    _info_of(source)
    with _Build(source, options, quantized) as build:
        return layers_of_network(build.trt, build.network)


def _info_of(source: Path) -> EngineInfo:
    if source.suffix.lower() != ".onnx":
        raise ConfigError(f"{source}: engines are built from .onnx files; make one with: streamseg export")
    return read_info(source)


class _Build:
    """TensorRT's objects for one build, from a parsed network to the plan; they refer to one another."""

    def __init__(self, source: Path, options: BuildOptions, quantized: Path | None) -> None:
        _check_options(options, quantized)
        self.trt = tensorrt_module()
        self.what = f"{flavour_of(self.trt)} {self.trt.__version__}"
        self._source, self._options = source, options
        self._logger = new_logger(self.trt)
        self._builder = self._new_builder()
        self.network = self._builder.create_network(_network_flags(self.trt))
        self._parse(_graph(source, options, quantized, rtx=is_rtx(self.trt)))

    def __enter__(self) -> _Build:
        return self

    def __exit__(self, *_: object) -> None:
        # In this order: each refers to the one after it.
        del self._parser, self.network, self._builder

    def plan(self, watcher: Watcher, cache_dir: Path | None) -> bytes:
        """Build; a minute or many on a GPU. Raises EngineError, and KeyboardInterrupt after SIGINT."""
        config = self._config()
        with kept_timings(self.trt, config, cache_dir), interruptible() as interrupted:
            config.progress_monitor = progress_monitor(self.trt, watcher, interrupted)
            plan = self._builder.build_serialized_network(self.network, config)
        if plan is None:
            raise EngineError(f"{self._source}: {self.what} cannot build it ({self._reason()})")
        return bytes(plan)

    def _new_builder(self) -> Any:
        try:
            return self.trt.Builder(self._logger)
        except (TypeError, RuntimeError) as error:
            raise EngineError(
                f"{self.what} cannot start ({self._reason()}); it builds on the GPU that runs the engine"
            ) from error

    def _parse(self, model: onnx.ModelProto) -> None:
        self._parser = self.trt.OnnxParser(self.network, self._logger)
        if self._parser.parse(model.SerializeToString()):
            return
        why = self._parser.get_error(0).desc() if self._parser.num_errors else self._reason()
        raise EngineError(f"{self._source}: {self.what} cannot read it ({why})")

    def _config(self) -> Any:
        trt, options = self.trt, self._options
        config = self._builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(options.workspace_gib * GIB))
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if options.portable != "no":
            level = getattr(trt.HardwareCompatibilityLevel, PORTABLE[options.portable])
            config.hardware_compatibility_level = level
        if is_rtx(trt):
            # Without it no CUDA graph can be captured.
            config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        profile = self._builder.create_optimization_profile()
        sides = tuple(self.network.get_input(0).shape)[1:]
        profile.set_shape(INPUT_NAME, *((batch, *sides) for batch in options.batch))
        config.add_optimization_profile(profile)
        return config

    def _reason(self) -> str:
        return self._logger.errors[0] if self._logger.errors else "no reason given"


def _graph(source: Path, options: BuildOptions, quantized: Path | None, *, rtx: bool) -> onnx.ModelProto:
    """The network in the types asked for, with operators that the product has."""
    from streamseg.compile.quantize import float_model

    model = float_model(quantized or source)
    if quantized is None and any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ConfigError(f"{source}: INT8 for the CPU; build from the FP32 file that it was made from")
    if rtx and any(node.op_type == "DeformConv" for node in model.graph.node):
        model = with_sampled_deform_conv(model, str(source))
    if rtx and any(node.op_type == "RoiAlign" for node in model.graph.node):
        model = with_sampled_rois(model, str(source))
    match options.precision:
        case "fp32":
            return model
        case "bf16":
            return lowered(model, "bf16", str(source))
        case _:  # what is not INT8 is FP16
            return lowered(model, "fp16", str(source))


def _network_flags(trt: Any) -> int:
    """Strong typing is a flag in TensorRT 10, and all there is in 11 and in TensorRT-RTX."""
    if is_rtx(trt) or int(trt.__version__.split(".")[0]) >= 11:
        return 0
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _check_options(options: BuildOptions, quantized: Path | None) -> None:
    options.check()
    if (quantized is not None) != options.needs_calibration:
        raise ConfigError(f"precision {options.precision}: needs the calibrated form of the network")
    if options.portable != "no" and is_rtx(tensorrt_module()):
        raise ConfigError("portable: TensorRT-RTX engines run on every GPU it supports; leave --portable out")


def _check_output(output: Path) -> None:
    """Before minutes of building."""
    if output.suffix != ".engine":
        raise ConfigError(f"{output}: a TensorRT engine ends in .engine")
    if not output.parent.is_dir():
        raise EngineError(f"{output}: cannot be written, there is no folder {output.parent}")
    if not os.access(output.parent, os.W_OK):
        raise EngineError(f"{output}: cannot be written, {output.parent} is read-only")


def _write(plan: bytes, output: Path) -> None:
    try:
        write_bytes(output, plan)
    except OSError as error:
        raise EngineError(f"{output}: cannot be written ({error.strerror})") from error
