"""Frames that nobody can write into, results that nobody changes, stuff that follows its instances."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from streamseg.masks import FrameMasks, Masks
from streamseg.structures import STAGES, Frame, Instances, Result, Segmented, Stamps, Stuff, Tracks


def frame_of(image: np.ndarray) -> Frame:
    return Frame(image, 3, 0.1, 1_000_000, "cam")


def one_square() -> Instances:
    soft = np.zeros((1, 10, 10), np.uint8)
    soft[0, 2:5, 2:5] = 255
    masks = Masks(soft, (4.0, 4.0), (40, 40))
    box = np.array([[8, 8, 20, 20]], np.float32)
    return Instances(box, np.ones(1, np.float32), np.zeros(1, np.int32), masks)


def result_of(instances: Instances) -> Result:
    frame = frame_of(np.zeros((40, 40, 3), np.uint8))
    return Result(frame, instances, Tracks.untracked(instances), ("person",))


def test_a_frame_is_read_only_and_leaves_the_callers_array_as_it_was() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    frame = frame_of(image)
    assert not frame.image.flags.writeable
    assert image.flags.writeable
    assert np.shares_memory(frame.image, image)  # no copy of what was handed over
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        frame.image[1:].fill(1)


@pytest.mark.parametrize("part", [np.s_[:, ::2], np.s_[::-1], np.s_[:, :, ::-1], np.s_[:, 1:]])
def test_a_frame_must_be_contiguous(part: tuple[slice, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"Frame.image: expected a C-contiguous array, got \(\d, \d, 3\) with strides"
    ):
        frame_of(np.zeros((4, 6, 3), np.uint8)[part])


def test_a_frame_is_read_only_again_on_the_other_side_of_a_pickle() -> None:
    frame = frame_of(np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    again = pickle.loads(pickle.dumps(frame))
    assert not again.image.flags.writeable
    np.testing.assert_array_equal(again.image, frame.image)
    assert (again.index, again.pts_seconds, again.captured_ns, again.source_id) == (3, 0.1, 1_000_000, "cam")


def test_pixels_are_made_once_for_all_who_ask() -> None:
    instances = one_square()
    result = replace(result_of(instances), canvas=np.zeros((40, 40, 3), np.uint8))
    assert result.instances.pixels.regions is instances.pixels.regions
    assert instances.pixels.areas == [140]  # 12 × 12, corners rounded
    assert instances.select(np.array([0])).pixels is not instances.pixels


def test_pixels_travel_unmade() -> None:
    """What was made of the masks can be made again, and is many times their size."""
    instances = one_square()
    before = len(pickle.dumps(instances))
    rles = instances.pixels.rles
    assert instances.pixels.regions
    again = pickle.loads(pickle.dumps(instances))
    assert len(pickle.dumps(instances)) == before
    assert isinstance(again.pixels, FrameMasks)
    assert again.pixels.rles == rles


def test_a_stage_adds_its_stamp_to_a_new_result() -> None:
    result = result_of(one_square())
    stamped = replace(result, stamps=replace(result.stamps, segment=3_000_000))
    assert result.stamps == Stamps(None, None, None)
    assert stamped.age_ms("segment") == 2
    with pytest.raises(ValueError, match=r"age_ms: 'segment' has not finished with Frame\('cam' #3"):
        result.age_ms("segment")
    with pytest.raises(FrozenInstanceError):
        stamped.stamps.track = 1  # type: ignore[misc]
    assert STAGES == ("segment", "track", "overlay")


def test_a_result_is_fresh_and_has_nothing_that_nobody_made() -> None:
    result = result_of(one_square())
    assert (result.canvas, result.stuff, result.events, result.coasted) == (None, None, (), False)
    item = Segmented(result.frame, result.instances)
    assert (item.stuff, item.stamps) == (None, Stamps())
    for part in (result, item, result.stamps):
        assert not hasattr(part, "__dict__")


def stuff_of(owner: list[list[int]] | None) -> Stuff:
    kind = np.zeros((2, 3), np.uint8)
    return Stuff(kind, None if owner is None else np.array(owner, np.uint8), ("sky",), (2.0, 2.0), (4, 6))


def test_owners_are_rows_of_the_instances_that_remain() -> None:
    stuff = stuff_of([[1, 2, 3], [0, 3, 4]])
    chosen = stuff.select(np.array([2, 0]), 4).owner
    kept = stuff.select(np.array([True, False, False, True]), 4).owner
    assert chosen is not None
    assert kept is not None
    assert chosen.tolist() == [[2, 0, 1], [0, 1, 0]]
    assert kept.tolist() == [[1, 0, 0], [0, 0, 2]]
    assert stuff_of(None).select(np.array([0]), 4).owner is None


def test_no_cell_names_an_instance_beyond_255() -> None:
    owner = stuff_of([[1, 255, 0], [0, 0, 0]]).select(np.arange(299, -1, -1), 300).owner
    assert owner is not None
    assert owner.tolist() == [[0, 46, 0], [0, 0, 0]]  # row 254 is now row 45; row 0 is row 299
    with pytest.raises(ValueError, match=r"Stuff.kind: expected uint8"):
        Stuff(np.zeros((2, 3), np.int32), None, (), (1.0, 1.0), (2, 3))  # type: ignore[arg-type]
