"""Key colours: every object is painted in one that nothing else has; none of it may come out."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.masks import Masks
from streamseg.redaction import Redactor, Unreleased
from streamseg.structures import Frame, Instances, Result, Tracks, TrackState

SEEDS = 20
HW = (90, 160)


@pytest.fixture
def scene(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("redaction_scene")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_key_coloured_pixel_comes_out(scene, seed):
    """The faults in turn; each with 1,000 seeds: benchmarks/redaction.py."""
    fault = scene.FAULTS[1 + seed % 8]
    leak, out = scene.run_stage(seed, fault, 50)
    assert leak.painted > 10_000
    assert (leak.key_pixels, leak.frames) == (0, 50), fault
    assert [result.frame.index for result in out] == list(range(50))
    assert leak.filled < 50


def test_the_count_sees_a_leak(scene):
    """Without looking ahead, what a detector misses at its birth comes out."""
    leak, _ = scene.run_stage(5, "miss 50 %", 40, delay_s=0.001)
    assert leak.key_pixels > 100
    assert leak.key_frames > 0


def item_of(
    index, boxes, *, classes=None, scores=None, ids=None, names=("person", "dog"), shown=None, t=None
):
    """Detections with masks that fill their boxes; `shown`: rows that have a track or score enough."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(boxes)
    soft = np.zeros((n, 45, 80), np.uint8)
    for k, (x1, y1, x2, y2) in enumerate((boxes / 2).astype(int).tolist()):
        soft[k, y1:y2, x1:x2] = 255
    found = Instances(
        boxes,
        np.array(scores or [0.9] * n, np.float32),
        np.array(classes or [0] * n, np.int32),
        Masks(soft, (2.0, 2.0), HW),
    )
    rows = np.arange(n) if shown is None else np.array(shown, np.intp)
    kept = found.select(rows)
    if ids is None:
        tracks = Tracks.untracked(kept)
    else:
        states = np.full(len(rows), TrackState.CONFIRMED, np.uint8)
        tracks = Tracks(np.array(ids, np.int64), np.zeros(len(rows), np.float32), states, kept.xyxy.copy())
    image = np.full((*HW, 3), 200, np.uint8)
    frame = Frame(image, index, index / 25 if t is None else t, 0, "cam")
    return Unreleased(Result(frame, kept, tracks, names), found, 0)


def redacted(items, classes=("person",), **more):
    redactor = Redactor(classes, **({"delay_s": 0.5} | more))
    out = [result for item in items for result in redactor.take(item)]
    return [*out, *redactor.finish()]


def hidden_at(result, box):
    x1, y1, x2, y2 = box
    return bool((result.frame.image[y1:y2, x1:x2] == 40).all())


BOX, OTHER = [40, 20, 60, 70], [100, 20, 120, 70]


def test_what_is_not_shown_is_covered_from_its_first_frame():
    """Below the score of what is shown, and without a track."""
    out = redacted([item_of(k, [BOX], scores=[0.12], shown=[]) for k in range(40)])
    assert all(hidden_at(result, BOX) for result in out)
    assert out[20].redaction.covered == {"person": 1}
    assert out[20].redaction.filled is None


def test_records_hold_nothing_of_what_is_covered_nor_of_its_double():
    out = redacted(
        [
            item_of(k, [BOX, BOX, OTHER], classes=[0, 1, 1], scores=[0.2, 0.9, 0.8], shown=[1, 2])
            for k in range(30)
        ]
    )
    assert out[15].instances.xyxy.tolist() == [OTHER]
    assert out[0].redaction.filled == "start"
    assert len(out[0].instances) == len(out[0].tracks) == 0
    assert out[15].stuff is None
    assert hidden_at(out[15], BOX)
    assert not hidden_at(out[15], OTHER)


def test_once_a_person_always_one():
    """A track that a detection called a person once stays covered under whatever name."""
    names = [0 if k == 3 else 1 for k in range(40)]
    out = redacted([item_of(k, [BOX], classes=[names[k]], ids=[5]) for k in range(40)])
    assert all(hidden_at(result, BOX) for result in out)
    assert all(not len(result.instances) for result in out)


def test_a_revealed_track_is_shown_and_recorded_when_certain():
    out = redacted([item_of(k, [BOX, OTHER], ids=[7, 8]) for k in range(80)], reveal=[7])
    assert hidden_at(out[20], BOX)
    shown = out[40]
    assert shown.redaction.revealed == (7,)
    assert not (shown.frame.image[20:70, 40:60] == 40).any()
    assert shown.tracks.id.tolist() == [7]
    assert hidden_at(shown, OTHER)


def test_frames_go_out_in_order_after_the_delay():
    redactor = Redactor(["person"], delay_s=0.4)
    gone = [[result.frame.index for result in redactor.take(item_of(k, [BOX]))] for k in range(14)]
    assert gone == [[]] * 10 + [[0], [1], [2], [3]]
    assert [result.frame.index for result in redactor.finish()] == list(range(4, 14))


def test_the_end_of_a_source_is_filled_as_nothing_is_known_after_it():
    out = redacted([item_of(k, [BOX]) for k in range(40)])
    assert [result.redaction.filled for result in out[-11:]] == [None, *["nothing known after it"] * 10]


def test_a_delay_that_memory_does_not_allow_is_refused_at_the_first_frame():
    redactor = Redactor(["person"], delay_s=10, memory_bytes=1 << 20, fps=25)
    with pytest.raises(
        ConfigError, match=r"redact.delay_s 10: 252 frames of 0.0 MB are more than redact.memory"
    ):
        list(redactor.take(item_of(0, [BOX])))


def test_what_memory_does_not_hold_goes_out_filled():
    out = redacted([item_of(k, [BOX]) for k in range(60)], delay_s=2, memory_bytes=20 * 90 * 160 * 3)
    assert len(out) == 60
    assert {result.redaction.filled for result in out[3:35]} == {"too little memory"}


def test_a_frame_of_another_size_begins_anew():
    small = [item_of(k, [BOX]) for k in range(30)]
    large = []
    for k in range(30, 60):
        image = np.full((100, 160, 3), 200, np.uint8)
        none = Instances.empty((100, 160))
        frame = Frame(image, k, k / 25, 0, "cam")
        large.append(Unreleased(Result(frame, none, Tracks.untracked(none), ("person", "dog")), none, 0))
    out = redacted([*small, *large])
    assert out[30].redaction.filled == "size changed"
    assert out[29].redaction.filled == "nothing known after it"
    assert out[35].redaction.filled is None
    assert out[35].frame.size_hw == (100, 160)
