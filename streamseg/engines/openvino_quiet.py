"""OpenVINO without its usage report. Tested in tests/engines/test_openvino_deform.py.

`import openvino` (2026.4) starts a thread and sends an event to its maker's analytics service unless the
package openvino_telemetry is absent. A program that watches cameras must not call home, and the thread
may hold up its exit where there is no network. So the package is absent during this import, for which
OpenVINO has a stand-in; whoever imports openvino before streamseg keeps their own arrangement.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["openvino"]

REPORTER = "openvino_telemetry"


@contextmanager
def _absent(module: str) -> Iterator[None]:
    """While inside, importing `module` raises ImportError."""
    before = {module: sys.modules[module]} if module in sys.modules else {}
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        sys.modules.update(before)


with _absent(REPORTER):
    import openvino
