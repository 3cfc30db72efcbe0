"""Streams recorded as the cameras encoded them: in segments, and in clips around what happened."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamseg.encoded import EncodedPacket
from streamseg.sinks.packet_ring import PacketRing
from streamseg.sinks.reel import Reel
from streamseg.sinks.shelf import Shelf

__all__ = ["ClipSpan", "Recorder"]

MOST_WAITING_BYTES = 32_000_000
"""Of one source, while the disk is slow: half a minute of 8 Mb/s."""
MOST_RING_BYTES = 64_000_000
MOST_CLIPS = 8
"""Of one source, at a time."""
_LATE_SECONDS = 5.0
"""What a rule decides it may decide so long after the moment, and find the packets still there."""
_TICK_SECONDS = 0.5
_TRIM_SECONDS = 60.0
_SILENT_NS = 2_000_000_000
"""A clip of a camera that fell silent ends so long after its time."""


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """How much a clip has around its moment, in seconds."""

    before_s: float
    after_s: float


class Recorder:
    """Takes packets from any thread and writes them in one, whoever calls `run`; a slow disk costs packets,
    counted, and holds up no camera."""

    def __init__(
        self, segments: Shelf | None, clips: Shelf | None, *, segment_s: float, span: ClipSpan
    ) -> None:
        """None: no such files."""
        self._segments = segments
        self._clips = clips
        self._segment_s = segment_s
        self._span = span
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._cameras: dict[str, _Camera] = {}

    # -- from any thread ---------------------------------------------------------------------------

    def put(self, source_id: str, packet: EncodedPacket) -> None:
        """Record it. For one source always called by the same thread; never waits."""
        camera = self._camera(source_id)
        size = len(packet.data)
        if camera.left_out and not packet.is_key:
            camera.overrun += 1
            return
        camera.left_out = camera.offered_bytes - camera.taken_bytes + size > MOST_WAITING_BYTES
        if camera.left_out:
            camera.overrun += 1
            return
        camera.offered_bytes += size
        self._orders.put(lambda: self._take(camera, packet))

    def clip(self, source_id: str, name: str, at_ns: int) -> bool:
        """A clip around `at_ns` (monotonic), named so. False where nothing of the source has come yet, or
        clips are not asked for."""
        camera = self._cameras.get(source_id)
        if self._clips is None or camera is None:
            return False
        self._orders.put(lambda: self._begin_clip(camera, name, at_ns))
        return True

    def forget(self, source_id: str) -> None:
        """Finish the files of a source that is gone."""
        camera = self._cameras.pop(source_id, None)
        if camera:
            self._orders.put(camera.close)

    def counters(self, source_id: str) -> dict[str, int]:
        """Files begun and packets lost, of one source."""
        camera = self._cameras.get(source_id)
        return camera.counters() if camera else {}

    def trouble(self, source_id: str) -> str:
        """Why it is not being recorded; empty when it is."""
        camera = self._cameras.get(source_id)
        return camera.trouble if camera else ""

    def interrupt(self) -> None:
        """Make `run` finish what was handed over, and return."""
        self._orders.put(None)

    # -- in the thread of `run` --------------------------------------------------------------------

    def run(self) -> None:
        trim_at = 0.0
        try:
            while True:
                if time.monotonic() >= trim_at:
                    trim_at = time.monotonic() + _TRIM_SECONDS
                    self._trim()
                try:
                    order = self._orders.get(timeout=_TICK_SECONDS)
                except queue.Empty:
                    pass
                else:
                    if order is None:
                        return
                    order()
                for camera in list(self._cameras.values()):
                    if camera.offered_bytes == camera.taken_bytes:  # nothing of it waits
                        camera.end_clips(time.monotonic_ns() - _SILENT_NS)
        finally:
            for camera in list(self._cameras.values()):
                camera.close()

    def _trim(self) -> None:
        """What is too old goes, also while no camera sends anything."""
        for shelf in (self._segments, self._clips):
            if shelf:
                shelf.trim()

    def _camera(self, source_id: str) -> _Camera:
        camera = self._cameras.get(source_id)
        if camera is None:
            kept = self._segments
            segments = Reel(kept, source_id, longest_s=self._segment_s) if kept else None
            ring = PacketRing(self._span.before_s + _LATE_SECONDS, MOST_RING_BYTES) if self._clips else None
            camera = self._cameras[source_id] = _Camera(source_id, segments, ring)
        return camera

    @staticmethod
    def _take(camera: _Camera, packet: EncodedPacket) -> None:
        camera.taken_bytes += len(packet.data)
        camera.take(packet)

    def _begin_clip(self, camera: _Camera, name: str, at_ns: int) -> None:
        assert self._clips is not None
        begins_ns, ends_ns = (
            at_ns - round(self._span.before_s * 1e9),
            at_ns + round(self._span.after_s * 1e9),
        )
        camera.begin_clip(Reel(self._clips, camera.source_id, longest_s=None, name=name), begins_ns, ends_ns)


class _Camera:
    """What is recorded of one source."""

    def __init__(self, source_id: str, segments: Reel | None, ring: PacketRing | None) -> None:
        self.source_id = source_id
        # Each written by one thread only: who puts, and who takes.
        self.offered_bytes = self.taken_bytes = 0
        self.left_out = False
        self.overrun = 0
        self._segments = segments
        self._ring = ring
        self._clips: list[tuple[Reel, int]] = []
        self._clips_begun = self._clips_refused = self._clip_packets_lost = 0
        self._closed = False

    def take(self, packet: EncodedPacket) -> None:
        if self._closed:
            return
        if self._segments:
            self._segments.take(packet)
        if self._ring:
            self._ring.add(packet)
            self.end_clips(packet.arrived_ns)
            for reel, _ in self._clips:
                reel.take(packet)

    def begin_clip(self, reel: Reel, begins_ns: int, ends_ns: int) -> None:
        if self._closed or self._ring is None:
            return
        if len(self._clips) >= MOST_CLIPS:
            self._clips_refused += 1
            return
        self._clips_begun += 1
        for packet in self._ring.since(begins_ns):
            if packet.arrived_ns <= ends_ns:
                reel.take(packet)
        self._clips.append((reel, ends_ns))

    def end_clips(self, now_ns: int) -> None:
        """Finish those whose time is over."""
        if any(ends_ns < now_ns for _, ends_ns in self._clips):
            for reel, _ in (clip for clip in self._clips if clip[1] < now_ns):
                reel.close()
                self._clip_packets_lost += reel.lost
            self._clips = [clip for clip in self._clips if clip[1] >= now_ns]

    def close(self) -> None:
        self._closed = True
        if self._segments:
            self._segments.close()
        for reel, _ in self._clips:
            reel.close()
            self._clip_packets_lost += reel.lost
        self._clips = []

    @property
    def trouble(self) -> str:
        if self._segments and self._segments.trouble:
            return self._segments.trouble
        return next((reel.trouble for reel, _ in list(self._clips) if reel.trouble), "")

    def counters(self) -> dict[str, int]:
        lost = self._clip_packets_lost + self.overrun + (self._segments.lost if self._segments else 0)
        counted = {"record_lost": lost}
        if self._segments:
            counted["segments"] = self._segments.files
        if self._ring:
            counted |= {
                "clips": self._clips_begun,
                "clips_refused": self._clips_refused,
                "ring_overflows": self._ring.overflows,
            }
        return counted
