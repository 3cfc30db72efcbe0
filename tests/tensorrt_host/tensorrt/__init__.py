"""The TensorRT Python API over TensorRT-RTX. What it builds are TensorRT-RTX engines."""

import tensorrt_rtx_libs
from tensorrt_rtx_bindings import *  # noqa: F403 - the module is another name for it
from tensorrt_rtx_bindings import __version__

if __version__ != tensorrt_rtx_libs.__version__:
    raise ImportError(
        f"bindings {__version__} over libraries {tensorrt_rtx_libs.__version__}: calls would crash"
    )
