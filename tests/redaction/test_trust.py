"""When the engine's word is not taken, and for how long."""

import cv2
import numpy as np
import pytest

from streamseg.masks import Masks
from streamseg.redaction import Unreleased
from streamseg.redaction.scene_change import SceneChange
from streamseg.redaction.trust import Trust
from streamseg.structures import Frame, Instances, Result, Tracks

HW = (48, 64)
RANDOM = np.random.default_rng(5)
ROOM = RANDOM.integers(0, 255, (12, 16, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)

SMOOTH = cv2.resize(
    RANDOM.integers(0, 255, (5, 8, 3)).astype(np.uint8), HW[::-1], interpolation=cv2.INTER_CUBIC
)


def item_of(index, *, found=1, t=None, refused=0, coasted=False, session=0, image=ROOM):
    hw = image.shape[0], image.shape[1]
    boxes = np.tile(np.array([[4, 4, 20, 40]], np.float32), (found, 1))
    masks = Masks(np.full((found, 12, 16), 255, np.uint8), (4.0, 4.0), hw)
    instances = Instances(boxes, np.full(found, 0.9, np.float32), np.zeros(found, np.int32), masks)
    frame = Frame(image, index, index / 25 if t is None else t, 0, "cam", session=session)
    result = Result(frame, instances, Tracks.untracked(instances), ("person",), coasted=coasted)
    return Unreleased(result, instances, refused)


def reasons(items, there=(1, 1)):
    trust = Trust()
    return [trust.filled(item, there) for item in items]


def test_the_third_sound_result_is_shown():
    assert reasons(item_of(k) for k in range(5)) == ["start", "start", None, None, None]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"refused": 2}, "engine gave nonsense"),
        ({"session": 1}, "reconnected"),
        ({"image": ROOM[:40]}, "size changed"),
        ({"image": ROOM[::-1, ::-1].copy()}, "scene changed"),
        ({"image": np.roll(SMOOTH, 5, axis=1)}, "camera moved"),
    ],
)
def test_after_a_fault_three_sound_results_are_needed(fault, why):
    lasting = {} if why == "engine gave nonsense" else fault
    image = SMOOTH if why == "camera moved" else ROOM
    items = [item_of(k, image=image) for k in range(10)] + [item_of(10, **fault)]
    items += [item_of(k, **lasting) for k in range(11, 15)]
    nonsense = why == "engine gave nonsense"
    shown = [None] if nonsense else [None, None]
    assert reasons(items)[8:] == [None, None, *[why] * (3 if nonsense else 2), *shown, None][:7]


def test_late_is_what_takes_longer_than_half_a_second_and_four_steps():
    slow = [item_of(k, t=k * 1.0) for k in range(8)]
    assert reasons(slow)[:4] == ["start", "engine late", "engine late", None]
    assert reasons(slow)[4:] == [None] * 4
    gap = [item_of(k) for k in range(10)] + [item_of(k, t=k / 25 + 0.6) for k in range(10, 14)]
    assert reasons(gap)[9:] == [None, "engine late", "engine late", None, None]


def test_a_run_of_moved_masks_is_late_too():
    items = [item_of(k) for k in range(5)] + [item_of(k, coasted=True) for k in range(5, 25)]
    told = reasons(items)
    assert told[5:17] == [None] * 12
    assert told[17:] == ["engine late"] * 8


def test_many_do_not_vanish_at_once_nor_few_for_long():
    empty = [item_of(k, found=0) for k in range(5, 20)]
    before, after = [item_of(k) for k in range(5)], [item_of(k) for k in range(20, 24)]
    assert reasons([*before, *empty, *after], (3, 0))[4:] == [None, *["all vanished"] * 17, None, None]
    one = reasons([*before, *empty, *after], (1, 1))
    assert one[5:12] == [None] * 7
    assert one[12:22] == ["all vanished"] * 10
    assert reasons([*before, *empty], (1, 0))[5:] == [None] * 15  # it was about to leave
    trust = Trust()
    for item in [*before, *empty]:
        trust.filled(item, (1, 1))
    assert trust.silent_since == 5 / 25  # frames from there on are filled after all


def test_noise_and_light_are_no_other_scene():
    change = SceneChange()
    for k in range(20):
        noisy = np.clip(ROOM + RANDOM.normal(0, 8, ROOM.shape) - 3 * (k % 7), 0, 255).astype(np.uint8)
        assert change.happened(noisy) is None
