"""TensorRT's Python module, whichever of its two products is installed, and what differs between them.
Tested in tests/engines/test_tensorrt_engine.py.

TensorRT 11 and TensorRT-RTX share the API used here; TensorRT 10.13 and later differ in two flags.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from streamseg.errors import MissingDependency

__all__ = ["flavour_of", "is_rtx", "new_logger", "tensorrt_module"]

MODULES = ("tensorrt", "tensorrt_rtx")


def tensorrt_module() -> Any:
    """The module `tensorrt`, else `tensorrt_rtx`. Raises MissingDependency where neither can be imported."""
    reasons = []
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError) as error:  # installed, but a library of it is missing
            reasons.append(f"{name} is installed and cannot be imported ({error})")
    if reasons:
        raise MissingDependency(f"{reasons[0]}; reinstall it: pip install 'streamseg[tensorrt]'")
    raise MissingDependency.of("tensorrt", "tensorrt", "building or running a TensorRT engine")


def is_rtx(trt: Any) -> bool:
    """Whether the module is TensorRT-RTX, under whatever name it was installed."""
    return hasattr(trt, "ComputeCapability")


def flavour_of(trt: Any) -> str:
    """`TensorRT` or `TensorRT-RTX`."""
    return "TensorRT-RTX" if is_rtx(trt) else "TensorRT"


def new_logger(trt: Any) -> Any:
    """A logger for TensorRT's objects. It keeps errors in `.errors`, to become an exception's text, and tells
    `logging` the rest: warnings at INFO, since TensorRT warns of much that is meant."""
    errors = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR)
    log = logging.getLogger("streamseg.tensorrt")

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in errors:
                self.errors.append(message)
            log.log(logging.INFO if severity == trt.ILogger.WARNING else logging.DEBUG, message)

    return Logger()
