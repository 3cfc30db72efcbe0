"""Loads the TensorRT-RTX libraries: `tensorrt_rtx_bindings` begins with importing a module of this name.

The libraries are those that ONNX Runtime's TensorRT-RTX provider carries. Once loaded, a library answers to
its soname, so the bindings find them without a search path.
"""

import ctypes
import importlib.util
from pathlib import Path


def _load(folder: Path, name: str) -> ctypes.CDLL:
    found = [path for path in folder.glob(f"{name}.so.*") if not path.is_symlink()]
    if len(found) != 1:
        raise ImportError(f"{len(found)} files {name}.so.* in {folder}, expected one")
    return ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)


_spec = importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx")
if _spec is None or not _spec.submodule_search_locations:
    raise ImportError("onnxruntime-ep-nv-tensorrt-rtx-cu13 is not installed")
_folder = Path(_spec.submodule_search_locations[0])
_core, _parser = (_load(_folder, name) for name in ("libtensorrt_rtx", "libtensorrt_onnxparser_rtx"))
_parts = ("Major", "Minor", "Patch", "Build")
__version__ = ".".join(str(getattr(_core, f"getInferLib{part}Version")()) for part in _parts)
