"""What of a machine decides whether a TensorRT engine can run on it.

Tested in tests/engines/test_fingerprint.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamseg.engines.tensorrt_api import flavour_of, tensorrt_module

__all__ = ["Machine", "this_gpu", "this_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """GPU, driver and TensorRT; texts are empty where there is no GPU."""

    tensorrt: str
    """Version: `11.4.0.106`."""
    flavour: str
    """`TensorRT` or `TensorRT-RTX`: neither reads the other's engines."""
    gpu: str = ""
    """`NVIDIA H200`."""
    compute_capability: str = ""
    """`9.0`."""
    driver: str = ""
    """The newest CUDA that the driver runs: `13.0`."""


def this_machine() -> Machine:
    """The current GPU and the installed TensorRT. Raises MissingDependency where the latter is not."""
    trt = tensorrt_module()
    return Machine(str(trt.__version__), flavour_of(trt), *this_gpu())


def this_gpu() -> tuple[str, str, str]:
    """Name, compute capability and driver of the current GPU; empty where none can be used."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        return "", "", ""
    error, count = runtime.cudaGetDeviceCount()
    if error != runtime.cudaError_t.cudaSuccess or not count:
        return "", "", ""
    _, index = runtime.cudaGetDevice()
    _, properties = runtime.cudaGetDeviceProperties(index)
    _, driver = runtime.cudaDriverGetVersion()
    name = properties.name.decode().rstrip("\0")
    return name, f"{properties.major}.{properties.minor}", f"{driver // 1000}.{driver % 1000 // 10}"
