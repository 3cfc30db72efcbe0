"""The tail's variants against plain loops: across classes, mmdetection's selection, YOLACT++'s judge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.errors import ExportError  # noqa: E402
from streamseg.models.instance_tensors import InstanceTensors  # noqa: E402
from streamseg.models.yolact.catalog import build_model  # noqa: E402
from streamseg.models.yolact.config import DBOLYA, MMDETECTION, Selection  # noqa: E402
from streamseg.models.yolact.tail import YolactTail, decode, yolact_tail  # noqa: E402

Array = NDArray[Any]


def run(probabilities: Array, boxes: Array, **options: Any) -> InstanceTensors:
    """One image: probabilities (P, 1 + C) with background, boxes (P, 4) cx cy w h as priors."""
    with np.errstate(divide="ignore"):
        conf = torch.tensor(np.log(probabilities), dtype=torch.float32)[None]
    priors = torch.tensor(boxes, dtype=torch.float32)
    tail = YolactTail(priors, conf.shape[2] - 1, **options)
    count = len(priors)
    result: InstanceTensors = tail(
        torch.zeros(1, count, 4), conf, torch.ones(1, count, 1), torch.full((1, 4, 4, 1), 3.0)
    )
    return result


def iou(a: Array, b: Array) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return float(inter / union) if union > 0 else 0.0


def distinct_scores(count: int, classes: int, seed: int) -> Array:
    """(P, 1 + C) probabilities of which no two are equal, from weak to certain."""
    rng = np.random.default_rng(seed)
    raw = np.exp(rng.normal(0, 2, (count, classes + 1)))
    return raw / raw.sum(1, keepdims=True)


def corners(boxes: Array) -> Array:
    return np.column_stack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Array, Array]:
    """Probabilities, and boxes on a coarse grid: equal, flat and partly outside ones among them."""
    count, classes = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    side, centre = st.sampled_from([0.0, 0.125, 0.25, 0.5]), st.sampled_from([0.0, 0.25, 0.375, 0.5, 1.0])
    boxes = draw(st.lists(st.tuples(centre, centre, side, side), min_size=count, max_size=count))
    return distinct_scores(count, classes, draw(st.integers(0, 10_000))), np.array(boxes)


def found_triples(out: InstanceTensors) -> list[tuple[float, int, list[float]]]:
    count = int(out.number[0])
    return [
        (pytest.approx(float(out.scores[0, k]), abs=1e-6), int(out.classes[0, k]), out.boxes[0, k].tolist())
        for k in range(count)
    ]


@settings(deadline=None, max_examples=100)
@given(scenes(), st.integers(1, 12))
def test_across_classes_as_a_plain_loop(scene: tuple[Array, Array], room: int) -> None:
    """Each prior has its best class only; whatever stronger one it overlaps, of any class, removes it."""
    probabilities, boxes = scene
    room = min(room, len(boxes))
    scores, where = probabilities[:, 1:], corners(boxes)
    order = sorted((i for i in range(len(boxes)) if scores[i].max() > 0.05), key=lambda i: -scores[i].max())
    kept = [j for n, j in enumerate(order) if all(iou(where[i], where[j]) <= 0.5 for i in order[:n])]

    out = run(probabilities, boxes, max_detections=room, cross_class=True)

    expected = [(float(scores[i].max()), int(scores[i].argmax()), where[i].tolist()) for i in kept[:room]]
    assert found_triples(out) == expected


@settings(deadline=None, max_examples=100)
@given(scenes(), st.integers(1, 12), st.data())
def test_mmdetections_selection_as_a_plain_loop(
    scene: tuple[Array, Array], room: int, data: st.DataObject
) -> None:
    """The best of each level take part, weak or not; cut boxes are compared; weak results are dropped."""
    probabilities, boxes = scene
    split = data.draw(st.integers(0, len(boxes)))
    limit = data.draw(st.integers(1, 6))
    levels = [n for n in (split, len(boxes) - split) if n]
    scores, where = probabilities[:, 1:], corners(boxes).clip(0, 1)
    taking_part, start = [], 0
    for length in levels:
        rows = range(start, start + length)
        taking_part += sorted(rows, key=lambda i: -scores[i].max())[:limit]
        start += length
    expected = []
    for c in range(scores.shape[1]):
        row = sorted(taking_part, key=lambda i: -scores[i, c])
        for n, j in enumerate(row):
            if scores[j, c] > 0.05 and all(iou(where[i], where[j]) <= 0.5 for i in row[:n]):
                expected.append((float(scores[j, c]), c, where[j].tolist()))
    expected.sort(reverse=True)
    room = min(room, scores.shape[1] * len(taking_part))

    selection = Selection(0.0, 0.05, limit, math.log(1000 / 16), clip=True)
    out = run(probabilities, boxes, max_detections=room, selection=selection, levels=levels)

    assert found_triples(out) == expected[:room]


def test_mmdetection_limits_how_far_a_box_may_grow() -> None:
    priors = torch.tensor([[0.5, 0.5, 0.001, 0.004]])
    loc = torch.tensor([[[0.0, 0.0, 100.0, -100.0]]])

    x1, y1, x2, y2 = (plane.item() for plane in decode(loc, priors, MMDETECTION))
    assert x2 - x1 == pytest.approx(0.001 * 1000 / 16)
    assert y2 - y1 == pytest.approx(0.004 * 16 / 1000, abs=1e-7)
    assert decode(loc, priors, DBOLYA).x2.item() > 1e4


def test_mmdetection_cuts_boxes_at_the_border() -> None:
    x1, y1, x2, y2 = decode(torch.zeros(1, 1, 4), torch.tensor([[0.0, 1.0, 0.5, 0.5]]), MMDETECTION)
    assert [plane.item() for plane in (x1, y1, x2, y2)] == [0, 0.75, 0.25, 1]


def test_the_threshold_of_a_selection_is_said() -> None:
    assert yolact_tail(build_model("mmdet_yolact_r50")).score_threshold == 0.05
    assert yolact_tail(build_model("mmdet_yolact_r50"), score_threshold=0.3).score_threshold == 0.3


def test_a_selection_per_level_needs_the_levels() -> None:
    with pytest.raises(ValueError, match="levels"):
        YolactTail(torch.zeros(3, 4), 2, selection=MMDETECTION, levels=(2, 2))


def test_across_classes_has_one_list() -> None:
    with pytest.raises(ExportError, match=r"must be 1…3 \(all classes together × 3 candidates\)"):
        YolactTail(torch.zeros(3, 4), 2, max_detections=4, cross_class=True)


class Judge(torch.nn.Module):
    """Says the given factors of a class, whatever the mask, and keeps the masks."""

    def __init__(self, factors: list[float]) -> None:
        super().__init__()
        self.factors = torch.tensor(factors)
        self.seen: Any = None

    def forward(self, masks: Any) -> Any:
        self.seen = masks
        return self.factors.expand(len(masks), -1)


APART = np.array([[0.25, 0.5, 0.25, 0.5], [0.75, 0.5, 0.25, 0.5]])


def test_the_judge_multiplies_and_reorders() -> None:
    """0.9 · 0.5 falls behind 0.6 · 0.9; boxes, classes and masks move along."""
    judge = Judge([0.5, 0.9])
    out = run(np.array([[0.1, 0.9, 0.0], [0.4, 0.0, 0.6]]), APART, max_detections=2, judge=judge)

    assert out.scores[0].tolist() == pytest.approx([0.54, 0.45])
    assert out.classes[0].tolist() == [1, 0]
    assert out.boxes[0, :, 0].tolist() == [0.625, 0.125]
    assert out.masks[0, 0, 1].tolist() == [0, 0, 243, 243]  # sigmoid(3) · 255; box from 2.5 to 3.5, ± 1
    assert out.masks[0, 1, 1].tolist() == [243, 243, 243, 0]
    assert judge.seen.shape == (2, 4, 4)
    assert judge.seen.max().item() == pytest.approx(1 / (1 + math.exp(-3)))
    assert judge.seen[0, 1, 3] == 0, "the judge sees masks cut at their box"


def test_the_threshold_is_held_against_the_product() -> None:
    out = run(
        np.array([[0.1, 0.9, 0.0], [0.4, 0.0, 0.6]]),
        APART,
        max_detections=2,
        judge=Judge([0.5, 0.9]),
        score_threshold=0.5,
    )

    assert out.number.tolist() == [1]
    assert out.scores[0].tolist() == pytest.approx([0.54, 0])
    assert not out.masks[0, 1].any()
    assert not out.boxes[0, 1].any()


def test_a_worthless_mask_is_not_counted() -> None:
    out = run(np.array([[0.1, 0.9, 0.0]]), APART[:1], max_detections=2, judge=Judge([0.0, 1.0]))
    assert out.number.tolist() == [0]


def test_images_of_a_batch_are_reordered_each_by_itself() -> None:
    conf = torch.tensor([[[0.1, 0.9, 0.0], [0.4, 0.0, 0.6]], [[0.4, 0.0, 0.6], [0.95, 0.03, 0.02]]]).log()
    tail = YolactTail(torch.tensor(APART, dtype=torch.float32), 2, max_detections=2, judge=Judge([0.5, 0.9]))

    out = tail(torch.zeros(2, 2, 4), conf, torch.ones(2, 2, 1), torch.full((2, 4, 4, 1), 3.0))

    assert out.scores[0].tolist() == pytest.approx([0.54, 0.45])
    assert out.scores[1].tolist() == pytest.approx([0.54, 0])
    assert out.masks[1, 0, 1].tolist() == [243, 243, 243, 0]


def test_one_half_is_not_inside() -> None:
    """Where no prototype speaks, the probability is one half: the original's mask is empty there."""
    priors = torch.tensor([[0.5, 0.5, 1.0, 1.0]])
    conf = torch.tensor([[[0.1, 0.9]]]).log()
    tail = YolactTail(priors, 1, max_detections=1)
    out = tail(torch.zeros(1, 1, 4), conf, torch.ones(1, 1, 1), torch.zeros(1, 4, 4, 1))
    assert out.masks.unique().tolist() == [127]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_classes_left_out_change_nothing_for_the_others(seed: int) -> None:
    """Their probability is not shared out among the rest: what is mostly something else stays weak."""
    scores, rng = distinct_scores(12, 4, seed), np.random.default_rng(seed)
    boxes = np.column_stack([rng.uniform(0, 1, (12, 2)), rng.uniform(0.1, 0.5, (12, 2))])
    everything = run(scores, boxes, max_detections=40)
    chosen = run(scores, boxes, max_detections=24, columns=(3, 1))

    def found(out: InstanceTensors, names: dict[int, int]) -> Array:
        rows = zip(out.scores[0].tolist(), out.classes[0].tolist(), out.boxes[0].tolist(), strict=True)
        # Below 0.05 a box counts if any class has more than that there: then a class left out matters.
        return np.array([(s, names[c], *box) for s, c, box in rows if s > 0.05 and c in names])

    np.testing.assert_allclose(found(chosen, {0: 3, 1: 1}), found(everything, {3: 3, 1: 1}), rtol=1e-5)


def test_the_judge_speaks_of_the_classes_looked_for() -> None:
    out = run(
        np.array([[0.1, 0.9, 0.0], [0.4, 0.0, 0.6]]),
        APART,
        max_detections=2,
        judge=Judge([0.5, 0.9]),
        columns=(1,),
    )

    assert out.number.tolist() == [1]
    assert out.scores[0].tolist() == pytest.approx([0.54, 0])
    assert out.classes[0].tolist() == [0, 0]
