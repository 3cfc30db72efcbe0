"""What rules cost, and how well they count: one JSON on standard output.

    python benchmarks/events.py [--rounds 60] [--seconds 600] [--seeds 8] [--first 0]

Speed: 50 rules on 50 tracks at 1280×720, masks on a 138×138 grid whose runs are there already, as overlay
and JSON Lines need them; milliseconds of CPU time. Counting: shapes of the synthetic scene, of which one
detection in ten is dropped, through the tracker; crossings of a line and entries into a zone against those of
the exact masks, ids included. supervision's LineZone and PolygonZone see the same detections and ids where
that package is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.events import EventsConfig, Watch
from streamseg.masks import Masks
from streamseg.scene import SceneTruth, SyntheticScene
from streamseg.structures import Frame, Instances, Tracks
from streamseg.tracking import Tracker, TrackerConfig

SIZE_HW = 360, 640
FPS = 30.0
CELL = 4
LINE = (0.5, 1.0), (0.5, 0.0)
ZONE = (0.25, 0.2), (0.75, 0.2), (0.75, 0.8), (0.25, 0.8)
# As `Truth` has it: 60 % for a fifth of a second.
RULES = {
    "zones": {"zone": {"polygon": ZONE, "enter": 0.6, "leave": 0.4, "enter_after": 0.2, "leave_after": 0.2}},
    "lines": {"line": {"points": LINE, "share": 0.6, "after": 0.2}},
}
Count = dict[str, int]


def detections(truth: SceneTruth, kept: NDArray[np.intp]) -> Instances:
    """What an engine says of a frame, of which it finds `kept`, on a grid of 4×4 pixels."""
    size = SIZE_HW[1] // CELL, SIZE_HW[0] // CELL
    soft = [
        cv2.resize(truth.mask(k).view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        for k in kept.tolist()
    ]
    masks = np.array(soft, np.uint8).reshape(-1, size[1], size[0])
    return Instances(
        truth.xyxy[kept],
        np.full(len(kept), 0.9, np.float32),
        np.zeros(len(kept), np.int32),
        Masks(masks, (float(CELL), float(CELL)), SIZE_HW),
    )


# -- counting ------------------------------------------------------------------------------------------


class Truth:
    """Crossings and entries by the exact masks, whole and in every frame: an object is on a side, or inside,
    with 60 % of what is visible of it for a fifth of a second. Who was out of sight for two is
    new, and has left."""

    SECONDS, FORGET = 0.2, 2.0

    def __init__(self) -> None:
        self.count: Count = Counter()
        self._state: dict[tuple[str, int], tuple[int, int, float, float]] = {}
        zone = np.zeros(SIZE_HW, np.uint8)
        cv2.fillPoly(zone, [np.rint(np.array(ZONE) * SIZE_HW[::-1]).astype(np.int32)], 1)
        right = np.zeros(SIZE_HW, np.uint8)
        right[:, SIZE_HW[1] // 2 :] = 1
        self._parts = {"line": right, "zone": zone}

    def add(self, t: float, labels: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        area = np.bincount(labels.ravel(), minlength=256)
        for name, part in self._parts.items():
            inside = np.bincount(labels.ravel(), part.ravel(), minlength=256)
            for k, track in enumerate(ids.tolist(), 1):
                share = inside[k] / area[k]
                self._step(name, track, int(share >= 0.6) - int(share <= 0.4), t)

    def _step(self, name: str, track: int, side: int, t: float) -> None:
        settled, candidate, since, seen = self._state.get((name, track), (0, 0, t, t))
        if t - seen > self.FORGET:
            self._leave(name, settled)
            settled = candidate = 0
        if side in (0, settled):
            candidate = 0
        elif side != candidate:
            candidate, since = side, t
        if candidate and t - since >= self.SECONDS - 1e-6:
            if settled or (name == "zone" and candidate > 0):
                self.count[f"{name} {'forward' if candidate > 0 else 'backward'}"] += 1
            settled, candidate = candidate, 0
        self._state[name, track] = settled, candidate, since, t

    def _leave(self, name: str, settled: int) -> None:
        self.count["zone backward"] += name == "zone" and settled > 0

    def finish(self, t: float) -> None:
        """The end: who was forgotten by then has left."""
        for (name, _), (settled, _, _, seen) in self._state.items():
            if t - seen > self.FORGET:
                self._leave(name, settled)


class Ours:
    def __init__(self) -> None:
        self._watch = Watch(EventsConfig.model_validate(RULES), "scene", ("shape",))

    def add(self, frame: Frame, found: Instances, tracks: Tracks) -> None:
        self._watch.update(frame, found, tracks)

    @property
    def count(self) -> Count:
        line, zone = (self._watch.state.tallies[name] for name in ("line", "zone"))
        return {
            "line forward": line.entered,
            "line backward": line.left,
            "zone forward": zone.entered,
            "zone backward": zone.left,
        }


class Supervisions:
    """LineZone and PolygonZone on the same detections and ids; who enters is told by what a frame changes."""

    def __init__(self, patience: int) -> None:
        """`patience`: LineZone's minimum_crossing_threshold, frames."""
        import supervision as sv

        self._sv = sv
        height, width = SIZE_HW
        start, end = (sv.Point(x * width, y * height) for x, y in LINE)
        self._line = sv.LineZone(start, end, minimum_crossing_threshold=patience)
        self._zone = sv.PolygonZone(np.rint(np.array(ZONE) * [width, height]).astype(np.int64))
        self._inside: dict[int, bool] = {}
        self._entered = self._left = 0

    def add(self, frame: Frame, found: Instances, tracks: Tracks) -> None:
        kept = tracks.id >= 1
        seen = self._sv.Detections(
            xyxy=found.xyxy[kept], class_id=found.class_id[kept].astype(int), tracker_id=tracks.id[kept]
        )
        self._line.trigger(seen)
        for track, inside in zip(tracks.id[kept].tolist(), self._zone.trigger(seen).tolist(), strict=True):
            self._entered += inside and not self._inside.get(track, False)
            self._left += not inside and self._inside.get(track, False)
            self._inside[track] = inside

    @property
    def count(self) -> Count:
        # Its "in" is over the line from the other side than our forward.
        return {
            "line forward": self._line.out_count,
            "line backward": self._line.in_count,
            "zone forward": self._entered,
            "zone backward": self._left,
        }


def new_counters(peers: bool) -> dict[str, Any]:
    counters: dict[str, Any] = {"streamseg": Ours()}
    if peers:
        counters |= {f"supervision, patience {n}": Supervisions(n) for n in (1, round(0.2 * FPS))}
    return counters


def with_ids(tracks: Tracks, ids: NDArray[np.int64]) -> Tracks:
    n = len(ids)
    return Tracks(ids, np.zeros(n, np.float32), np.full(n, 2, np.uint8), tracks.xyxy)


def counting(seeds: range, seconds: float, drop: float, peers: bool) -> dict[str, Any]:
    """Counts and errors over the scenes of `seeds`."""
    wrong: dict[str, Count] = {}
    right: Count = Counter()
    for seed in seeds:
        scene, rng = SyntheticScene(seed, SIZE_HW), np.random.default_rng(seed)
        truth, tracker = Truth(), Tracker(TrackerConfig(nominal_step_seconds=1 / FPS))
        counters = {ids: new_counters(peers) for ids in ("ids of the tracker", "true ids")}
        blank = np.zeros((*SIZE_HW, 3), np.uint8)
        for k in range(round(seconds * FPS)):
            t = k / FPS
            _, exact = scene.render(t)
            truth.add(t, exact.labels, exact.ids)
            kept = np.flatnonzero(rng.random(len(exact)) >= drop)
            found, frame = detections(exact, kept), Frame(blank, k, t, 0, "scene")
            tracks = tracker.update(found, t)
            for ids, of_ids in counters.items():
                seen = tracks if ids != "true ids" else with_ids(tracks, exact.ids[kept])
                for counter in of_ids.values():
                    counter.add(frame, found, seen)
        truth.finish(t)
        right.update(truth.count)
        for name, counter in ((f"{n}, {ids}", c) for ids, of in counters.items() for n, c in of.items()):
            errors = {key: abs(count - truth.count[key]) for key, count in counter.count.items()}
            wrong[name] = Counter(wrong.get(name, {})) + Counter(errors)
    return {
        "scenes": [*seeds],
        "seconds_each": seconds,
        "dropped": drop,
        "truth": dict(right),
        "errors": {
            name: {
                "miscounted": {key: errors[key] for key in sorted(right)},
                "percent_line": _percent(errors, right, "line"),
                "percent_zone": _percent(errors, right, "zone"),
            }
            for name, errors in wrong.items()
        },
    }


def _percent(errors: Count, right: Count, rule: str) -> float:
    keys = f"{rule} forward", f"{rule} backward"
    return round(100 * sum(errors[k] for k in keys) / max(sum(right[k] for k in keys), 1), 2)


# -- speed ---------------------------------------------------------------------------------------------


def rules_of(kinds: str) -> EventsConfig:
    """Fifty rules: zones of a fifth of the picture, and lines across it."""
    rng = np.random.default_rng(5)
    zones, lines = {}, {}
    for k in range(50):
        x, y = rng.uniform(0, 0.55, 2)
        corners = [(x, y), (x + 0.4, y + 0.05), (x + 0.45, y + 0.45), (x + 0.05, y + 0.4)]
        if kinds == "zones" or (kinds == "mixed" and k % 2):
            zones[f"zone {k}"] = {"polygon": corners, "at": ("area", "foot")[k % 4 == 1 and kinds == "mixed"]}
        else:
            lines[f"line {k}"] = {"points": [corners[0], corners[2]]}
    counts = {}
    if kinds == "mixed":
        counts = {f"count {k}": {"zone": name, "least": 3} for k, name in enumerate(list(zones)[:10])}
        lines = dict(list(lines.items())[:15])
    return EventsConfig.model_validate({"zones": zones, "lines": lines, "counts": counts})


def speed(rounds: int) -> dict[str, Any]:
    """Milliseconds for a frame of 50 rules and 50 tracks; parts interleaved."""
    rng = np.random.default_rng(0)
    height, width, n = 720, 1280, 50
    y, x = (np.mgrid[:138, :138] + 0.5) * np.array([height, width])[:, None, None] / 138
    start, way = rng.uniform([80, 80], [width - 80, height - 80], (n, 2)), rng.normal(0, 3, (n, 2))
    radius = rng.uniform(30, 90, n)
    blank = np.zeros((height, width, 3), np.uint8)
    frames = []
    for k in range(rounds):
        centre = start + k * way
        far = np.hypot(x - centre[:, 0, None, None], y - centre[:, 1, None, None])
        soft = np.clip(127.5 + (radius[:, None, None] - far) * 20, 0, 255).astype(np.uint8)
        reach = radius[:, None] * 1.1
        xyxy = np.clip(np.hstack([centre - reach, centre + reach]), 0, [width, height] * 2).astype(np.float32)
        found = Instances(
            xyxy,
            np.ones(n, np.float32),
            np.zeros(n, np.int32),
            Masks(soft, (width / 138, height / 138), (height, width)),
        )
        _ = found.pixels.runs
        frames.append((Frame(blank, k, k / 30, 0, "cam"), found))
    kinds = "zones", "lines", "mixed"
    watches = {kind: Watch(rules_of(kind), "cam", ("car",)) for kind in kinds}
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    ids = np.arange(1, n + 1)
    for frame, found in frames:
        tracks = Tracks(ids, np.ones(n, np.float32), np.full(n, 2, np.uint8), found.xyxy)
        for kind, watch in watches.items():
            run: Callable[..., object] = watch.update
            began = time.thread_time()
            run(frame, found, tracks)
            took[kind].append((time.thread_time() - began) * 1e3)
    return {
        kind: {"best_ms": round(min(ms[3:]), 3), "median_ms": round(statistics.median(ms[3:]), 3)}
        for kind, ms in took.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--drop", type=float, default=0.1)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    peers = importlib.util.find_spec("supervision") is not None
    report: dict[str, Any] = {"versions": {"python": platform.python_version(), "numpy": np.__version__}}
    if peers:
        import supervision

        report["versions"]["supervision"] = supervision.__version__
    report["fifty_rules_on_fifty_tracks"] = speed(asked.rounds)
    if asked.seeds:
        report["counting"] = counting(
            range(asked.first, asked.first + asked.seeds), asked.seconds, asked.drop, peers
        )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
