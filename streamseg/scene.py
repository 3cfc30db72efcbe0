"""An endless made-up video whose truth is known exactly: textured shapes that move and hide each other.

Everything is a function of the seed and of time, so that a frame and its truth can be made again
instead of being stored. It stands in for footage in the demo, in tests and in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASS_NAME", "SceneTruth", "SyntheticScene", "random_sprite"]

CLASS_NAME = "shape"
"""The one class of everything in the scene."""

MIN_VISIBLE_FRACTION = 0.05
MIN_VISIBLE_FRAME_FRACTION = 5e-5
MIN_VISIBLE_PIXELS = 16

_MARGIN = 2
_SIDE_OF_SHORTER = 0.14, 0.46
_BACKGROUND_REACH = 1.25

Image = NDArray[np.uint8]
Field = NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SceneTruth:
    """What is visible in one frame of the scene, in order of `ids`.

    An object is left out, and its pixels count as background, when fewer of its pixels are visible
    than 16, than 5 % of its own area, or than 1/20000 of the frame.
    """

    ids: NDArray[np.int64]
    """(N,) int64, from 1, the same object always has the same id, also after it came back."""
    xyxy: NDArray[np.float32]
    """(N, 4) float32, box of the visible part in pixels, x2 and y2 exclusive."""
    labels: NDArray[np.uint8]
    """(H, W) uint8, 0 = background, k + 1 = row k is what is seen at this pixel."""

    def __len__(self) -> int:
        return len(self.ids)

    def mask(self, row: int) -> NDArray[np.bool_]:
        """(H, W) bool, the visible part of row `row`."""
        return np.equal(self.labels, row + 1)

    def __repr__(self) -> str:
        return f"SceneTruth(ids={self.ids.tolist()})"


class SyntheticScene:
    """Shapes with textures of their own over a textured background, on smooth paths, without end.

    They turn, change size, overlap in a fixed depth order, leave the frame and come back.
    `objects` is their number, 1…250 (by the seed, 5…9, when not given); `size_hw` the size of the frame in
    pixels. `render` has no state: frames may be asked for in any order and from any thread.
    """

    def __init__(
        self,
        seed: int,
        size_hw: tuple[int, int] = (720, 1280),
        objects: int | None = None,
        fps: float = 30.0,
    ) -> None:
        if min(size_hw) < 32 or (objects is not None and not 1 <= objects <= 250) or fps <= 0:
            raise ValueError(f"SyntheticScene: size {size_hw}, objects {objects}, fps {fps}: out of range")
        self.seed = seed
        self.size_hw = size_hw
        self.fps = fps
        # A generator for each part: what one draws (textures draw by the pixel) does not move the others,
        # and a seed is the same scene at every size.
        rng, behind, *actors = np.random.default_rng(seed).spawn(252)
        self._background, avoid = _background(behind, size_hw)
        self._pan = _Wave.random(rng, 0.02, 0.08), _Wave.random(rng, 0.02, 0.08)
        self._pan_reach = 0.0 if rng.random() < 0.4 else float(rng.uniform(0.3, 1.0))
        count = int(rng.integers(5, 10)) if objects is None else objects
        self._bodies = [_Body.random(actor, size_hw, avoid) for actor in actors[:count]]

    def frame(self, index: int) -> tuple[Image, SceneTruth]:
        """Frame number `index` at the scene's nominal frame rate; see `render`."""
        return self.render(index / self.fps)

    def render(self, t_seconds: float) -> tuple[Image, SceneTruth]:
        """The picture, (H, W, 3) uint8 BGR, at a time, and what is visible in it."""
        image = self._background_at(t_seconds)
        labels = np.zeros(self.size_hw, np.uint8)
        drawn = [body.draw(t_seconds, image, labels, k + 1) for k, body in enumerate(self._bodies)]
        return image, self._truth(labels, drawn)

    def _background_at(self, t: float) -> Image:
        h, w = self.size_hw
        spare = self._background.shape[0] - h, self._background.shape[1] - w
        y, x = (
            round(room * (0.5 + 0.5 * self._pan_reach * wave(t)))
            for room, wave in zip(spare, self._pan, strict=True)
        )
        return self._background[y : y + h, x : x + w].copy()

    def _truth(self, labels: NDArray[np.uint8], drawn: list[_Drawn | None]) -> SceneTruth:
        h, w = self.size_hw
        floor = max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_FRAME_FRACTION * h * w)
        rows, boxes = np.zeros(256, np.uint8), []
        for k, part in enumerate(drawn):
            if part is None:
                continue
            region = labels[part.y : part.y + part.h, part.x : part.x + part.w]
            seen = np.equal(region, k + 1).view(np.uint8)
            if cv2.countNonZero(seen) >= max(floor, MIN_VISIBLE_FRACTION * part.area):
                x, y, bw, bh = cv2.boundingRect(seen)
                boxes.append((part.x + x, part.y + y, part.x + x + bw, part.y + y + bh))
                rows[k + 1] = len(boxes)
        ids = np.flatnonzero(rows).astype(np.int64)
        xyxy = np.array(boxes, np.float32).reshape(-1, 4)
        return SceneTruth(ids, xyxy, np.asarray(cv2.LUT(labels, rows), np.uint8))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Where an object was painted: its clipped rectangle and its whole area in pixels."""

    x: int
    y: int
    w: int
    h: int
    area: float


@dataclass(frozen=True, slots=True)
class _Wave:
    """A slow oscillation in −1…1: two sines, so that it does not look periodic."""

    hertz: float
    phase: float
    second_phase: float

    @classmethod
    def random(cls, rng: Rng, low_hertz: float, high_hertz: float) -> _Wave:
        phase, second = rng.uniform(0, 2 * math.pi, 2)
        return cls(float(rng.uniform(low_hertz, high_hertz)), float(phase), float(second))

    def __call__(self, t: float) -> float:
        angle = 2 * math.pi * self.hertz * t
        return 0.8 * math.sin(angle + self.phase) + 0.2 * math.sin(2.3 * angle + self.second_phase)


@dataclass(frozen=True, slots=True)
class _Body:
    """One object: its sprite (premultiplied BGRA), and its motion."""

    sprite: Image
    area: float
    centre_xy: tuple[float, float]
    reach_xy: tuple[float, float]
    path: tuple[_Wave, _Wave]
    size: _Wave
    squash: _Wave
    turn: _Wave
    start_angle: float
    spin: float

    @classmethod
    def random(cls, rng: Rng, size_hw: tuple[int, int], avoid: list[Colour]) -> _Body:
        h, w = size_hw
        side = round(min(h, w) * rng.uniform(*_SIDE_OF_SHORTER))
        bgr, alpha = random_sprite(rng.spawn(1)[0], max(side, 12), avoid)
        pale = cv2.multiply(bgr, cv2.merge([alpha] * 3), scale=1 / 255)
        # A reach beyond half the frame takes the object out of sight at the ends of its path.
        reach = rng.uniform(0.25, 0.8, 2)
        return cls(
            sprite=np.dstack([np.asarray(pale, np.uint8), alpha]),
            area=float(np.count_nonzero(alpha >= 128)),
            centre_xy=(w * float(rng.uniform(0.3, 0.7)), h * float(rng.uniform(0.3, 0.7))),
            reach_xy=(w * float(reach[0]), h * float(reach[1])),
            path=(_Wave.random(rng, 0.02, 0.1), _Wave.random(rng, 0.02, 0.1)),
            size=_Wave.random(rng, 0.03, 0.15),
            squash=_Wave.random(rng, 0.05, 0.3),
            turn=_Wave.random(rng, 0.05, 0.2),
            start_angle=float(rng.uniform(0, 2 * math.pi)),
            spin=float(rng.normal(0, 0.25)) * (rng.random() < 0.6),
        )

    def transform(self, t: float) -> NDArray[np.float64]:
        """(2, 3) affine map from pixels of the sprite to pixels of the frame."""
        scale, squash = 0.8 + 0.25 * self.size(t), 1 + 0.1 * self.squash(t)
        angle = self.start_angle + self.spin * t + 0.5 * self.turn(t)
        c, s = math.cos(angle), math.sin(angle)
        linear = scale * np.array([[c * squash, -s / squash], [s * squash, c / squash]])
        h, w = self.sprite.shape[:2]
        at = [m + r * wave(t) for m, r, wave in zip(self.centre_xy, self.reach_xy, self.path, strict=True)]
        shift = np.array(at) - linear @ [(w - 1) / 2, (h - 1) / 2]
        return np.column_stack([linear, shift])

    def draw(self, t: float, image: Image, labels: NDArray[np.uint8], value: int) -> _Drawn | None:
        """Paint over `image` and write `value` into `labels`; None when out of sight."""
        matrix = self.transform(t)
        h, w = self.sprite.shape[:2]
        corners = matrix @ np.array([[0, w, w, 0], [0, 0, h, h], [1, 1, 1, 1]], float)
        x0, y0 = (max(int(low), 0) for low in np.floor(corners.min(axis=1)))
        x1, y1 = np.minimum(np.ceil(corners.max(axis=1)).astype(int) + 1, image.shape[1::-1]).tolist()
        if x0 >= x1 or y0 >= y1:
            return None
        matrix[:, 2] -= x0, y0
        warped = cv2.warpAffine(self.sprite, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        alpha = cv2.extractChannel(warped, 3)
        under = image[y0:y1, x0:x1]
        kept = cv2.multiply(under, cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2BGR), scale=1 / 255)
        cv2.add(kept, cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR), dst=under)
        np.copyto(labels[y0:y1, x0:x1], value, where=alpha >= 128)
        return _Drawn(x0, y0, x1 - x0, y1 - y0, self.area * abs(float(np.linalg.det(matrix[:, :2]))))


def random_sprite(
    rng: Rng, side_px: int = 160, avoid: list[Colour] | None = None
) -> tuple[Image, NDArray[np.uint8]]:
    """A shape with a texture and shading of its own, to be pasted somewhere.

    Returns its colours, (h, w, 3) uint8 BGR, not multiplied by alpha, and alpha, (h, w) uint8,
    anti-aliased, zero along the border. The longer side is `side_px`; the shape's colour keeps
    away from those in `avoid` (B, G, R in 0…255).
    """
    aspect = float(rng.uniform(0.45, 1.0))
    sides = side_px, max(round(side_px * aspect), 8)
    h, w = sides if rng.random() < 0.5 else sides[::-1]
    alpha = _silhouette(rng, h, w)
    first = _colour(rng, avoid or [], vivid=True)
    second = _colour(rng, avoid or [], vivid=True)
    texture = _texture(rng, h, w, (first, second), cell=side_px * float(rng.uniform(0.08, 0.3)))
    shaded = texture * _shading(rng, alpha)[..., None]
    return np.clip(shaded, 0, 255).astype(np.uint8), alpha


def _silhouette(rng: Rng, h: int, w: int) -> NDArray[np.uint8]:
    """(h, w) uint8 alpha of a random shape that fills the rectangle up to a small margin."""
    outline = _OUTLINES[int(rng.integers(len(_OUTLINES)))](rng)
    outline = outline - (outline.min(axis=0) + outline.max(axis=0)) / 2
    outline = outline / np.abs(outline).max(axis=0)
    half = np.array([w - 1 - 2 * _MARGIN, h - 1 - 2 * _MARGIN]) / 2
    centre = np.array([w - 1, h - 1]) / 2
    fixed_point_bits = 4
    points = np.round((outline * half + centre) * 2**fixed_point_bits).astype(np.int32)
    alpha = np.zeros((h, w), np.uint8)
    cv2.fillPoly(alpha, [points], 255, cv2.LINE_AA, fixed_point_bits)
    return alpha


def _radial(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * math.pi, len(radius), endpoint=False)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def _ellipse(rng: Rng) -> NDArray[np.float64]:
    return _radial(np.ones(72))


def _polygon(rng: Rng) -> NDArray[np.float64]:
    return _radial(rng.uniform(0.7, 1.0, int(rng.integers(3, 9))))


def _star(rng: Rng) -> NDArray[np.float64]:
    tips = int(rng.integers(3, 9))
    return _radial(np.where(np.arange(2 * tips) % 2, float(rng.uniform(0.4, 0.7)), 1.0))


def _blob(rng: Rng) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for order in range(2, 6):
        radius += rng.normal(0, 0.35 / order) * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
    return _radial(np.clip(radius, 0.35, None))


def _rounded(rng: Rng) -> NDArray[np.float64]:
    """A superellipse: between a diamond-like cushion and a rectangle with round corners."""
    angle = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    power = 2 / float(rng.uniform(2.5, 8.0))
    c, s = np.cos(angle), np.sin(angle)
    return np.column_stack([np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power])


def _crescent(rng: Rng) -> NDArray[np.float64]:
    angle = np.linspace(0.15 * math.pi, 1.85 * math.pi, 60)
    inner = float(rng.uniform(0.35, 0.6))
    arc = np.column_stack([np.cos(angle), np.sin(angle)])
    return np.concatenate([arc, arc[::-1] * inner])


def _cross(rng: Rng) -> NDArray[np.float64]:
    a = float(rng.uniform(0.25, 0.5))
    arm = np.array([(1, -a), (1, a), (a, a)])
    quarter_turn = np.array([[0, -1], [1, 0]])
    return np.concatenate([arm @ np.linalg.matrix_power(quarter_turn, k).T for k in range(4)])


_OUTLINES: tuple[Callable[[Rng], NDArray[np.float64]], ...] = (
    _ellipse,
    _polygon,
    _star,
    _blob,
    _rounded,
    _crescent,
    _cross,
)


def _shading(rng: Rng, alpha: NDArray[np.uint8]) -> Field:
    """(h, w) brightness around 1: light from one side, and a rim so that the outline can be seen."""
    h, w = alpha.shape
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    angle = float(rng.uniform(0, 2 * math.pi))
    light = float(rng.uniform(0, 0.3)) * (x * math.cos(angle) + y * math.sin(angle))
    depth = cv2.distanceTransform((alpha >= 128).view(np.uint8), cv2.DIST_L2, 3)
    rim = np.clip(depth / (float(rng.uniform(0.02, 0.12)) * max(h, w)), 0, 1)
    edge = float(rng.uniform(0.45, 0.85)) if rng.random() < 0.75 else float(rng.uniform(1.15, 1.4))
    return np.asarray((1 + light) * (edge + (1 - edge) * rim), np.float32)


def _background(rng: Rng, size_hw: tuple[int, int]) -> tuple[Image, list[Colour]]:
    """A texture larger than the frame (there is room to pan), and its main colours."""
    h, w = (round(side * _BACKGROUND_REACH) for side in size_hw)
    first = _colour(rng, [], vivid=False)
    second = tuple(float(np.clip(c + rng.normal(0, 30), 10, 245)) for c in first)
    colours = first, (second[0], second[1], second[2])
    image = _texture(rng, h, w, colours, cell=h * float(rng.uniform(0.03, 0.3)))
    # Soft patches: texture alone must not tell object from background.
    patches = _noise(rng, h, w, h * float(rng.uniform(0.1, 0.4))) - 0.5
    image += patches[..., None] * float(rng.uniform(10, 60))
    return np.clip(image, 0, 255).astype(np.uint8), list(colours)


def _colour(rng: Rng, avoid: list[Colour], vivid: bool) -> Colour:
    """A random B, G, R at least 110 away (Euclidean, of 442) from all in `avoid`, or the best of 30."""
    best: Colour = (128.0, 128.0, 128.0)
    best_gap = -1.0
    for _ in range(30):
        hsv = np.array([[[rng.uniform(0, 180), 255 * rng.uniform(0, 1 if vivid else 0.5), 0]]], np.float32)
        hsv[..., 2] = 255 * (rng.uniform(0.15, 1.0) if vivid else rng.uniform(0.2, 0.85))
        b, g, r = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
        gap = min((math.dist((b, g, r), other) for other in avoid), default=math.inf)
        if gap > best_gap:
            best, best_gap = (float(b), float(g), float(r)), gap
        if gap >= 110:
            break
    return best


def _texture(rng: Rng, h: int, w: int, colours: tuple[Colour, Colour], cell: float) -> Field:
    """(h, w, 3) float32 B, G, R: a pattern between two colours, `cell` pixels to a repeat, with grain."""
    angle = float(rng.uniform(0, 2 * math.pi))
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) * (2 * math.pi / max(cell, 4.0))
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kind = int(rng.integers(7))
    if kind == 0:
        mix = np.zeros((h, w), np.float32)
    elif kind == 1:
        mix = 0.5 + 0.5 * np.tanh(3 * np.sin(u))
    elif kind == 2:
        mix = 0.5 + 0.5 * np.tanh(4 * np.sin(u) * np.sin(v))
    elif kind == 3:
        mix = 0.5 + 0.5 * np.tanh(4 * (np.sin(u) + np.sin(v) - 1))
    elif kind == 4:
        mix = (u - u.min()) / max(float(np.ptp(u)), 1e-3)
    else:
        mix = np.clip(2.5 * _noise(rng, h, w, cell) - 0.75, 0, 1)
    first, second = (np.array(colour, np.float32) for colour in colours)
    grain = (_noise(rng, h, w, max(cell / 4, 2.0)) - 0.5) * float(rng.uniform(5, 50))
    return np.asarray(first + mix[..., None] * (second - first) + grain[..., None], np.float32)


def _noise(rng: Rng, h: int, w: int, cell: float) -> Field:
    """(h, w) smooth noise in about 0…1 with features of `cell` pixels and finer ones."""
    total = np.zeros((h, w), np.float32)
    for octave, weight in enumerate((0.6, 0.25, 0.15)):
        step = max(cell / 2**octave, 1.0)
        grid = rng.random((max(round(h / step), 2), max(round(w / step), 2)), np.float32)
        total += weight * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC)
    return total
