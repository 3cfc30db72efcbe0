"""A second of a source as bytes, and the same results again."""

import random

import numpy as np
import pytest

from streamseg.masks import Runs
from streamseg.records.block import FrameBlock, PackedBlock, Row, block_of, unpacked_block
from streamseg.structures import Frame, Tracks

NAMES = ("cat", "dog", "cow")
NO_RUNS = Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


def disc(x, y, radius):
    column = np.arange(x - radius, x + radius + 1)
    half = np.sqrt(radius**2 - (column - x) ** 2).astype(np.int64)
    return Runs(np.repeat(column, 2), np.stack([y - half, y + half + 1], axis=1).ravel())


def rows(count=30, hw=(96, 160)):
    made = []
    for k in range(count):
        n = k % 4
        xyxy = np.random.default_rng(k).uniform(0, 90, (n, 4)).astype(np.float32)
        tracks = Tracks(
            np.array([7, -1, 12][:n], np.int64),
            np.full(n, k / 30, np.float32),
            np.array([2, 1, 2][:n], np.uint8),
            xyxy + np.float32(1.5),
        )
        runs = [disc(40 + k, 40, 10), NO_RUNS, disc(90, 50 + k // 2, 7)][:n]
        score = np.linspace(0.9, 0.3, n).astype(np.float32)
        made.append(
            Row(2 * k, k / 29.97, 1_700_000_000_000_000_000 + k * 33_366_700, "prft" if k % 2 else None,
                (1000 + k, 10**13, -1), k % 5 == 0, hw, np.arange(n, dtype=np.int32), score, xyxy, tracks,
                runs)
        )  # fmt: skip
    return made


def test_results_come_back_as_they_were():
    given = rows()
    block = unpacked_block(block_of(given), len(NAMES))
    assert len(block) == 30
    for k, row in enumerate(given):
        frame = block.frame(k, "cam", np.zeros((*row.size_hw, 3), np.uint8))
        assert isinstance(frame, Frame)
        assert (frame.index, frame.pts_seconds) == (row.index, row.pts_seconds)
        assert frame.captured_ns == row.captured_ns
        assert (frame.utc_ns, frame.utc_from) == ((row.captured_ns, "prft") if k % 2 else (None, None))
        result = block.result(k, frame, NAMES)
        assert result.coasted == row.coasted
        np.testing.assert_array_equal(result.instances.xyxy, row.xyxy)
        np.testing.assert_array_equal(result.instances.score, row.score)
        np.testing.assert_array_equal(result.instances.class_id, row.class_id)
        np.testing.assert_array_equal(result.tracks.id, row.tracks.id)
        np.testing.assert_array_equal(result.tracks.state, row.tracks.state)
        np.testing.assert_allclose(result.tracks.xyxy, row.tracks.xyxy, atol=1 / 32)
        np.testing.assert_allclose(result.tracks.age_seconds, row.tracks.age_seconds, atol=5.1e-4)
        for before, after in zip(row.runs, result.instances.pixels.runs, strict=True):
            np.testing.assert_array_equal(before.column, after.column)
            np.testing.assert_array_equal(before.row, after.row)
    assert block.ages_us.tolist()[3] == [1003, 10**13, -1]


def test_chosen_instances_keep_their_pixels():
    block = unpacked_block(block_of(rows()), len(NAMES))
    frame = block.frame(3, "cam", np.zeros((96, 160, 3), np.uint8))
    found = block.result(3, frame, NAMES).instances
    chosen = found.select(np.array([2, 0]))
    assert chosen.pixels.areas == [found.pixels.areas[2], found.pixels.areas[0]]
    assert found.pixels.areas[2] > 100


def test_numbers_can_be_read_without_masks():
    packed = block_of(rows())
    block = unpacked_block(PackedBlock(packed.numbers, b""), len(NAMES), with_masks=False)
    assert block.runs is None
    assert block.start[-1] == len(block.id) == sum(k % 4 for k in range(30))
    with pytest.raises(ValueError, match="without its masks"):
        block.result(0, block.frame(0, "cam", np.zeros((96, 160, 3), np.uint8)), NAMES)


def test_a_class_that_the_engine_does_not_have_is_refused():
    with pytest.raises(ValueError, match="class"):
        unpacked_block(block_of(rows()), 2)


@pytest.mark.parametrize("part", ["numbers", "masks"])
def test_damaged_bytes_end_in_one_error_or_in_a_sound_block(part):
    import zlib

    packed = block_of(rows())
    whole = zlib.decompress(getattr(packed, part))
    dice = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            block = unpacked_block(packed._replace(**{part: zlib.compress(bytes(damaged))}), len(NAMES))
        except ValueError:
            continue
        assert isinstance(block, FrameBlock)
        for k in range(len(block)):
            hw = block.size_hw[k].tolist()
            if hw == [96, 160]:
                frame = block.frame(k, "cam", np.zeros((96, 160, 3), np.uint8))
                assert min(block.result(k, frame, NAMES).instances.pixels.areas, default=0) >= 0
