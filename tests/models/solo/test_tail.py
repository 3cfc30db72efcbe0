"""SOLO's and SOLOv2's tails against values worked out by hand and a plain loop over the published steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch.nn.functional import interpolate  # noqa: E402

from streamseg.errors import ExportError  # noqa: E402
from streamseg.models.instance_tensors import InstanceTensors  # noqa: E402
from streamseg.models.solo import tail as solo_tail  # noqa: E402
from streamseg.models.solo.masks import CellMasks, DecoupledMasks, DynamicMasks  # noqa: E402
from streamseg.models.solo.tail import SoloTail, decay, extent, peaks  # noqa: E402

Array = NDArray[Any]
GRIDS, MIN_AREAS, CLASSES = (4, 3), (2, 5), 3
CELLS = sum(grid * grid for grid in GRIDS)
MASK_HW = (6, 8)
LEVELS_HW = (MASK_HW, (3, 4))
DRAWING = {"dynamic": DynamicMasks(), "cells": CellMasks(GRIDS), "decoupled": DecoupledMasks(GRIDS)}


class Heads(NamedTuple):
    category: Any
    kernel: Any
    features: Any


def random_heads(seed: int, bias: float, batch: int = 1, kernel: int | None = None) -> Heads:
    """Kernels and features are whole numbers: mask logits are exact, whatever the order of summation."""
    rng = torch.Generator().manual_seed(seed)
    category = torch.randn(batch, CELLS, CLASSES, generator=rng) * 2 + bias
    kernels = torch.randint(-2, 3, (batch, CELLS, 4), generator=rng).float()
    if kernel is not None:
        kernels[:] = kernel
    return Heads(category, kernels, torch.randint(-2, 3, (batch, 4, *MASK_HW), generator=rng).float())


def random_mask_heads(kind: str, seed: int) -> tuple[Any, ...]:
    """What the masks of one picture are drawn from, in whole numbers."""
    rng = torch.Generator().manual_seed(seed)

    def whole(*shape: int) -> Any:
        return torch.randint(-2, 3, shape, generator=rng).float()

    if kind == "dynamic":
        return whole(1, CELLS, 4), whole(1, 4, *MASK_HW)
    if kind == "cells":
        return whole(CELLS, 4), whole(CELLS), tuple(whole(1, 4, *hw) for hw in LEVELS_HW)
    # Up: a product of two probabilities of one half is none.
    columns, rows = (
        tuple(whole(1, grid, *hw) + 1 for grid, hw in zip(GRIDS, LEVELS_HW, strict=True)) for _ in range(2)
    )
    return columns, rows


def masks_of_all_cells(kind: str, heads: tuple[Any, ...]) -> Any:
    """(N, mh, mw) soft masks as the originals make them: of every cell, level by level."""
    if kind == "dynamic":
        kernel, features = heads
        return (kernel[0, :, :, None, None] * features).sum(1).sigmoid()
    masks, first = [], 0
    for level, grid in enumerate(GRIDS):
        if kind == "cells":
            kernel, bias, features = heads
            part = slice(first, first + grid * grid)
            logits = (kernel[part, :, None, None] * features[level]).sum(1) + bias[part, None, None]
            drawn = interpolate(logits.sigmoid()[None], MASK_HW, mode="bilinear")[0]
        else:
            column, row = (interpolate(maps[level].sigmoid(), MASK_HW, mode="bilinear")[0] for maps in heads)
            drawn = torch.stack([column[x] * row[y] for y, x in np.ndindex(grid, grid)])
        masks.append(drawn)
        first += grid * grid
    return torch.cat(masks)


def make_tail(**options: Any) -> SoloTail:
    return SoloTail(GRIDS, MIN_AREAS, CLASSES, **{"max_detections": 20, **options})


class Found(NamedTuple):
    score: float
    class_id: int
    soft: Array


def oracle(category: Any, masks: Any, limit: int, threshold: float = 0.05) -> list[Found]:
    """The published steps, one thing at a time, for the first picture with all its cells' masks."""
    found = []
    row = 0
    for grid, min_area in zip(GRIDS, MIN_AREAS, strict=True):
        score = category[0, row : row + grid * grid].sigmoid().numpy().reshape(grid, grid, CLASSES)
        for y, x, c in np.ndindex(grid, grid, CLASSES):
            if score[y, x, c] < score[max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1, c].max():
                continue
            soft = masks[row + y * grid + x].numpy()
            if score[y, x, c] > 0.1 and (soft > 0.5).sum() > min_area:
                found.append(Found(float(score[y, x, c] * soft[soft > 0.5].mean()), c, soft))
        row += grid * grid
    found.sort(key=lambda f: -f.score)
    kept = [f._replace(score=f.score * factor) for f, factor in zip(found, factors(found), strict=True)]
    return sorted((f for f in kept if f.score > threshold), key=lambda f: -f.score)[:limit]


def iou(a: Array, b: Array) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def factors(found: list[Found]) -> list[float]:
    """Matrix NMS as the paper's code has it: a minimum of quotients over all better masks."""
    masks = [f.soft > 0.5 for f in found]
    worst: list[float] = []
    result = []
    for j, mine in enumerate(found):
        overlaps = [iou(masks[i], masks[j]) * (found[i].class_id == mine.class_id) for i in range(j)]
        quotients = [np.exp(-2 * o * o) / np.exp(-2 * worst[i] ** 2) for i, o in enumerate(overlaps)]
        result.append(float(min([1.0, *quotients])))
        worst.append(max([0.0, *overlaps]))
    return result


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(list(DRAWING)),
    seed=st.integers(0, 10**6),
    bias=st.sampled_from([-20.0, -4.0, -1.0, 2.0]),
    limit=st.sampled_from([1, 5, 20]),
)
def test_equals_a_plain_loop(kind: str, seed: int, bias: float, limit: int) -> None:
    """None, few, and more detections than there is room for."""
    category, heads = random_heads(seed, bias).category, random_mask_heads(kind, seed)
    out = make_tail(max_detections=limit, masks=DRAWING[kind])(category, *heads)
    expected = oracle(category, masks_of_all_cells(kind, heads), limit)
    n = int(out.number[0])
    assert n == len(expected)
    np.testing.assert_allclose(out.scores[0, :n], [f.score for f in expected], rtol=2e-6)
    assert out.classes[0, :n].tolist() == [f.class_id for f in expected]
    for mask, box, want in zip(out.masks[0], out.boxes[0], expected, strict=False):
        assert_is_drawn(mask.numpy(), box.tolist(), want.soft)
    for tensor in out[:4]:
        assert int(tensor[0, n:].count_nonzero()) == 0


def assert_is_drawn(mask: Array, box: list[float], soft: Array) -> None:
    """Equal cells up to one beyond the set ones, none further; all of the set ones within the box."""
    rows, columns = np.nonzero(soft > 0.5)
    near = np.zeros(soft.shape, bool)
    near[max(rows.min() - 1, 0) : rows.max() + 2, max(columns.min() - 1, 0) : columns.max() + 2] = True
    np.testing.assert_allclose(mask, np.where(near, np.ceil(soft * 255 - 0.5), 0), atol=1)
    np.testing.assert_array_equal(mask > 127, soft > 0.5)
    height, width = soft.shape
    assert abs(box[0] * width - columns.min()) <= 0.5001
    assert abs(box[1] * height - rows.min()) <= 0.5001
    assert abs(box[2] * width - columns.max() - 1) <= 0.5001
    assert abs(box[3] * height - rows.max() - 1) <= 0.5001


def test_one_mask_by_hand() -> None:
    """Score 0.8 · 0.75; edges where the interpolation from 0.75 to 0.25 or 0.05 passes one half."""
    logit = np.log(np.array([0.8, 0.75, 0.25, 0.05]) / (1 - np.array([0.8, 0.75, 0.25, 0.05])))
    category = torch.full((1, 4, 1), -9.0)
    category[0, 3] = logit[0]
    features = torch.full((1, 1, 6, 8), float(logit[3]))
    features[0, 0, 1:3, 2:5] = logit[1]
    features[0, 0, 1:3, 5] = logit[2]
    features[0, 0, 0, 2:5] = logit[2]
    tail = SoloTail((2,), (4,), 1, max_detections=3)
    out = tail(category, torch.ones(1, 4, 1), features)
    assert out.number.tolist() == [1]
    assert out.scores[0].tolist() == pytest.approx([0.8 * 0.75, 0, 0])
    reach = 0.25 / 0.7
    assert (out.boxes[0, 0] * torch.tensor([8, 6, 8, 6])).tolist() == pytest.approx(
        [2.5 - reach, 1.5 - 0.5, 4.5 + 0.5, 2.5 + reach], rel=1e-5
    )
    expected = np.zeros((6, 8), np.uint8)
    expected[0:4, 1:6] = 13  # 0.05 · 255 = 12.75
    expected[1:3, 2:5] = 191
    expected[1:3, 5] = expected[0, 2:5] = 64
    np.testing.assert_array_equal(out.masks[0, 0], expected)
    assert [t.dtype for t in out] == [torch.float32] * 2 + [torch.int32, torch.uint8, torch.int32]


def test_too_small_a_mask_is_none() -> None:
    features = torch.full((1, 1, 6, 8), -3.0)
    features[0, 0, 2, :4] = 3.0
    heads = torch.full((1, 4, 1), 3.0), torch.ones(1, 4, 1), features
    assert SoloTail((2,), (4,), 1, max_detections=1)(*heads).number.tolist() == [0]
    assert SoloTail((2,), (3,), 1, max_detections=1)(*heads).number.tolist() == [1]


def test_equal_scores_and_masks() -> None:
    """All cells tie and stay; each mask after the first is decayed once, by the first."""
    heads = random_heads(0, 0.0, kernel=1)
    heads.category[:] = 1.0
    out = make_tail(max_detections=CELLS * CLASSES)(*heads)
    per_class = int(out.number[0]) // CLASSES
    assert per_class == CELLS
    scores = out.scores[0, : int(out.number[0])].reshape(-1)
    best, rest = scores[:CLASSES], scores[CLASSES:]
    assert best.tolist() == pytest.approx([float(best[0])] * CLASSES)
    assert (rest / best[0]).tolist() == pytest.approx([float(np.exp(-2.0))] * len(rest), rel=1e-5)


def test_of_too_many_pairs_those_of_the_best_scores_take_part() -> None:
    heads = random_heads(5, 3.0, kernel=1)
    heads.features[:] = 1.0
    out = make_tail(max_detections=4, candidates=4)(*heads)
    scores = torch.cat(
        [peaks(heads.category[:, :16].sigmoid(), 4), peaks(heads.category[:, 16:].sigmoid(), 3)], dim=1
    )
    best = scores.flatten().topk(4).values
    assert out.scores[0, 0] == pytest.approx(float(best[0]) * float(torch.tensor(4.0).sigmoid()), rel=1e-5)
    assert int(out.number[0]) == 4


def test_pictures_of_a_batch_do_not_touch() -> None:
    heads = random_heads(11, -1.0, batch=3)
    tail = make_tail()
    together = tail(*heads)
    for b in range(3):
        alone = tail(*(t[b : b + 1] for t in heads))
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_[b])


def test_points_nms_looks_up_and_left() -> None:
    scores = torch.tensor([[0.5, 0.6, 0.0], [0.5, 0.55, 0.7], [0.05, 0.3, 0.7]]).reshape(1, 9, 1)
    expected = [[0.5, 0.6, 0.0], [0.5, 0.0, 0.7], [0.0, 0.0, 0.7]]
    assert peaks(scores, 3).reshape(3, 3).tolist() == pytest.approx(np.array(expected))


@settings(deadline=None, max_examples=30)
@given(kind=st.sampled_from(list(DRAWING)), seed=st.integers(0, 10**6))
def test_chosen_cells_have_the_masks_that_they_have_among_all(kind: str, seed: int) -> None:
    heads = random_mask_heads(kind, seed)
    cells = torch.randint(CELLS, (1, 7), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(DRAWING[kind](cells, *heads)[0], masks_of_all_cells(kind, heads)[cells[0]])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), block=st.sampled_from([1, 2, 5, 12]))
def test_matrix_nms(seed: int, n: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    soft = rng.choice([0.2, 0.8], (n, 30), p=[0.4, 0.6]).astype(np.float32)
    soft[rng.random(n) < 0.2] = 0  # empty ones
    classes = rng.integers(0, 2, n)
    found = [Found(0.0, int(c), s) for c, s in zip(classes, soft, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solo_tail, "BLOCK", block)
        factor = decay((torch.from_numpy(soft)[None] > 0.5).float(), torch.from_numpy(classes)[None])
    np.testing.assert_allclose(factor[0], factors(found), rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_box_and_crop_are_those_of_the_drawn_mask(seed: int) -> None:
    """Drawn 9 times finer: the crop changes no pixel, and the box ends where the pixels do."""
    fine = 9
    soft = torch.rand(1, 1, *MASK_HW, generator=torch.Generator().manual_seed(seed)) * 0.7
    x, y = extent(soft), extent(soft.transpose(2, 3))
    near = y.near.unsqueeze(-1) & x.near.unsqueeze(-2)
    drawn, cropped = (
        interpolate(m, size=(MASK_HW[0] * fine, MASK_HW[1] * fine), mode="bilinear")[0, 0] > 0.5
        for m in (soft, soft * near)
    )
    if not bool((soft > 0.5).any()):
        return
    assert torch.equal(drawn, cropped)
    for axis, ends, size in ((0, x, MASK_HW[1]), (1, y, MASK_HW[0])):
        pixels = drawn.any(axis).nonzero()
        assert float(ends.low) * size * fine == pytest.approx(int(pixels.min()), abs=1)
        assert float(ends.high) * size * fine == pytest.approx(int(pixels.max()) + 1, abs=1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_detections": 0}, "max_detections 0: must be 1…75"),
        ({"max_detections": 76}, "max_detections 76: must be 1…75"),
        ({"score_threshold": 1.0}, "score_threshold 1.0: must be 0…1"),
    ],
)
def test_options_that_cannot_be_met(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ExportError, match=text):
        make_tail(**options)


def test_threshold_uncounts_the_rest() -> None:
    heads = random_heads(3, 2.0)
    everything: InstanceTensors = make_tail()(*heads)
    cut = float(everything.scores[0, 2])
    out = make_tail(score_threshold=cut)(*heads)
    assert out.number.tolist() == [2]
    assert torch.equal(out.scores[0, :2], everything.scores[0, :2])


def test_classes_left_out_change_nothing_for_the_others() -> None:
    category, *heads = random_heads(5, -1.0)
    everything = make_tail(max_detections=CELLS * CLASSES)(category, *heads)
    chosen = make_tail(max_detections=CELLS, columns=(CLASSES - 1,))(category, *heads)

    last = everything.classes[0] == CLASSES - 1
    last &= everything.scores[0] > 0
    count = int(last.sum())
    assert chosen.number.tolist() == [count]
    assert count > 0
    assert chosen.classes.unique().tolist() == [0]
    torch.testing.assert_close(chosen.scores[0, :count], everything.scores[0, last])
    assert chosen.masks[0, :count].equal(everything.masks[0, last])
