"""An endless stream of training batches from photographs, cut-outs and synthetic scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from streamseg.scene import SyntheticScene, random_sprite
from streamseg.training.augment import (
    jitter_colours,
    paste_item,
    paste_sprite,
    view_of_item,
    view_of_photo,
)
from streamseg.training.canvas import Canvas, Patch, Sample
from streamseg.training.photos import Item, Photo

__all__ = ["Batch", "Mixture", "batches", "collate", "mask_size"]

Objects = dict[int, list[tuple[Photo, Item]]]
"""By class, with the photographs that they are in."""

SCENE_SIZES_HW = ((320, 448), (360, 640), (480, 640), (540, 960))
"""Scenes are drawn at one of these and resized as a video would be."""
SCENE_POOL = 8
VIEWS_PER_SCENE = 3
"""A scene takes three times as long to make (30 ms) as to look at; each is seen at about three times."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B pictures and, for each, what the losses compare with; see Sample."""

    images: Tensor
    """(B, h, w, 3) uint8 BGR."""
    boxes: list[Tensor]
    classes: list[Tensor]
    masks: list[Tensor]
    """B of (n, mh, mw) uint8, 255 = the cell is all object."""
    segments: list[Tensor]
    """B of (n, mh/2, mw/2) uint8, the same."""
    centres: list[Tensor]
    """B of (n, 2), pixels of the input."""
    ignored: list[Tensor]
    counted: Tensor
    """(B, C) bool."""
    names: tuple[str, ...]
    """Files that the pictures are made of, for messages."""

    def to(self, device: torch.device) -> Batch:
        """The same on `device`."""
        if device == self.images.device:
            return self

        def moved(tensors: list[Tensor]) -> list[Tensor]:
            return [tensor.to(device) for tensor in tensors]

        return Batch(
            images=self.images.to(device),
            boxes=moved(self.boxes),
            classes=moved(self.classes),
            masks=moved(self.masks),
            segments=moved(self.segments),
            centres=moved(self.centres),
            ignored=moved(self.ignored),
            counted=self.counted.to(device),
            names=self.names,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Where samples come from, and how often."""

    photos: tuple[tuple[float, Sequence[Photo]], ...]
    """Sets of photographs with their shares, which add up to 1."""
    input_hw: tuple[int, int]
    class_count: int
    shape_class: int
    """Class of what synthetic scenes consist of."""
    scene_share: float = 0.15
    sprite_share: float = 0.12
    """Part of the photographs that get synthetic shapes pasted on."""
    paste_share: float = 0.5
    """Part of the photographs that get cut-outs of others pasted on."""
    pasted_often: tuple[int, ...] = ()
    """Classes whose cut-outs are drawn three times as often as those of any other."""
    sought: tuple[int, ...] = ()
    """Classes of which some views show an object for certain; one that is named twice, twice as often."""
    sought_share: float = 0.0
    """Part of the photographs for which that is so."""
    not_cut: Sequence[Photo] = ()
    """Of `photos`, those whose objects are not pasted."""

    def objects(self, *, whole: bool) -> Objects:
        """All objects by class; `whole`: those that may be pasted."""
        found: Objects = {}
        kept_whole = {id(photo) for photo in self.not_cut}
        for _, photos in self.photos:
            for photo in photos:
                for item in photo.items:
                    if item.ignore or (whole and (id(photo) in kept_whole or not _looks_whole(photo, item))):
                        continue
                    found.setdefault(item.class_id, []).append((photo, item))
        return found

    def samples(self, seed: int | Sequence[int]) -> Iterator[Sample]:
        """An endless stream that depends on `seed` alone."""
        rng = np.random.default_rng(seed)
        cut_outs, objects = self.objects(whole=True), self.objects(whole=False)
        scenes = [self._scene(rng) for _ in range(SCENE_POOL)]
        while True:
            if rng.random() < self.scene_share:
                k = int(rng.integers(SCENE_POOL))
                canvas = self._view_of_scene(rng, scenes[k])
                if rng.random() < 1 / VIEWS_PER_SCENE:
                    scenes[k] = self._scene(rng)
            else:
                canvas = self._photo(rng, cut_outs, objects)
            if rng.random() < 0.15:
                canvas.image = np.asarray(
                    cv2.GaussianBlur(canvas.image, (0, 0), rng.uniform(0.4, 1.3)), np.uint8
                )
            canvas.image = jitter_colours(rng, canvas.image)
            yield canvas.sample(mask_size(self.input_hw))

    def _photo(self, rng: np.random.Generator, cut_outs: Objects, objects: Objects) -> Canvas:
        sought = [objects[k] for k in self.sought if k in objects]
        if sought and rng.random() < self.sought_share:
            of_class = sought[int(rng.integers(len(sought)))]
            canvas = view_of_item(rng, *of_class[int(rng.integers(len(of_class)))], self.input_hw)
        else:
            shares = [share for share, _ in self.photos]
            photos = self.photos[int(rng.choice(len(shares), p=shares))][1]
            canvas = view_of_photo(rng, photos[int(rng.integers(len(photos)))], self.input_hw)
        if cut_outs and rng.random() < self.paste_share:
            classes = [k for k in cut_outs for _ in range(3 if k in self.pasted_often else 1)]
            for _ in range(int(rng.integers(1, 4))):
                k = classes[int(rng.integers(len(classes)))]
                paste_item(rng, canvas, *cut_outs[k][int(rng.integers(len(cut_outs[k])))])
        if rng.random() < self.sprite_share:
            for _ in range(int(rng.integers(1, 6))):
                side = round(min(self.input_hw) * float(np.exp(rng.uniform(np.log(0.08), np.log(0.5)))))
                paste_sprite(rng, canvas, *random_sprite(rng, max(side, 16)), self.shape_class)
        return canvas

    def _scene(self, rng: np.random.Generator) -> SyntheticScene:
        size_hw = SCENE_SIZES_HW[int(rng.integers(len(SCENE_SIZES_HW)))]
        objects = None if rng.random() < 0.5 else int(rng.integers(1, 22))
        return SyntheticScene(int(rng.integers(2**31)), size_hw, objects)

    def _view_of_scene(self, rng: np.random.Generator, scene: SyntheticScene) -> Canvas:
        image, truth = scene.render(float(rng.uniform(0, 120)))
        image = np.asarray(cv2.resize(image, self.input_hw[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        canvas = Canvas(image, np.ones(self.class_count, bool))
        for row in range(len(truth)):
            mask = _resized(truth.mask(row), self.input_hw)
            # The truth leaves out what can hardly be seen, so what is in it counts whole.
            canvas.regions.append(Patch(self.shape_class, False, mask, 0.0))
        return canvas


def _looks_whole(photo: Photo, item: Item) -> bool:
    """Large enough to be worth pasting, and not cut off by the border of its photograph."""
    points = np.concatenate(item.polygons)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    h, w = photo.image.shape[:2]
    touched = (x0 < 2) + (y0 < 2) + (x1 > w - 2) + (y1 > h - 2)
    return bool(min(x1 - x0, y1 - y0) >= 20 and touched <= 1)


def _resized(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w) uint8, 255 where at least half of a pixel is covered."""
    soft = cv2.resize(mask.view(np.uint8) * 255, size_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.where(soft >= 128, 255, 0).astype(np.uint8)


def mask_size(input_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the networks' masks: twice the stride-8 map."""
    return 2 * -(-input_hw[0] // 8), 2 * -(-input_hw[1] // 8)


class _Stream(IterableDataset[Batch]):
    def __init__(self, make: Callable[[], Mixture], batch_size: int, seed: Sequence[int]) -> None:
        self.make, self.batch_size, self.seed = make, batch_size, seed

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        samples = self.make().samples(self.seed)
        while True:
            yield collate([next(samples) for _ in range(self.batch_size)])


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch of samples of the same size."""
    return Batch(
        images=torch.from_numpy(np.stack([s.image for s in samples])),
        boxes=[torch.from_numpy(s.boxes) for s in samples],
        classes=[torch.from_numpy(s.classes) for s in samples],
        masks=[torch.from_numpy(s.masks) for s in samples],
        segments=[torch.from_numpy(s.segments) for s in samples],
        centres=[torch.from_numpy(s.centres) for s in samples],
        ignored=[torch.from_numpy(s.ignored) for s in samples],
        counted=torch.from_numpy(np.stack([s.counted for s in samples])),
        names=tuple(s.name for s in samples),
    )


def batches(make: Callable[[], Mixture], batch_size: int, seed: Sequence[int]) -> Iterator[Batch]:
    """Batches made by one process beside the training: it costs about a tenth of a core.

    The process is a new one, not a fork, and calls `make` itself: a fork of a program whose threads have
    used OpenCV hangs at its first picture.
    """
    stream = _Stream(make, batch_size, seed)
    return iter(DataLoader(stream, None, num_workers=1, prefetch_factor=4, multiprocessing_context="spawn"))
