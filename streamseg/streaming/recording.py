"""What a run records of its streams as the cameras encoded it.

Tested in tests/streaming/test_recording.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from streamseg.addresses import shown
from streamseg.capture.open import is_stream
from streamseg.capture.packet_reader import PacketReader
from streamseg.capture.source import SourceOptions
from streamseg.encoded import EncodedPacket
from streamseg.errors import ConfigError
from streamseg.pipeline.side_thread import SideThread
from streamseg.sinks.base import Sink
from streamseg.sinks.clip_sink import ClipSink
from streamseg.sinks.recorder import ClipSpan, Recorder
from streamseg.sinks.shelf import Shelf
from streamseg.streaming.config import RunConfig

__all__ = ["Recording", "clip_of"]


class Recording:
    """Beside the pipeline: a thread that writes, and one for each main stream."""

    def __init__(self, config: RunConfig) -> None:
        """Raises ConfigError and SinkError."""
        asked = config.recording
        self._capture = config.capture
        self.takes_clips = asked.clips is not None
        shelves = [
            Shelf(Path(folder), asked.keep_days, asked.keep_gb) if folder else None
            for folder in (asked.segments, asked.clips)
        ]
        span = ClipSpan(asked.before_s, asked.after_s)
        self._recorder = Recorder(*shelves, segment_s=asked.segment_s, span=span)
        self._writer = SideThread("recorder", self._recorder.run, self._recorder.interrupt)
        self._mains: dict[str, tuple[PacketReader, SideThread]] = {}
        self.sinks: list[Sink] = [ClipSink(self._recorder.clip)] if self.takes_clips and config.events else []
        """Sinks of every source, which order clips."""

    def check(self, source_id: str, spec: str) -> None:
        """Raise ConfigError for a source of which nothing can be recorded."""
        if not is_stream(spec) and self._capture.of(source_id).main is None:
            raise ConfigError(
                f"recording: {shown(spec)} is no stream, and only streams are recorded as they come; "
                "-o writes a video of any source"
            )

    def options(self, source_id: str, options: SourceOptions) -> SourceOptions:
        """Those with which the source is opened, so that what it sends is recorded; its main stream, if it
        has one, is read from now on."""
        main = self._capture.of(source_id).main
        handed_on = replace(options, on_packet=self._tap(source_id))
        if main is None:
            return handed_on
        reader = PacketReader(main, handed_on)
        thread = SideThread(f"main stream of {source_id}", reader.run, reader.interrupt)
        self._mains[source_id] = reader, thread
        thread.start()
        return options

    def _tap(self, source_id: str) -> Callable[[EncodedPacket], None]:
        return lambda packet: self._recorder.put(source_id, packet)

    def forget(self, source_id: str) -> None:
        """Finish the files of a source that is gone."""
        if source_id in self._mains:
            self._mains.pop(source_id)[1].stop()
        self._recorder.forget(source_id)

    def clip(self, source_id: str, name: str = "") -> None:
        """A clip around now; it lies in the folder of clips when its time is over. Raises ConfigError."""
        if not self._recorder.clip(source_id, name or "asked", time.monotonic_ns()):
            raise ConfigError(f"{source_id}: nothing has come yet of which a clip could be made")

    def counters(self, source_id: str) -> dict[str, int]:
        """For the summary."""
        return self._recorder.counters(source_id)

    def trouble(self, source_id: str) -> str:
        """Why it is not recorded, in one line; empty when it is."""
        main = self._mains.get(source_id)
        said = main[0].trouble if main else ""
        return said or self._recorder.trouble(source_id)

    def start(self) -> None:
        self._writer.start()

    def stop(self) -> None:
        with ExitStack() as ending:
            ending.callback(self._writer.stop)
            for source_id in list(self._mains):
                ending.callback(self._mains.pop(source_id)[1].stop)


def clip_of(recording: Recording | None, source_id: str, name: str) -> None:
    """A clip where there is a folder for it. Raises ConfigError."""
    if recording is None or not recording.takes_clips:
        raise ConfigError("a clip needs a folder: recording.clips (--clips)")
    recording.clip(source_id, name)
