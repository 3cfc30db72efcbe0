"""Segmented → Result → rendered: what stages add, and that none changes what it was given."""

from __future__ import annotations

import numpy as np
import pytest

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.masks import Masks
from streamseg.overlay.painter import Painter
from streamseg.segmenter import Segmenter
from streamseg.streaming.follow import Follow
from streamseg.streaming.meter import SourceMeter
from streamseg.streaming.render import Render
from streamseg.streaming.segment import Segment
from streamseg.structures import Frame, Instances, Segmented, Stamps, Stuff
from streamseg.tracking.config import TrackerConfig


def segmented(scores: list[float], owner: list[int] | None = None) -> Segmented:
    n = len(scores)
    x = 20.0 * np.arange(n)
    xyxy = np.stack([x, np.full(n, 5.0), x + 15, np.full(n, 35.0)], 1).astype(np.float32)
    masks = Masks(np.full((n, 4, 10), 255, np.uint8), (10.0, 10.0), (40, 100))
    frame = Frame(np.zeros((40, 100, 3), np.uint8), 0, 0.0, 0, "cam")
    instances = Instances(xyxy, np.array(scores, np.float32), np.zeros(n, np.int32), masks)
    owners = None if owner is None else np.array([owner], np.uint8)
    kind = np.zeros((1, len(owner or [0])), np.uint8)
    return Segmented(
        frame, instances, Stuff(kind, owners, ("sky",), (10.0, 40.0), (40, 100)), Stamps(segment=5)
    )


def test_stuff_follows_the_instances_that_are_shown() -> None:
    """The second instance scores too little to begin a track: it goes, and owns nothing any more."""
    [result] = Follow(("cat",), TrackerConfig()).process([segmented([0.9, 0.2, 0.8], [1, 2, 3, 0])])
    assert result.tracks.id.tolist() == [1, 2]
    assert result.stuff is not None
    assert result.stuff.owner is not None
    assert result.stuff.owner.tolist() == [[1, 0, 2, 0]]


def test_without_a_tracker_all_goes_through() -> None:
    given = segmented([0.9, 0.2])
    [result] = Follow(("cat",), None).process([given])
    assert result.instances is given.instances
    assert result.stuff is given.stuff
    assert result.tracks.id.tolist() == [-1, -1]


def test_every_stage_stamps_a_result_of_its_own() -> None:
    given = segmented([0.9])
    [followed] = Follow(("cat",), None).process([given])
    meter = SourceMeter()
    [rendered] = Render(Painter(), meter, status_line=True).process([followed])
    assert given.stamps == Stamps(segment=5)
    assert (followed.stamps.segment, followed.stamps.overlay) == (5, None)
    stamps = rendered.stamps
    assert stamps.segment is not None
    assert stamps.track is not None
    assert stamps.overlay is not None
    assert stamps.segment < stamps.track <= stamps.overlay
    assert rendered.instances is given.instances
    assert rendered.canvas is not None
    assert (meter.instances.value, meter.ages["overlay"].count) == (1, 1)


@pytest.mark.parametrize(("overlap", "at_once"), [(True, [0, 0, 1]), (False, [0, 1, 1])])
def test_the_engines_stage_gives_what_is_ready(overlap: bool, at_once: list[int]) -> None:
    """Nothing for nothing; then a frame at once, or when nothing else waits."""
    boxes, column = np.zeros((1, 1, 4), np.float32), np.zeros((1, 1), np.float32)
    outputs = EngineOutputs(
        boxes, column, column.astype(np.int32), np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int32)
    )
    info = EngineInfo("fake", "fake", ("cat",), "stretch", (8, 8), 1, 0.0)
    stage = Segment(Segmenter(FakeEngine(info, outputs)), overlap=overlap)
    frame = segmented([]).frame
    counts = [len(list(stage.process([]))), len(list(stage.process([frame])))]
    left = list(stage.idle())
    assert [*counts, counts[1] + len(left)] == at_once
    assert all(item.stamps.segment is not None for item in left)
    assert list(stage.drain()) == []
    stage.close()
