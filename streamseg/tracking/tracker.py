"""Follow the instances of one source from frame to frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Instances, Tracks, TrackState
from streamseg.tracking import motion
from streamseg.tracking.association import Pairs, Round, associate, gap_buffer, paired_iou
from streamseg.tracking.clock import StepClock
from streamseg.tracking.config import TrackerConfig
from streamseg.tracking.detections import (
    Detections,
    Outline,
    detections_from_instances,
    outline_iou,
    outline_share,
)
from streamseg.tracking.occlusion import whole_boxes
from streamseg.tracking.snapshot import plain_clock, plain_table, restore_clock, restore_table
from streamseg.tracking.tracks import TrackTable

__all__ = ["LostTracks", "Tracker"]

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]
Compare = Callable[[Outline | None, Outline | None, tuple[float, float]], float]

_DEFAULTS = TrackerConfig()
SNAPSHOT_VERSION = 1
_SECOND_LOOK_BUFFER = 0.3
_LEAST_SHARE = 0.5
_LEAST_STEPS_KEPT = 2
_HIT_SCORE = 0.63
"""The mean score with which `confirm_hits` frames confirm a track."""
_MOST_WEIGHT = 1.5
"""Of a frame after missing ones, as evidence: false detections are alike in frames that follow each other, so
that one is a better witness who comes later, and finds the object where it should be by then."""


@dataclass(frozen=True, slots=True, eq=False)
class LostTracks:
    """Confirmed tracks that the last frame did not show, where they should be by now."""

    id: NDArray[np.int64]
    """(L,) int64."""
    xyxy: NDArray[np.float32]
    """(L, 4) float32, predicted boxes, pixels of the original frame; may reach beyond it."""
    unseen_seconds: NDArray[np.float32]
    """(L,) float32, media seconds since the track was last seen."""


class Tracker:
    """Gives the instances of one source's successive frames lasting ids.

    One tracker per source, used by one thread. It keeps no reference to what it is given and changes
    none of it; the same frames always give the same ids, in whatever order each frame's instances come.
    """

    def __init__(self, config: TrackerConfig = _DEFAULTS) -> None:
        self.config = config
        self.rejected_frames = 0
        """Frames whose timestamp was not finite or earlier than the one before."""
        self.rejected_boxes = 0
        """Instances whose box or score was not finite, or whose box had no area."""
        self._clock = StepClock(config.nominal_step_seconds)
        self._table = TrackTable()
        self._frame_hw: tuple[int, int] | None = None

    def update(self, instances: Instances, t_seconds: float) -> Tracks:
        """Tracks of `instances`, row for row, at media time `t_seconds`.

        A frame at the time of the one before is matched without motion. One from the past, or without a
        finite time, is counted in `rejected_frames`, comes back untracked and changes nothing.
        """
        if not self._clock.advance(t_seconds):
            self.rejected_frames += 1
            return Tracks.untracked(instances)
        arriving = self._forget(instances)
        found, rejected = detections_from_instances(instances, self.config.low_score)
        self.rejected_boxes += rejected
        rows, which = self._match(found)
        weight = min(_MOST_WEIGHT, max(1.0, self._clock.step / self._clock.pace_seconds))
        whole = whole_boxes(found, which, motion.boxes_of(self._table.state[rows]))
        self._table.see(rows, found, which, motion.measure(whole), self._clock.now, weight)
        rows = self._settle(rows)
        born_rows, born = self._begin(found, which, arriving)
        return self._report(
            instances, np.concatenate((rows, born_rows)), found.index[np.concatenate((which, born))]
        )

    def end(self, ids: NDArray[np.int64]) -> None:
        """End the tracks of these ids, (n,) int64; they are not given again."""
        self._table.keep(~np.isin(self._table.id, ids[ids > 0]))

    def lost(self) -> LostTracks:
        """Confirmed tracks that the last frame did not show."""
        table, now = self._table, self._clock.now
        rows = np.flatnonzero((table.id > 0) & (table.seen < now))
        return LostTracks(
            table.id[rows],
            motion.boxes_of(table.state[rows]).astype(np.float32),
            (now - table.seen[rows]).astype(np.float32),
        )

    def ahead(self, t_seconds: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Where its confirmed tracks will be at media time `t_seconds`, if they go on as they do: ids (T,)
        and boxes (T, 4), pixels of the original frame, which may reach beyond it. Nothing changes.

        At most `lost_seconds` ahead; a time that is not later than the last frame's is that.
        """
        rows = np.flatnonzero(self._table.id > 0)
        state = self._table.state[rows].copy()
        step = min(t_seconds - self._clock.now, self.config.lost_seconds)
        if step > 0 and len(rows):
            motion.predict(state, step, self._clock.pace_seconds)
        return self._table.id[rows].copy(), motion.boxes_of(state).astype(np.float32)

    def voted(self, instances: Instances, tracks: Tracks) -> Instances:
        """`instances`, those that have an id with the class that their track's detections voted for.

        `tracks` are what `update` has just given for them.
        """
        table = self._table
        classes = dict(zip(table.id.tolist(), table.class_id.tolist(), strict=True))
        own = instances.class_id.tolist()
        by_vote = [classes[k] if k > 0 else mine for k, mine in zip(tracks.id.tolist(), own, strict=True)]
        return instances if by_vote == own else replace(instances, class_id=np.array(by_vote, np.int32))

    def snapshot(self) -> dict[str, Any]:
        """All that the tracker knows, as plain values; JSON keeps them exactly."""
        return {
            "version": SNAPSHOT_VERSION,
            "clock": plain_clock(self._clock),
            "tracks": plain_table(self._table),
            "frame_hw": self._frame_hw and list(self._frame_hw),
            "rejected": [self.rejected_frames, self.rejected_boxes],
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on where `snapshot` was taken, of a tracker with the same configuration.

        Raises ValueError, and nothing changes, when it cannot be used.
        """
        try:
            if snapshot["version"] != SNAPSHOT_VERSION:
                raise ValueError(f"its version is {snapshot['version']!r}, not {SNAPSHOT_VERSION}")
            clock, table = StepClock(self.config.nominal_step_seconds), restore_table(snapshot["tracks"])
            restore_clock(clock, snapshot["clock"])
            frame_hw = snapshot["frame_hw"] and (int(snapshot["frame_hw"][0]), int(snapshot["frame_hw"][1]))
            frames, boxes = map(int, snapshot["rejected"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"not a tracker's snapshot: {error}; begin without it") from error
        self._clock, self._table, self._frame_hw = clock, table, frame_hw or None
        self.rejected_frames, self.rejected_boxes = frames, boxes

    def _forget(self, instances: Instances) -> bool:
        """End tracks unseen for too long, and all of them when the frame changes size.

        Another mask grid, as of another engine, ends none: outlines of two grids just do not compare.
        True when what this frame shows did not appear just now but was there all along: at the start of
        the stream, and after an interruption that no track survives.
        """
        frame_hw = instances.masks.frame_hw
        changed, self._frame_hw = frame_hw != self._frame_hw, frame_hw
        patience = max(self.config.lost_seconds, _LEAST_STEPS_KEPT * self._clock.nominal_seconds)
        self._table.keep((self._table.seen >= self._clock.now - patience) & (not changed))
        return changed or self._clock.step > patience

    def _match(self, found: Detections) -> Pairs:
        """Rows of tracks, moved to now, and the detections that continue them."""
        table, config, clock = self._table, self.config, self._clock
        if not len(table):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        motion.predict(table.state, clock.step, clock.pace_seconds)
        expected = motion.boxes_of(table.state)
        confirmed, good = table.id > 0, found.score >= config.high_score
        just_seen = table.seen >= clock.previous
        same_class = table.class_id[:, None] == found.class_id
        masked = np.array([outline is not None for outline in found.outlines], np.bool_)

        def seen_share(rows: Indices, which: Indices, _: Floats) -> Floats:
            whole = whole_boxes(found, which, expected[rows])
            of_boxes = paired_iou(expected[rows].T, whole.T, buffer)
            return np.fmax(self._by_outline(outline_share, found, rows, which), of_boxes)

        buffer = gap_buffer(clock.step, clock.pace_seconds)
        stages = (
            Round(confirmed, good, config.gate_iou, buffer),
            # Before a newcomer is believed, a track that moved oddly gets a second look.
            Round(confirmed, good, config.gate_iou, buffer + _SECOND_LOOK_BUFFER, same_class),
            # Of an object behind another the box shrinks and grows faster than it may; its mask only loses
            # cells, or gains some, and sides that the other one hides are where they should be.
            Round(confirmed, good & masked, _LEAST_SHARE, buffer, same_class, seen_share),
            Round(confirmed & just_seen, ~good, config.low_gate_iou, buffer),
            Round(~confirmed, good, config.gate_iou, buffer),
        )
        return associate(expected, found.xyxy, stages, lambda t, d, iou: self._rank(found, t, d, iou))

    def _rank(self, found: Detections, rows: Indices, which: Indices, box_iou: Floats) -> Floats:
        """Mean of box and mask IoU, the box's alone where masks are too small, times the detection's score,
        less for another class.

        Of two detections of one object the surer is the better (Zhang et al., "ByteTrack", 2022); alone
        this is worth 1 HOTA and 2.5 IDF1 where every frame is seen.
        """
        table, fit = self._table, box_iou
        if any(found.outlines):
            mask_iou = self._by_outline(outline_iou, found, rows, which)
            fit = np.where(np.isnan(mask_iou), box_iou, (box_iou + mask_iou) / 2)
        other_class = table.class_id[rows] != found.class_id[which]
        ranked: Floats = fit * found.score[which] - self.config.class_penalty * other_class
        return ranked

    def _by_outline(self, compare: Compare, found: Detections, rows: Indices, which: Indices) -> Floats:
        """`compare` of the masks of each pair, the track's moved to where it should be by now."""
        table = self._table
        shift = motion.displacement(table.state[rows], self._clock.now - table.seen[rows])
        pairs = zip(rows.tolist(), which.tolist(), map(tuple, shift.tolist()), strict=True)
        return np.array([compare(table.outlines[row], found.outlines[k], moved) for row, k, moved in pairs])

    def _settle(self, rows: Indices) -> Indices:
        """Confirm what was seen often enough, end the tentative that was not seen; new places of `rows`."""
        table = self._table
        enough = table.evidence[rows] >= _HIT_SCORE * self.config.confirm_hits
        table.confirm(rows[(table.id[rows] < 0) & enough])
        alive = table.id > 0
        alive[rows] = True
        table.keep(alive)
        place: Indices = (np.cumsum(alive) - 1)[rows]
        return place

    def _begin(self, found: Detections, matched: Indices, arriving: bool) -> Pairs:
        """Begin a track for every good detection without one; rows and detections."""
        fresh = found.score >= self.config.high_score
        fresh[matched] = False
        born = np.flatnonzero(fresh)
        rows = self._table.begin(found, born, self._clock.now, self._clock.pace_seconds)
        if arriving or self.config.confirm_hits == 1:
            self._table.confirm(rows)
        return rows, born

    def _report(self, instances: Instances, rows: Indices, index: Indices) -> Tracks:
        """Tracks of all instances; those at `index` belong to the tracks at `rows`."""
        table, tracks = self._table, Tracks.untracked(instances)
        tracks.state[index] = TrackState.TENTATIVE
        known = table.id[rows] > 0
        rows, index = rows[known], index[known]
        tracks.id[index] = table.id[rows]
        tracks.age_seconds[index] = self._clock.now - table.born[rows]
        tracks.state[index] = TrackState.CONFIRMED
        tracks.xyxy[index] = motion.boxes_of(table.state[rows])
        return tracks
