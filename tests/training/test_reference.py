"""The published losses against the same arithmetic written a second time, in float64 NumPy, loop by loop."""

import numpy as np
import pytest
import torch

from streamseg.models.solo.solov2 import DynamicHeads
from streamseg.models.yolact.maskiou import MaskIouNet
from streamseg.models.yolact.yolact import RawHeads
from streamseg.training.losses import PUBLISHED, compute_losses
from streamseg.training.mixture import Batch
from streamseg.training.solo_losses import compute_solo_losses
from streamseg.training.solo_targets import assign, scale_ranges

CLASSES = 3
MASK_HW = (64, 64)
GRIDS = (9, 8, 6, 4, 3)
SOLO_HW = (128, 192)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def entropy(wanted, probability):
    """BCE as the original has it: logarithms are cut at −100."""
    with np.errstate(divide="ignore"):
        there, absent = np.log(probability), np.log(1 - probability)
    return -(wanted * np.maximum(there, -100) + (1 - wanted) * np.maximum(absent, -100))


def pictures(mask_hw, input_hw, seed):
    """Two pictures with three objects and one; masks with soft edges that fill most of their boxes."""
    rng = np.random.default_rng(seed)
    boxes = [
        np.array([[0.1, 0.1, 0.45, 0.5], [0.3, 0.4, 0.9, 0.95], [0.62, 0.05, 0.75, 0.16]]),
        np.array([[0.2, 0.3, 0.8, 0.7]]),
    ]
    classes = [np.array([0, 2, 0]), np.array([1])]
    height, width = mask_hw
    masks, segments, centres = [], [], []
    for picture in boxes:
        drawn = np.zeros((len(picture), height, width), np.uint8)
        half = np.zeros((len(picture), height // 2, width // 2), np.uint8)
        for maps in (drawn, half):
            for row, (x1, y1, x2, y2) in zip(maps, picture, strict=True):
                h, w = row.shape
                part = row[int(y1 * h) + 1 : int(y2 * h) - 1, int(x1 * w) + 1 : int(x2 * w) - 1]
                part[:] = rng.integers(90, 256, part.shape)
        masks.append(drawn)
        segments.append(half)
        middles = (picture[:, :2] + picture[:, 2:]) / 2 + rng.uniform(-0.03, 0.03, (len(picture), 2))
        centres.append(middles * input_hw[::-1])
    batch = Batch(
        images=torch.zeros(2, *input_hw, 3, dtype=torch.uint8),
        boxes=[torch.from_numpy(b).float() for b in boxes],
        classes=[torch.from_numpy(c) for c in classes],
        masks=[torch.from_numpy(m) for m in masks],
        segments=[torch.from_numpy(s) for s in segments],
        centres=[torch.from_numpy(c).float() for c in centres],
        ignored=[torch.tensor([[0.0, 0.8, 0.2, 1.0]]), torch.zeros(0, 4)],
        counted=torch.ones(2, CLASSES, dtype=torch.bool),
        names=("a", "b"),
    )
    return batch, boxes, classes


# -- YOLACT ----------------------------------------------------------------------------------------


def overlap(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h


def size(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def matched(priors, boxes, classes, crowds):
    """For each prior 1 + class, 0 or −1, and the object it looks at."""
    corners = np.concatenate([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], axis=1)
    iou = np.array([[overlap(b, p) / (size(b) + size(p) - overlap(b, p)) for p in corners] for b in boxes])
    best, row = iou.max(axis=0), iou.argmax(axis=0)
    free = iou.copy()
    for _ in boxes:
        k, prior = np.unravel_index(free.argmax(), free.shape)
        best[prior], row[prior] = 2, k
        free[k], free[:, prior] = -1, -1
    target = np.array(
        [classes[k] + 1 if b >= 0.5 else 0 if b < 0.4 else -1 for k, b in zip(row, best, strict=True)]
    )
    for p, corner in enumerate(corners):
        if target[p] == 0 and any(overlap(corner, c) / size(corner) > 0.7 for c in crowds):
            target[p] = -1
    return target, row


def yolact_reference(heads, segmentation, priors, batch, boxes, classes, judge):
    loc, conf, coeff, proto = (np.asarray(head, np.float64) for head in heads)
    mh, mw = MASK_HW
    conf_sum = box_sum = mask_sum = iou_sum = positives = 0
    for k, (truth, kinds) in enumerate(zip(boxes, classes, strict=True)):
        crowds = batch.ignored[k].double().numpy()
        target, row = matched(priors, truth, kinds, crowds)
        chosen = np.flatnonzero(target > 0)
        positives += len(chosen)
        log_sum = np.log(np.exp(conf[k]).sum(axis=1))
        hardness = np.where(target == 0, log_sum - conf[k][:, 0], -np.inf)
        negatives = [p for p in np.argsort(-hardness)[: 3 * len(chosen)] if target[p] == 0]
        for p in [*chosen, *negatives]:
            conf_sum += log_sum[p] - conf[k, p, target[p]]
        for p in chosen:
            x1, y1, x2, y2 = truth[row[p]]
            px, py, pw, ph = priors[p]
            offsets = [
                ((x1 + x2) / 2 - px) / (0.1 * pw),
                ((y1 + y2) / 2 - py) / (0.1 * ph),
                np.log((x2 - x1) / pw) / 0.2,
                np.log((y2 - y1) / ph) / 0.2,
            ]
            off = np.abs(loc[k, p] - offsets)
            box_sum += np.where(off < 1, 0.5 * off**2, off - 0.5).sum()
            wanted = batch.masks[k].numpy()[row[p]] > 128
            soft = sigmoid(proto[k] @ coeff[k, p])
            cropped = np.zeros(MASK_HW)
            for y in range(mh):
                for x in range(mw):
                    if x1 * mw - 1 <= x < x2 * mw + 1 and y1 * mh - 1 <= y < y2 * mh + 1:
                        cropped[y, x] = soft[y, x]
            assert not (wanted & (cropped == 0)).any()
            mask_sum += entropy(wanted, cropped).sum() / ((x2 - x1) * mw) / ((y2 - y1) * mh)
            if wanted.sum() > 25:
                hard = cropped > 0.5
                iou = (hard & wanted).sum() / (hard | wanted).sum()
                with torch.no_grad():
                    said = judge(torch.from_numpy(cropped)[None])[0, kinds[row[p]]].item()
                off = abs(said - iou)
                iou_sum += 0.5 * off**2 if off < 1 else off - 0.5
    semantic = 0
    for k, (kinds, maps) in enumerate(zip(classes, np.asarray(segmentation, np.float64), strict=True)):
        for c in range(CLASSES):
            wanted = np.zeros(maps.shape[1:], bool)
            for kind, inside in zip(kinds, batch.segments[k].numpy(), strict=True):
                wanted |= (inside > 128) & (kind == c)
            semantic += entropy(wanted, sigmoid(maps[c])).sum() / wanted.size
    return {
        "conf": conf_sum / positives,
        "box": 1.5 * box_sum / positives,
        "mask": 6.125 * mask_sum / positives,
        "segmentation": semantic / len(boxes),
        "mask_iou": 25 * iou_sum / positives,
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_yolact(seed):
    rng = np.random.default_rng(seed)
    batch, boxes, classes = pictures(MASK_HW, (256, 256), seed)
    near = np.concatenate([*boxes, *boxes])
    centred = np.concatenate([(near[:, :2] + near[:, 2:]) / 2, near[:, 2:] - near[:, :2]], axis=1)
    others = np.concatenate([rng.uniform(0.1, 0.9, (150, 2)), rng.uniform(0.05, 0.4, (150, 2))], axis=1)
    priors = np.concatenate([centred * rng.uniform(0.85, 1.15, centred.shape), others])
    count = len(priors)
    heads = RawHeads(
        torch.from_numpy(rng.normal(0, 1.5, (2, count, 4))).float(),
        torch.from_numpy(rng.normal(0, 2, (2, count, 1 + CLASSES))).float(),
        torch.from_numpy(np.tanh(rng.normal(0, 1, (2, count, 5)))).float(),
        torch.from_numpy(np.abs(rng.normal(0, 1, (2, *MASK_HW, 5)))).float(),
    )
    segmentation = torch.from_numpy(rng.normal(0, 2, (2, CLASSES, 32, 32))).float()
    torch.manual_seed(seed)
    judge = MaskIouNet(CLASSES)

    losses = compute_losses(
        heads, segmentation, torch.from_numpy(priors).float(), batch, PUBLISHED, judge=judge
    )

    expected = yolact_reference(heads, segmentation, priors, batch, boxes, classes, judge.double())
    found = {name: loss.item() for name, loss in losses.items()}
    assert found == pytest.approx(expected, rel=2e-5)


def test_yolact_without_any_object_learns_no_negative():
    batch, _, _ = pictures(MASK_HW, (256, 256), 0)
    batch.boxes[:] = [torch.zeros(0, 4)] * 2
    batch.classes[:] = [torch.zeros(0, dtype=torch.int64)] * 2
    heads = RawHeads(
        torch.ones(2, 9, 4, requires_grad=True),
        torch.ones(2, 9, 1 + CLASSES, requires_grad=True),
        torch.ones(2, 9, 5, requires_grad=True),
        torch.ones(2, *MASK_HW, 5, requires_grad=True),
    )
    judge = MaskIouNet(CLASSES)

    losses = compute_losses(
        heads, torch.zeros(2, CLASSES, 32, 32), torch.full((9, 4), 0.3), batch, PUBLISHED, judge
    )
    sum(losses.values()).backward()

    assert {name for name, loss in losses.items() if loss.item()} == {"segmentation"}
    for part in (*heads, *judge.parameters()):
        assert part.grad is not None  # processes that share gradients wait for all of them
        assert not part.grad.any()


# -- SOLOv2 ----------------------------------------------------------------------------------------


def cells_of(boxes, centres):
    """(level, row, column, object) of every cell that answers for an object."""
    h, w = SOLO_HW
    short = min(SOLO_HW)
    ranges = [(1, short / 8), (short / 16, short / 4), (short / 8, short / 2), (short / 4, short)]
    ranges.append((short / 2, np.inf))
    for level, (grid, (least, most)) in enumerate(zip(GRIDS, ranges, strict=True)):
        for k, ((x1, y1, x2, y2), (cx, cy)) in enumerate(zip(boxes, centres, strict=True)):
            bw, bh = (x2 - x1) * w, (y2 - y1) * h
            if not least <= np.sqrt(bw * bh) <= most:
                continue
            own = np.floor(cy / h * grid), np.floor(cx / w * grid)
            for row in range(grid):
                for column in range(grid):
                    near = abs(row - own[0]) <= 1 and abs(column - own[1]) <= 1
                    # The cell's square touches the central region.
                    top, left = row * h / grid, column * w / grid
                    tall = top <= cy + 0.1 * bh and top + h / grid > cy - 0.1 * bh
                    wide = left <= cx + 0.1 * bw and left + w / grid > cx - 0.1 * bw
                    if near and tall and wide:
                        yield level, row, column, k


def solo_reference(heads, batch, boxes, classes):
    category, kernel, features = (np.asarray(head, np.float64) for head in heads)
    starts = np.cumsum([0, *(grid * grid for grid in GRIDS)])
    dice, focal, positives = [], 0.0, 0
    for k, (truth, kinds) in enumerate(zip(boxes, classes, strict=True)):
        labels = {}
        for level, row, column, which in cells_of(truth, batch.centres[k].double().numpy()):
            cell = starts[level] + row * GRIDS[level] + column
            labels[cell] = kinds[which]
            soft = sigmoid(np.tensordot(kernel[k, cell], features[k], 1))
            wanted = batch.masks[k].numpy()[which] >= 127.5
            down = (soft**2).sum() + 0.001 + wanted.sum() + 0.001
            dice.append(1 - 2 * (soft * wanted).sum() / down)
        positives += len(labels)
        for cell, logits in enumerate(category[k]):
            for c, logit in enumerate(logits):
                p = sigmoid(logit)
                there = labels.get(cell) == c
                focal -= 0.25 * (1 - p) ** 2 * np.log(p) if there else 0.75 * p**2 * np.log(1 - p)
    return {"category": focal / (positives + 1), "mask": 3 * np.mean(dice)}, len(dice)


@pytest.mark.parametrize("seed", [0, 1])
def test_solov2(seed):
    rng = np.random.default_rng(seed)
    batch, boxes, classes = pictures((32, 48), SOLO_HW, seed)
    cells = sum(grid * grid for grid in GRIDS)
    heads = DynamicHeads(
        torch.from_numpy(rng.normal(-1, 2, (2, cells, CLASSES))).float(),
        torch.from_numpy(rng.normal(0, 1, (2, cells, 6))).float(),
        torch.from_numpy(rng.normal(0, 1, (2, 6, 32, 48))).float(),
    )

    losses = compute_solo_losses(heads, batch, GRIDS, SOLO_HW)

    expected, drawn = solo_reference(heads, batch, boxes, classes)
    assert drawn > 10
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected, rel=1e-5)


def test_solov2_without_any_object():
    batch, _, _ = pictures((32, 48), SOLO_HW, 0)
    batch.boxes[:] = [torch.zeros(0, 4)] * 2
    batch.classes[:] = [torch.zeros(0, dtype=torch.int64)] * 2
    batch.centres[:] = [torch.zeros(0, 2)] * 2
    cells = sum(grid * grid for grid in GRIDS)
    heads = DynamicHeads(
        torch.zeros(2, cells, CLASSES, requires_grad=True),
        torch.ones(2, cells, 6, requires_grad=True),
        torch.ones(2, 6, 32, 48, requires_grad=True),
    )

    losses = compute_solo_losses(heads, batch, GRIDS, SOLO_HW)
    sum(losses.values()).backward()

    assert losses["mask"].item() == 0
    assert losses["category"].item() == pytest.approx(2 * cells * CLASSES * 0.75 * 0.25 * np.log(2), rel=1e-5)
    assert not heads.kernel.grad.any()


def test_published_ranges():
    full, light = scale_ranges((768, 1344)), scale_ranges((448, 768))

    assert full[:4] == ((1, 96), (48, 192), (96, 384), (192, 768))
    assert light[:4] == ((1, 56), (28, 112), (56, 224), (112, 448))
    assert (full[4][0], light[4][0]) == (384, 224)


def test_a_cell_of_two_objects_draws_both_and_is_of_the_last_class():
    boxes = torch.tensor([[0.25, 0.25, 0.75, 0.75], [0.26, 0.26, 0.76, 0.76]])
    centres = torch.tensor([[96.0, 64.0], [97.0, 65.0]])

    found = assign(boxes, torch.tensor([1, 0]), centres, CLASSES, (1, 1, 1, 1, 1), SOLO_HW)

    # √(96·64) = 78 pixels of a short side of 128: from the third range on.
    assert found.labels.tolist() == [3, 3, 3, 0, 0]
    assert sorted(zip(found.cells.tolist(), found.objects.tolist(), strict=True)) == [
        *((3, 0), (3, 1)),
        *((4, 0), (4, 1)),
    ]
