"""What `streamseg engines` does: what can be used, and what each says of itself.

Tested in tests/cli/test_run.py.
"""

from __future__ import annotations

from pathlib import Path

from streamseg.engines.cards import bundled_card
from streamseg.engines.locate import list_engines, read_info
from streamseg.errors import EngineError

__all__ = ["describe_engines"]


def describe_engines(folder: str) -> list[str]:
    """One paragraph for each engine that can be used by name or lies in `folder`."""
    lines: list[str] = []
    for name, path in list_engines(folder).items():
        lines += _describe(name, path)
    return lines or [f"no engines bundled or in {folder}; make one with: streamseg export MODEL -o OUT.onnx"]


def _describe(name: str, path: Path) -> list[str]:
    try:
        info = read_info(path)
    except EngineError as error:
        return [f"{name}  unusable: {error}"]
    height, width = info.input_hw
    card = bundled_card(name)
    quality = f", mask AP {100 * card['mask_ap']:.1f} (held-out images)" if card else ""
    return [
        f"{name}  {info.family} {info.model}, {width}x{height}, {len(info.classes)} classes{quality}",
        f"    {path}",
        f"    {', '.join(info.classes)}",
    ]
