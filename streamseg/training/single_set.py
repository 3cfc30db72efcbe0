"""Batches from one annotated data set: every picture once an epoch, each time another view of it.

The sample at a place of a run depends on the seed and on that place alone, not on how many processes make
it or whether the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from streamseg.datasets.coco import CocoImage
from streamseg.datasets.photo_set import PhotoSet
from streamseg.training.augment import draw_view, jitter_colours, window_matrix
from streamseg.training.canvas import Canvas, Sample
from streamseg.training.mixture import Batch, collate, mask_size
from streamseg.training.photos import Photo, load_photo
from streamseg.training.views import Window, copy_paste, expanded_or_cropped, scale_jittered

__all__ = ["Order", "SingleSet", "Views", "stream_batches"]

OWN_CLASSES = PhotoSet(folder="", share=1.0, held_out_share=0.0, licence="")
FINER = 1.25
"""Pictures are kept so many times as large as the input, at most: views also show parts of them."""
KEPT_BYTES = 512 * 2**20
"""Decoded pictures that a process keeps; the others are decoded again each time."""


@dataclass(frozen=True, slots=True)
class Views:
    """What samples are made of."""

    images: tuple[CocoImage, ...]
    classes: tuple[str, ...]
    input_hw: tuple[int, int]
    resize: Literal["stretch", "fit"]
    """How the network's engine brings a picture to its input."""
    fill_bgr: tuple[int, int, int]
    """The colour where there is no picture."""
    seed: int
    soft_masks: bool = False
    """Masks are resized by area, as `losses.SOFT` wants them; else as the originals do."""
    augment: bool = True
    """False: every picture as it is, for a network that must learn a few by heart."""
    paste_share: float = 0.5
    """Part of the pictures that get objects of another one."""


class SingleSet(Dataset[Sample]):
    """Samples by (place in the run, picture)."""

    def __init__(self, recipe: Views) -> None:
        self.recipe = recipe
        self._counted = np.ones(len(recipe.classes), np.bool_)
        self._kept: dict[int, Photo] = {}
        self._room = KEPT_BYTES

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Raises DatasetError for a picture that can no longer be read."""
        place, number = key
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, place])
        canvas = self._view(rng, self._photo(number))
        if recipe.augment:
            if rng.random() < recipe.paste_share:
                other = int(rng.integers(len(recipe.images)))
                copy_paste(rng, canvas, self._view(rng, self._photo(other)))
            canvas.image = jitter_colours(rng, canvas.image)
        interpolation = cv2.INTER_AREA if recipe.soft_masks else cv2.INTER_LINEAR
        return canvas.sample(mask_size(recipe.input_hw), interpolation=interpolation)

    def _view(self, rng: np.random.Generator, photo: Photo) -> Canvas:
        size_hw = self.recipe.input_hw
        matrix = window_matrix(*self._window(rng, photo), size_hw, mirror=self._mirrors(rng))
        return draw_view(photo, matrix, size_hw, self.recipe.fill_bgr)

    def _mirrors(self, rng: np.random.Generator) -> bool:
        return self.recipe.augment and rng.random() < 0.5

    def _window(self, rng: np.random.Generator, photo: Photo) -> Window:
        size_hw = self.recipe.input_hw
        if not self.recipe.augment:
            return as_in_use(photo, size_hw, self.recipe.resize)
        if self.recipe.resize == "stretch":
            return expanded_or_cropped(rng, photo)
        return scale_jittered(rng, photo, size_hw)

    def _photo(self, number: int) -> Photo:
        if number in self._kept:
            return self._kept[number]
        photo = load_photo(
            self.recipe.images[number],
            OWN_CLASSES,
            self.recipe.classes,
            self._counted,
            round(FINER * max(self.recipe.input_hw)),
        )
        if photo.image.nbytes <= self._room:
            self._room -= photo.image.nbytes
            self._kept[number] = photo
        return photo


def as_in_use(photo: Photo, size_hw: tuple[int, int], resize: str) -> Window:
    """The view that an engine has of a picture."""
    size = np.array(photo.image.shape[1::-1], np.float64)
    if resize == "stretch":
        return Window(np.zeros(2), size)
    return Window(np.zeros(2), np.array(size_hw[::-1]) * float((size / size_hw[::-1]).max()))


@dataclass(frozen=True, slots=True)
class Order:
    """Which pictures a process looks at, batch by batch, without end."""

    images: int
    batch: int
    """Of one process."""
    seed: int
    rank: int = 0
    ranks: int = 1
    first: int = 0
    """The iteration to begin at."""

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, shuffled = -1, np.empty(0, np.intp)
        place = (self.first * self.ranks + self.rank) * self.batch
        while True:
            batch = []
            for k in range(place, place + self.batch):
                if k // self.images != epoch:
                    epoch = k // self.images
                    shuffled = self._shuffled(epoch)
                batch.append((k, int(shuffled[k % self.images])))
            yield batch
            place += self.ranks * self.batch

    def _shuffled(self, epoch: int) -> NDArray[np.intp]:
        # Three numbers, so that it is no sample's stream.
        return np.random.default_rng([self.seed, epoch, 1]).permutation(self.images)


def stream_batches(recipe: Views, order: Order, workers: int) -> Iterator[Batch]:
    """Batches made by so many processes beside the training; by this one when there are none.

    They are new processes, not forks: see `mixture.batches`.
    """
    more = {"prefetch_factor": 4, "multiprocessing_context": "spawn"} if workers else {}
    loader: DataLoader[Sample] = DataLoader(
        SingleSet(recipe),
        batch_sampler=order,
        num_workers=workers,
        collate_fn=_collated,
        worker_init_fn=_single_threaded,
        **more,  # type: ignore[arg-type]
    )
    return iter(loader)


def _collated(samples: Sequence[Sample]) -> Batch:
    return collate(samples)


def _single_threaded(_worker: int) -> None:
    cv2.setNumThreads(1)
