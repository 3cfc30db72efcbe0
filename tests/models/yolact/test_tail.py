"""The tail against values worked out by hand, a plain loop, and the published implementation's output."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.errors import ExportError  # noqa: E402
from streamseg.models.instance_tensors import InstanceTensors  # noqa: E402
from streamseg.models.yolact import tail as tail_module  # noqa: E402
from streamseg.models.yolact.tail import YolactTail, decode  # noqa: E402

Array = NDArray[Any]
FULL_BOX = (0.5, 0.5, 1.0, 1.0)


def run(
    probabilities: Array, priors: Array, *, loc: Array | None = None, proto: Any = None, **options: Any
) -> InstanceTensors:
    """One image: probabilities (P, 1 + C) with background, priors (P, 4), one mask coefficient of 1."""
    with np.errstate(divide="ignore"):
        conf = torch.tensor(np.log(probabilities), dtype=torch.float32)[None]
    p = torch.tensor(priors, dtype=torch.float32)
    offsets = torch.zeros(1, len(p), 4) if loc is None else torch.tensor(loc, dtype=torch.float32)[None]
    tail = YolactTail(p, conf.shape[2] - 1, **options)
    prototypes = torch.ones(1, 4, 4, 1) if proto is None else proto
    result: InstanceTensors = tail(offsets, conf, torch.ones(1, len(p), 1), prototypes)
    return result


def test_decode_follows_the_variances_without_clamps() -> None:
    priors = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    loc = torch.tensor([[[1.0, -2.0, math.log(2) / 0.2, math.log(0.5) / 0.2], [0.0, 0.0, 20.0, 0.0]]])
    x1, y1, x2, y2 = (plane[0].tolist() for plane in decode(loc, priors.expand(2, 4)))
    assert (x1[0], y1[0], x2[0], y2[0]) == pytest.approx((0.52 - 0.2, 0.42 - 0.1, 0.52 + 0.2, 0.42 + 0.1))
    assert x2[1] - x1[1] == pytest.approx(0.2 * math.exp(4), rel=1e-5)  # 10.9 wide: not clamped


def test_one_detection_by_hand() -> None:
    """Soft mask sigmoid(2) = 0.8808 of 256 steps → 225, in the box's cells 1…2 and one more on each side."""
    out = run(
        np.array([[0.4, 0.0, 0.6]]),
        np.array([[0.5, 0.5, 0.25, 0.5]]),
        proto=torch.full((1, 8, 8, 1), 2.0),
        max_detections=2,
    )
    assert out.number.tolist() == [1]
    assert out.scores[0].tolist() == pytest.approx([0.6, 0.0])
    assert out.classes.tolist() == [[1, 0]]
    assert out.boxes[0, 0].tolist() == pytest.approx([0.375, 0.25, 0.625, 0.75])
    assert out.boxes[0, 1].tolist() == [0, 0, 0, 0]
    expected = np.zeros((8, 8), np.uint8)
    expected[1:7, 2:6] = 225  # rows [2 − 1, 6 + 1), columns [3 − 1, 5 + 1)
    np.testing.assert_array_equal(out.masks[0, 0].numpy(), expected)
    assert out.masks[0, 1].sum() == 0
    assert [t.dtype for t in out] == [torch.float32] * 2 + [torch.int32, torch.uint8, torch.int32]


def test_priors_beyond_the_most_that_compete_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    count, strong = tail_module.MOST_ROWS + 1000, 900
    foreground = rng.uniform(0, 0.04, (count, 4))
    foreground[rng.choice(count, strong, replace=False)] *= 5
    probabilities = np.column_stack([1 - foreground.sum(axis=1), foreground])
    priors = np.column_stack([rng.uniform(0.1, 0.9, (count, 2)), rng.uniform(0.02, 0.3, (count, 2))])

    limited = run(probabilities, priors, max_detections=100)
    monkeypatch.setattr(tail_module, "MOST_ROWS", count)
    unlimited = run(probabilities, priors, max_detections=100)

    assert limited.number.tolist() == [100]
    for name, one, other in zip(InstanceTensors._fields, limited, unlimited, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=name)


def test_nothing_but_background() -> None:
    out = run(np.array([[0.95, 0.03, 0.02]] * 3), np.array([FULL_BOX] * 3), max_detections=4)
    assert out.number.tolist() == [0]
    assert all(int(t.count_nonzero()) == 0 for t in out)


def test_weak_class_of_a_strong_prior_survives_as_published() -> None:
    """A prior takes part when its best class exceeds 0.05; then its other classes do too, at any score."""
    out = run(np.array([[0.1, 0.88, 0.02]]), np.array([FULL_BOX]), max_detections=2)
    assert out.scores[0].tolist() == pytest.approx([0.88, 0.02])
    assert out.classes.tolist() == [[0, 1]]


def test_score_threshold_uncounts_the_rest() -> None:
    out = run(np.array([[0.1, 0.88, 0.02]]), np.array([FULL_BOX]), max_detections=2, score_threshold=0.05)
    assert out.number.tolist() == [1]
    assert out.scores[0].tolist() == pytest.approx([0.88, 0.0])
    assert out.masks[0, 1].sum() == 0


def test_removed_box_still_suppresses() -> None:
    """The approximation of Fast NMS: B falls to A, and C falls to B although A would spare it."""
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    priors = np.array([[x, 0.5, 0.4, 0.4] for x in (0.3, 0.4, 0.5)])  # neighbours overlap by IoU 0.6
    out = run(probabilities, priors, max_detections=3)
    assert out.number.tolist() == [1]
    assert out.scores[0, 0].item() == pytest.approx(0.9)


def test_iou_of_one_half_is_kept() -> None:
    """Two boxes of the same height, 2 and 1 wide, one within the other: IoU exactly 0.5, not above."""
    priors = np.array([[0.5, 0.5, 0.5, 0.5], [0.375, 0.5, 0.25, 0.5]])
    out = run(np.array([[0.1, 0.9], [0.2, 0.8]]), priors, max_detections=2)
    assert out.number.tolist() == [2]


def test_weak_priors_are_set_aside_before_top_k(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two weak priors lead class 1 among all priors; only after removing them does the third come in."""
    monkeypatch.setattr(tail_module, "TOP_PER_CLASS", 1)
    probabilities = np.array([[0.951, 0.001, 0.048], [0.5, 0.49, 0.01]])
    priors = np.array([[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1]])
    out = run(probabilities, priors, max_detections=2)
    assert out.scores[0].tolist() == pytest.approx([0.49, 0.01])
    assert out.boxes[0, 1].tolist() == pytest.approx([0.75, 0.75, 0.85, 0.85])


def test_images_of_a_batch_do_not_mix() -> None:
    priors = torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]])
    conf = torch.tensor([[[0.1, 0.9], [0.9, 0.1]], [[0.96, 0.04], [0.3, 0.7]]]).log()
    coeff = torch.tensor([[[1.0], [1.0]], [[1.0], [-1.0]]])
    tail = YolactTail(priors, 1, max_detections=2)
    out = tail(torch.zeros(2, 2, 4), conf, coeff, torch.full((2, 2, 4, 1), 3.0))
    assert out.number.tolist() == [2, 1]
    assert out.scores.flatten().tolist() == pytest.approx([0.9, 0.1, 0.7, 0.0])
    assert out.masks[1, 0, 0].tolist() == [0, 12, 12, 12]  # sigmoid(−3) · 255 = 12.1; box from column 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_detections": 0}, r"max_detections 0: must be 1…6 \(2 classes × 3 candidates\)"),
        ({"max_detections": 7}, "max_detections 7"),
        ({"max_detections": 6, "score_threshold": 1.0}, "score_threshold 1.0"),
    ],
)
def test_options_that_cannot_be_met(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ExportError, match=text):
        YolactTail(torch.zeros(3, 4), 2, **options)


def iou(a: Array, b: Array) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return float(inter / union) if union > 0 else 0.0


def survivors(scores: Array, boxes: Array, *, ties_suppress: bool) -> list[tuple[float, int, int]]:
    """(score, class, prior) that Fast NMS keeps, by a plain loop over pairs of priors of one class."""
    kept = []
    for c in range(scores.shape[1]):
        for j in np.flatnonzero(scores.max(1) > 0.05):
            stronger = [
                i
                for i in np.flatnonzero(scores.max(1) > 0.05)
                if scores[i, c] > scores[j, c] or (ties_suppress and i != j and scores[i, c] == scores[j, c])
            ]
            if all(iou(boxes[i], boxes[j]) <= 0.5 for i in stronger):
                kept.append((float(scores[j, c]), c, int(j)))
    return sorted(kept, reverse=True)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Array, Array]:
    """Probabilities (P, 1 + C) and priors (P, 4), from few values: equal scores, equal and flat boxes."""
    count, classes = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    level = st.sampled_from([0.01, 0.04, 0.2, 0.5, 1.0, 3.0])
    weights = draw(
        st.lists(st.lists(level, min_size=classes, max_size=classes), min_size=count, max_size=count)
    )
    side, centre = st.sampled_from([0.0, 0.125, 0.25, 0.5]), st.sampled_from([0.0, 0.25, 0.375, 0.5, 1.0])
    box = st.tuples(centre, centre, side, side)
    priors = draw(st.lists(box, min_size=count, max_size=count))
    raw = np.column_stack([np.ones(count), np.array(weights)])
    return raw / raw.sum(1, keepdims=True), np.array(priors)


@settings(deadline=None, max_examples=150)
@given(scenes(), st.integers(1, 9))
def test_tail_agrees_with_a_plain_loop(scene: tuple[Array, Array], room: int) -> None:
    """Equal scores may come in either order, so what is found lies between two bounds: whatever no box of
    equal or higher score overlaps must be there, and whatever a higher one overlaps must not."""
    probabilities, priors = scene
    classes = probabilities.shape[1] - 1
    room = min(room, classes * len(priors))
    out = run(probabilities, priors, max_detections=room)
    with np.errstate(divide="ignore"):
        scores = torch.tensor(np.log(probabilities), dtype=torch.float32).softmax(-1)[:, 1:].numpy()
    boxes = np.column_stack([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2])
    must = survivors(scores, boxes, ties_suppress=True)
    may = survivors(scores, boxes, ties_suppress=False)

    count = int(out.number[0])
    found = [
        (float(s), int(c), tuple(b))
        for s, c, b in zip(out.scores[0], out.classes[0], out.boxes[0].tolist(), strict=True)
    ][:count]
    assert min(len(must), room) <= count <= min(len(may), room)
    assert [f[0] for f in found] == sorted((f[0] for f in found), reverse=True)
    allowed = {(s, c, tuple(np.float32(boxes[p]).tolist())) for s, c, p in may}
    assert set(found) <= allowed
    last = found[-1][0] if count == room else -1.0
    missing = {(s, c, tuple(np.float32(boxes[p]).tolist())) for s, c, p in must if s > last} - set(found)
    assert not missing
    assert not out.masks[0, count:].any()


@pytest.mark.parametrize("top", [1, 2, 5])
def test_only_the_best_of_a_class_enter(monkeypatch: pytest.MonkeyPatch, top: int) -> None:
    monkeypatch.setattr(tail_module, "TOP_PER_CLASS", top)
    probabilities = np.array([[1 - s, s] for s in (0.3, 0.9, 0.5, 0.7, 0.6)])
    priors = np.array([[0.1 + 0.2 * i, 0.5, 0.1, 0.1] for i in range(5)])
    out = run(probabilities, priors, max_detections=top)
    assert out.scores[0].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5, 0.3][:top])


def test_blocks_of_the_comparison_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    priors = torch.rand(120, 4, generator=generator) * 0.5 + 0.1
    conf = torch.randn(2, 120, 4, generator=generator) * 3
    arguments = torch.randn(2, 120, 4, generator=generator), conf, torch.randn(2, 120, 5, generator=generator)
    proto = torch.rand(2, 9, 7, 5, generator=generator)
    expected = YolactTail(priors, 3, max_detections=300)(*arguments, proto)
    assert 10 < int(expected.number[0]) < 300
    for block in (1, 7, 200):
        monkeypatch.setattr(tail_module, "BLOCK", block)
        found = YolactTail(priors, 3, max_detections=300)(*arguments, proto)
        assert all(torch.equal(have, want) for have, want in zip(found, expected, strict=True))


def test_equals_the_published_detections(shared_dir: Path) -> None:
    """Fed with the original's raw heads: the same boxes, scores, classes; masks but for 8-bit rounding."""
    folder = shared_dir / "reference" / "yolact_resnet50"
    raw = np.load(folder / "raw_scene_a_640x480.npz")
    det = np.load(folder / "det_scene_a_640x480.npz")
    heads = [torch.from_numpy(raw[key])[None] for key in ("loc", "conf", "mask", "proto")]
    heads[1] = heads[1].clamp(min=1e-38).log()  # stored after softmax
    out = YolactTail(torch.from_numpy(raw["priors"]), 80)(*heads)
    np.testing.assert_array_equal(out.classes[0].numpy(), det["det_class"])
    np.testing.assert_allclose(out.scores[0].numpy(), det["det_score"], atol=1e-5)
    np.testing.assert_allclose(out.boxes[0].numpy(), det["det_box"], atol=1e-5)
    height, width = det["image_hw"]
    soft = torch.nn.functional.interpolate(
        out.masks.float() / 255, size=(height, width), mode="bilinear", align_corners=False
    )
    hard, want = (
        (soft[0] > 0.5).numpy(),
        np.unpackbits(det["masks_packed"], axis=-1)[..., :width].astype(bool),
    )
    areas = want.sum((1, 2))
    overlap = (hard & want).sum((1, 2)) / np.maximum((hard | want).sum((1, 2)), 1)
    assert (hard != want).sum() / areas.sum() < 2e-3
    assert overlap[areas > 500].min() > 0.99
