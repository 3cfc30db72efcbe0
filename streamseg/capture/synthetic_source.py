"""The synthetic scene as a source: endless or a number of frames, its truth at hand."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from streamseg.addresses import printable
from streamseg.capture.source import Source, SourceOptions
from streamseg.errors import SourceError
from streamseg.scene import SceneTruth, SyntheticScene
from streamseg.structures import Frame

__all__ = ["SceneSpec", "SyntheticSource", "parse_synthetic"]

_FORM = "synthetic[:SEED][?frames=N&size=WIDTHxHEIGHT&objects=N&fps=R]"


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """What `synthetic:7?frames=300` asks for."""

    seed: int = 0
    size_hw: tuple[int, int] = (720, 1280)
    objects: int | None = None
    fps: float = 30.0
    frames: int | None = None
    """None: endless."""

    def scene(self) -> SyntheticScene:
        """The scene, the same every time."""
        return SyntheticScene(self.seed, self.size_hw, self.objects, self.fps)


_DEFAULTS = SceneSpec()


class SyntheticSource(Source):
    """Frames of a synthetic scene, as fast as they are taken; frame `index` shows it at index / fps."""

    def __init__(self, spec: SceneSpec, source_id: str) -> None:
        super().__init__(source_id, live=False)
        self.size_hw = spec.size_hw
        self.fps = spec.fps
        self.frame_count = spec.frames
        self._scene = spec.scene()
        self._index = 0

    def __iter__(self) -> Iterator[Frame]:
        while not self._interrupted and self._index != self.frame_count:
            index, self._index = self._index, self._index + 1
            image, _ = self._scene.frame(index)
            yield Frame(image, index, index / self._scene.fps, time.monotonic_ns(), self.source_id)

    def truth(self, index: int) -> SceneTruth:
        """What is visible in frame `index`; made again, not stored."""
        return self._scene.frame(index)[1]

    def close(self) -> None:
        """Nothing is held."""


def parse_synthetic(spec: str, options: SourceOptions | None = None) -> SceneSpec:
    """`synthetic[:SEED][?frames=N&size=WxH&objects=N&fps=R]` → SceneSpec; what it leaves out is `options`'.

    Raises SourceError naming the part that cannot be used.
    """
    form = re.fullmatch(r"synthetic(?::(\d+))?(?:\?(.*))?", spec)
    if form is None:
        raise SourceError(f"{printable(spec)}: not of the form {_FORM}")
    asked = dict(parse_qsl(form[2] or "", keep_blank_values=True))
    unknown = asked.keys() - {"frames", "size", "objects", "fps"}
    if unknown:
        raise SourceError(f"{printable(spec)}: unknown setting {min(unknown)!r}; the form is {_FORM}")
    options = options or SourceOptions()
    return SceneSpec(
        seed=int(form[1] or 0),
        size_hw=_size(spec, asked["size"]) if "size" in asked else options.size_hw or _DEFAULTS.size_hw,
        objects=_number(spec, "objects", asked, 1, 250),
        fps=_number(spec, "fps", asked, 1, 1000) or options.fps or _DEFAULTS.fps,
        frames=_number(spec, "frames", asked, 1, 10**9),
    )


def _size(spec: str, text: str) -> tuple[int, int]:
    size = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if size is None or min(int(size[1]), int(size[2])) < 32:
        raise SourceError(f"{printable(spec)}: size={printable(text)}: expected WIDTHxHEIGHT, each 32…9999")
    return int(size[2]), int(size[1])


def _number(spec: str, key: str, asked: dict[str, str], low: int, high: int) -> int | None:
    if key not in asked:
        return None
    if not re.fullmatch(r"\d{1,10}", asked[key]) or not low <= int(asked[key]) <= high:
        raise SourceError(
            f"{printable(spec)}: {key}={printable(asked[key])}: expected a whole number, {low}…{high}"
        )
    return int(asked[key])
