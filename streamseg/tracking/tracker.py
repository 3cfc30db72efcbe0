"""Follow the instances of one source from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.geometry import box_iou
from streamseg.masks import Crop, crop_iou, tight_crops
from streamseg.structures import Instances, Tracks, TrackState
from streamseg.tracking import association, motion
from streamseg.tracking.clock import StepClock
from streamseg.tracking.config import TrackerConfig
from streamseg.tracking.tracks import TrackTable

__all__ = ["LostTracks", "Tracker"]

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]

MIN_MASK_CELLS = 32
"""Smaller masks do not rank. On a 138x138 grid, masks under about 31 cells (500 pixels of 640x480) misjudge
the IoU by up to 0.35, more than the differences to be told apart."""
MIN_STEPS_KEPT = 2


@dataclass(frozen=True, slots=True, eq=False)
class LostTracks:
    """Confirmed tracks that the last frame did not show, where they should be by now."""

    id: NDArray[np.int64]
    """(L,) int64."""
    xyxy: NDArray[np.float32]
    """(L, 4) float32, predicted boxes, pixels of the original frame; may reach beyond it."""
    unseen_seconds: NDArray[np.float32]
    """(L,) float32, media seconds since the track was last seen."""


@dataclass(frozen=True, slots=True, eq=False)
class _Detections:
    """The usable instances of a frame in an order of their own, which the input's order does not change."""

    index: Indices
    """(M,) rows in the Instances."""
    xyxy: Floats
    measured: Floats
    score: NDArray[np.float32]
    class_id: NDArray[np.int32]
    crops: list[Crop | None]


class Tracker:
    """Gives the instances of successive frames of one source lasting ids.

    One tracker per source, used by one thread. It keeps no reference to what it is given and changes
    none of it.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config if config is not None else TrackerConfig()
        self.rejected_frames = 0
        """Frames whose timestamp was not finite or lay before that of the frame before."""
        self.rejected_boxes = 0
        """Instances whose box or score was not finite, or whose box had no area."""
        self._clock = StepClock(self.config.nominal_step_seconds)
        self._table = TrackTable()
        self._grid: tuple[object, ...] | None = None
        self._scale_xy = 1.0, 1.0

    def update(self, instances: Instances, t_seconds: float) -> Tracks:
        """Tracks of `instances`, row for row, at media time `t_seconds`.

        A frame with the time of the one before is matched without motion. One from the past, or without a
        finite time, is counted in `rejected_frames`, comes back untracked and changes nothing.
        """
        step = self._clock.advance(t_seconds)
        if step is None:
            self.rejected_frames += 1
            return Tracks.untracked(instances)
        arriving = self._forget(instances, step)
        seen = self._detections(instances)
        if len(self._table):
            motion.predict(self._table.state, step, self._clock.nominal_seconds)
        rows, columns = self._match(seen, step)
        self._continue(seen, rows, columns, step)
        rows = self._end_unseen_tentative(rows)
        fresh = self._begin(seen, columns, arriving)
        return self._report(
            instances,
            np.concatenate((seen.index[columns], seen.index[fresh])),
            np.concatenate((rows, np.arange(len(self._table) - len(fresh), len(self._table)))),
        )

    def lost(self) -> LostTracks:
        """Confirmed tracks not seen in the last frame."""
        table, now = self._table, self._clock.now
        rows = np.flatnonzero((table.id > 0) & (table.seen < now))
        return LostTracks(
            table.id[rows].copy(),
            motion.boxes_of(table.state[rows]).astype(np.float32),
            (now - table.seen[rows]).astype(np.float32),
        )

    def _forget(self, instances: Instances, step: float) -> bool:
        """End tracks unseen for too long; True when none can have survived, as on the first frame."""
        grid = (instances.masks.frame_hw, instances.masks.soft.shape[1:])
        changed, self._grid = grid != self._grid, grid
        patience = max(self.config.lost_seconds, MIN_STEPS_KEPT * self._clock.nominal_seconds)
        arriving = changed or step > patience
        alive = self._table.seen >= self._clock.now - patience
        self._table.keep(alive & (not arriving))
        return arriving

    def _detections(self, instances: Instances) -> _Detections:
        measured = motion.measure(instances.xyxy)
        with np.errstate(invalid="ignore"):
            sound = np.isfinite(measured).all(1) & (measured[:, 2:] > 0).all(1) & np.isfinite(instances.score)
        self.rejected_boxes += len(instances) - int(np.count_nonzero(sound))
        usable = np.flatnonzero(sound & (instances.score >= self.config.low_score))
        cx, cy, w, h = measured[usable].T
        # The sort is stable, so that the index decides between equals.
        order = usable[np.lexsort((instances.class_id[usable], h, w, cy, cx, -instances.score[usable]))]
        self._scale_xy = instances.masks.scale_xy
        crops = tight_crops(instances.masks)
        return _Detections(
            order,
            instances.xyxy[order].astype(np.float64),
            measured[order],
            instances.score[order],
            instances.class_id[order],
            [crop if np.count_nonzero(crop.bits) >= MIN_MASK_CELLS else None for crop in (crops[k] for k in order)],
        )

    def _match(self, seen: _Detections, step: float) -> association.Pairs:
        """Rows of the table and of `seen` that belong together."""
        table, config = self._table, self.config
        share = association.gap_buffer(step, self._clock.nominal_seconds)
        iou = box_iou(
            association.enlarged(motion.boxes_of(table.state), share), association.enlarged(seen.xyxy, share)
        )
        penalty = config.class_penalty * (table.class_id[:, None] != seen.class_id)
        confirmed, good = table.id > 0, seen.score >= config.high_score
        just_seen = table.seen >= self._clock.now - step
        stages = (
            (confirmed, good, config.gate_iou),
            (confirmed & just_seen, ~good, config.low_gate_iou),
            (~confirmed, good, config.gate_iou),
        )
        free_rows, free_columns = np.ones(len(table), bool), np.ones(len(seen.index), bool)
        pairs = []
        for of_tracks, of_detections, gate in stages:
            rows, columns = association.match(
                iou,
                penalty,
                lambda r, c: self._mask_iou(seen, r, c),
                np.flatnonzero(of_tracks & free_rows),
                np.flatnonzero(of_detections & free_columns),
                gate,
            )
            free_rows[rows] = free_columns[columns] = False
            pairs.append((rows, columns))
        return np.concatenate([r for r, _ in pairs]), np.concatenate([c for _, c in pairs])

    def _mask_iou(self, seen: _Detections, rows: Indices, columns: Indices) -> Floats:
        """IoU of tracks' last masks, moved as the tracks moved since, with detections' masks."""
        table, (sx, sy) = self._table, self._scale_xy
        shift = motion.displacement(table.state[rows], self._clock.now - table.seen[rows]) / (sx, sy)
        iou = np.full(len(rows), np.nan)
        for k, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            a, b = table.crops[row], seen.crops[column]
            if a is not None and b is not None:
                iou[k] = crop_iou(a, b, (shift[k, 0], shift[k, 1]))
        return iou

    def _continue(self, seen: _Detections, rows: Indices, columns: Indices, step: float) -> None:
        table = self._table
        table.state[rows] = motion.correct(table.state[rows], seen.measured[columns])
        table.hits[rows] += step > 0
        table.seen[rows] = self._clock.now
        table.class_id[rows] = seen.class_id[columns]
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            table.crops[row] = seen.crops[column]
        table.confirm(rows[(table.id[rows] < 0) & (table.hits[rows] >= self.config.confirm_hits)])

    def _end_unseen_tentative(self, rows: Indices) -> Indices:
        """Drop tentative tracks without a match; the new places of `rows`, which all stay."""
        alive = self._table.id > 0
        alive[rows] = True
        self._table.keep(alive)
        return (np.cumsum(alive) - 1)[rows]

    def _begin(self, seen: _Detections, matched: Indices, arriving: bool) -> Indices:
        """Begin a track for every good detection without one; which they are."""
        fresh = seen.score >= self.config.high_score
        fresh[matched] = False
        born = np.flatnonzero(fresh)
        state = motion.initiate(seen.measured[born], self._clock.nominal_seconds)
        self._table.add(state, seen.class_id[born], [seen.crops[k] for k in born], self._clock.now)
        if arriving or self.config.confirm_hits == 1:
            self._table.confirm(np.arange(len(self._table) - len(born), len(self._table)))
        return born

    def _report(self, instances: Instances, index: Indices, rows: Indices) -> Tracks:
        """Tracks of all instances; those at `index` have the tracks at `rows`."""
        table, tracks = self._table, Tracks.untracked(instances)
        tracks.state[index] = TrackState.TENTATIVE
        known = table.id[rows] > 0
        index, rows = index[known], rows[known]
        tracks.id[index] = table.id[rows]
        tracks.age_seconds[index] = self._clock.now - table.born[rows]
        tracks.state[index] = TrackState.CONFIRMED
        tracks.xyxy[index] = motion.boxes_of(table.state[rows])
        return tracks
