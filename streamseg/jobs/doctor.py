"""What this machine has for streamseg, what is missing, and the command that installs it.

Tested in tests/cli/test_run.py.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from streamseg.engines.load import available_runtimes
from streamseg.errors import MissingDependency
from streamseg.version import __version__

__all__ = ["Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool
    detail: str
    cure: str = ""
    """A command, or empty."""
    required: bool = False
    """Without it the main job does not run."""


def examine() -> list[Finding]:
    """Everything `streamseg doctor` prints, cheapest first; nothing is changed."""
    return [
        _python(),
        _cpu(),
        _gpu(),
        *_runtimes(),
        *_packages(),
        _h264(),
        _display(),
        _webcams(),
        _ffprobe(),
    ]


def _python() -> Finding:
    detail = f"streamseg {__version__}, Python {platform.python_version()}, {platform.platform()}"
    return Finding("python", sys.version_info >= (3, 11), detail, "install Python 3.11 or later", True)


def _cpu() -> Finding:
    flags = _cpu_flags()
    have = [flag for flag in ("avx2", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    return Finding("cpu", True, f"{os.cpu_count()} cores, {' '.join(have) or platform.machine()}")


def _cpu_flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return set()
    lines = (line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("flags"))
    return set(next(lines, "").split())


def _gpu() -> Finding:
    """As the runtime `tensorrt` sees it, through cuda-python; elsewhere nothing looks at GPUs but torch."""
    try:
        from streamseg.engines.cuda_memory import gpu_problem
        from streamseg.engines.machine import this_gpu
    except MissingDependency as missing:
        return Finding("gpu", False, str(missing))
    problem = gpu_problem()
    if problem:
        return Finding("gpu", False, f"{problem}: engines run on the CPU")
    name, capability, driver = this_gpu()
    return Finding("gpu", True, f"{name}, compute capability {capability}, driver for CUDA {driver}")


def _runtimes() -> list[Finding]:
    return [Finding(f"runtime {r.name}", r.available, r.detail, r.cure) for r in available_runtimes()]


def _packages() -> list[Finding]:
    found = []
    for package, extra, use in (
        ("torchvision", "models", "streamseg export, training"),
        ("onnx", "models", "streamseg export"),
        ("pycocotools", "models", "mask AP"),
    ):
        try:
            found.append(Finding(package, True, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(package, False, f"for {use}", f"pip install 'streamseg[{extra}]'"))
    return found


def _h264() -> Finding:
    import av

    have = "libx264" in av.codecs_available
    return Finding("H.264 encoder", have, f"PyAV {av.__version__}", "pip install --only-binary av av", True)


def _display() -> Finding:
    display = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    return Finding("display", bool(display), display or "none: --show cannot open a window")


def _webcams() -> Finding:
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return Finding("webcams", bool(found), ", ".join(found) or "no /dev/video*")


def _ffprobe() -> Finding:
    import shutil

    path = shutil.which("ffprobe")
    return Finding("ffprobe", path is not None, path or "only used to check videos", "apt install ffmpeg")
