import cv2
import numpy as np

from streamseg.overlay.palette import PALETTE, colours_of


def distances(colours: list[tuple[int, int, int]]) -> np.ndarray:
    """(n, n) distances in CIELAB."""
    lab = cv2.cvtColor(np.array([colours], np.float32) / 255, cv2.COLOR_BGR2LAB)[0]
    return np.linalg.norm(lab[:, None] - lab[None], axis=-1)


def test_twenty_in_a_row_are_distinct_and_neighbours_more_so() -> None:
    for first in range(0, len(PALETTE) - 20):
        apart = distances(list(PALETTE[first : first + 20]))
        assert apart[np.triu_indices(20, 1)].min() > 10
        assert apart.diagonal(1).min() > 45


def test_black_text_is_readable_on_every_colour() -> None:
    srgb = np.array(PALETTE) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    contrast = (linear @ [0.0722, 0.7152, 0.2126] + 0.05) / 0.05
    assert contrast.min() > 4.5  # WCAG 2, level AA


def test_colour_follows_the_track_and_without_one_the_class(make_instances, make_tracks) -> None:
    boxes = [[0, 0, 8, 8], [8, 8, 16, 16], [16, 16, 24, 24]]
    instances = make_instances((64, 64), boxes)
    assert colours_of(instances, make_tracks(instances, [7, -1, 2])) == [PALETTE[6], PALETTE[1], PALETTE[1]]
    reordered = instances.select(np.array([2, 0]))
    assert colours_of(reordered, make_tracks(reordered, [2, 7])) == [PALETTE[1], PALETTE[6]]
    assert colours_of(instances, make_tracks(instances, [256, 1, 10**12])) == [
        PALETTE[0],
        PALETTE[0],
        PALETTE[(10**12 - 1) % 255],
    ]
