"""Effects on a copy of a frame: highlight, blur, replace, remove, cut-out, heat and trails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ConfigError
from streamseg.overlay.effect_spec import EffectSpec
from streamseg.overlay.labels import style_for
from streamseg.overlay.palette import colours_of
from streamseg.overlay.plate import BackgroundPlate
from streamseg.overlay.trails import Trails, draw_trail
from streamseg.structures import Frame, Instances, Mark, Tracks

__all__ = ["Effects", "check_value"]

Image = NDArray[np.uint8]

_DARK = 0.35
"""Brightness of what is not highlighted; its colours are gone."""
_BLUR_SHARE = 0.03
"""Width of the blur, as a share of the picture's shorter side."""
_FEATHER = 3
"""Pixels over which an edge between two pictures is soft; odd."""
_TRAIL_SECONDS = 2.0
_HEAT_CELL = 4
"""Pixels of a cell of the heat map, each way."""


class Effects:
    """Draws effects, in the order in which they were asked for; one source, one thread."""

    def __init__(self, specs: Sequence[EffectSpec]) -> None:
        """Raises ConfigError for a background that cannot be read."""
        self._specs = tuple(specs)
        self._backgrounds = {spec: check_value(spec) for spec in specs if spec.kind == "replace"}
        self._plate = BackgroundPlate() if any(s.kind == "remove" for s in specs) else None
        self._trails = Trails(_TRAIL_SECONDS)
        self._heat: dict[EffectSpec, NDArray[np.float32]] = {}
        self._before: float | None = None

    def draw(
        self,
        frame: Frame,
        instances: Instances,
        tracks: Tracks,
        class_names: Sequence[str],
        *,
        status: str = "",
        marks: Sequence[Mark] = (),
    ) -> Image:
        """A new (H, W, 3) uint8 BGR picture, or with a cut-out (H, W, 4) with alpha; no labels, no marks."""
        canvas: Image = frame.image.copy()
        alpha: Image | None = None
        if self._plate:
            self._plate.learn(frame.image, _union(instances, range(len(instances)), frame.size_hw))
        names = [class_names[k] for k in instances.class_id.tolist()]
        for spec in self._specs:
            wanted = zip(names, tracks.id.tolist(), strict=True)
            rows = [k for k, (name, track) in enumerate(wanted) if spec.wants(name, track)]
            mask = _union(instances, rows, frame.size_hw)
            if spec.kind == "cutout":
                alpha = mask if alpha is None else np.asarray(cv2.bitwise_or(alpha, mask), np.uint8)
            else:
                canvas = self._applied(spec, canvas, mask, rows, frame, instances, tracks)
        self._before = frame.pts_seconds
        return canvas if alpha is None else np.dstack([canvas, alpha])

    def _applied(
        self,
        spec: EffectSpec,
        canvas: Image,
        mask: Image,
        rows: list[int],
        frame: Frame,
        instances: Instances,
        tracks: Tracks,
    ) -> Image:
        if spec.kind == "highlight":
            grey = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            return _over(canvas, np.asarray(cv2.convertScaleAbs(grey, alpha=_DARK), np.uint8), mask)
        if spec.kind == "blur":
            return _over(canvas, _blurred(canvas), mask)
        if spec.kind == "replace":
            return _over(canvas, _covering(self._backgrounds[spec], frame.size_hw), mask)
        if spec.kind == "remove" and self._plate:
            return self._plate.behind(canvas, mask)
        if spec.kind == "heat":
            return self._warmed(spec, canvas, mask, frame)
        return self._trailed(canvas, rows, frame, instances, tracks)

    def _warmed(self, spec: EffectSpec, canvas: Image, mask: Image, frame: Frame) -> Image:
        """Where objects have been, by seconds: from blue to red, as warm as the warmest place."""
        height, width = frame.size_hw
        size = -(-width // _HEAT_CELL), -(-height // _HEAT_CELL)
        heat = self._heat.get(spec)
        if heat is None or heat.shape != size[::-1]:
            heat = self._heat[spec] = np.zeros(size[::-1], np.float32)
        seconds = max(frame.pts_seconds - self._before, 0.0) if self._before is not None else 0.0
        heat += cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(seconds)
        if not heat.any():
            return canvas
        shown = cv2.GaussianBlur(heat, (0, 0), 2)
        level = np.sqrt(cv2.resize(shown / shown.max(), (width, height), interpolation=cv2.INTER_LINEAR))
        colours = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
        warm = np.asarray(cv2.addWeighted(canvas, 0.45, colours, 0.55, 0), np.uint8)
        return _over(warm, canvas, (np.minimum(level * 4, 1) * 255).astype(np.uint8))

    def _trailed(
        self, canvas: Image, rows: list[int], frame: Frame, instances: Instances, tracks: Tracks
    ) -> Image:
        paths = self._trails.update(frame.pts_seconds, tracks)
        colours, style = colours_of(instances, tracks), style_for(frame.size_hw)
        for row in rows:
            if path := paths.get(int(tracks.id[row])):
                draw_trail(canvas, path, colours[row], 2 * style.line)
        return canvas


def check_value(spec: EffectSpec) -> Image:
    """The background of `replace`: a picture, or one pixel of its colour. Raises ConfigError."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", spec.value):
        red, green, blue = bytes.fromhex(spec.value[1:])
        return np.array([[[blue, green, red]]], np.uint8)
    path = Path(spec.value)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        cure = "name one, or a colour such as #00b140"
        raise ConfigError(f"--effect replace={spec.value}: not a picture; {cure}")
    return np.asarray(picture, np.uint8)


def _union(instances: Instances, rows: Sequence[int], frame_hw: tuple[int, int]) -> Image:
    """(H, W) uint8, 255 where any of the instances is."""
    mask = np.zeros(frame_hw, np.uint8)
    for row in rows:
        (x, y), bits = instances.pixels.regions[row]
        mask[y : y + bits.shape[0], x : x + bits.shape[1]] |= bits.view(np.uint8) * np.uint8(255)
    return mask


def _over(front: Image, back: Image, mask: Image) -> Image:
    """`front` where `mask` is 255, `back` where it is 0, softly between."""
    soft = cv2.GaussianBlur(mask, (2 * _FEATHER + 1, 2 * _FEATHER + 1), 0)[..., None].astype(np.uint16)
    mixed = front * soft + back * (255 - soft) + 127
    return np.asarray(mixed // 255, np.uint8)


def _blurred(image: Image) -> Image:
    """Blurred at a quarter of the size, where it costs a sixteenth."""
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    sigma = max(1.0, _BLUR_SHARE * min(image.shape[:2]) / 4)
    soft = cv2.GaussianBlur(small, (0, 0), sigma)
    return np.asarray(cv2.resize(soft, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _covering(picture: Image, frame_hw: tuple[int, int]) -> Image:
    """`picture` scaled until it covers the frame, its middle."""
    height, width = frame_hw
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    grown = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.asarray(grown[top : top + height, left : left + width], np.uint8)
