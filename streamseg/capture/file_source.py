"""Video files, on disk or behind http: whatever container and codec the FFmpeg inside PyAV reads."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from streamseg.addresses import is_address, shown
from streamseg.capture.connect import open_address
from streamseg.capture.decode import BgrConverter, open_container, reason, video_stream
from streamseg.capture.media_clock import MediaClock
from streamseg.capture.network import Line, peers_of
from streamseg.capture.source import Source, SourceOptions
from streamseg.errors import CorruptSource, SourceError
from streamseg.structures import Frame

__all__ = ["FileSource"]

_DEFAULT_FPS = 25.0
_WORTH_A_JUMP = 120  # frames: with 148 between samples a jump costs what decoding does, with 594 a quarter


class FileSource(Source):
    """Every frame of a video file (a path or an http address), with its true timestamp, upright.

    The first frame is decoded on opening, so that a file without one is a SourceError at once. What is
    damaged is left out; at the end CorruptSource says how much was decoded.
    """

    def __init__(self, path: str | Path, source_id: str, options: SourceOptions | None = None) -> None:
        super().__init__(source_id, live=False)
        self._name = shown(str(path))
        self._line: Line | None = None
        if is_address(str(path)):
            self._line = Line(peers_of(str(path)))
            self._container = self._connected(str(path), options or SourceOptions(), self._line)
        else:
            self._container = _open_file(Path(path), self._name)
        try:
            self._stream = video_stream(self._container, self._name)
            self._prepare()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _connected(address: str, options: SourceOptions, line: Line) -> InputContainer:
        try:
            container = open_address(address, options)
        except BaseException:
            line.close()
            raise
        line.connected()
        return container

    def _prepare(self) -> None:
        self._stream.thread_type = "AUTO"
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else None
        self._clock = MediaClock(1 / (self.fps or _DEFAULT_FPS))
        self._convert = BgrConverter()
        self._index = 0
        self._damaged = 0
        self._seen_end: Fraction | None = None
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            raise SourceError(f"{self._name}: no frame in it can be decoded{self._damage()}")
        self._start = self._first.pts or 0
        turned = round(self._first.rotation / 90) % 2
        h, w = self._first.height, self._first.width
        self.size_hw = (w, h) if turned else (h, w)
        self.frame_count = self._expected()

    def _expected(self) -> int | None:
        """The index may count more frames than an edit list shows."""
        end = _declared_end(self._stream)
        timed = round(float(end) * self.fps) if end and self.fps else None
        return min(timed or self._stream.frames, self._stream.frames) or timed

    def __iter__(self) -> Iterator[Frame]:
        while (picture := self._picture()) is not None:
            yield self._frame(picture)

    def chosen(self, indexes: Collection[int]) -> Iterator[Frame]:
        """Frames in between are not converted, and not even decoded where a key frame lets them be skipped.

        After such a jump indexes are reckoned from the time and the frame rate.
        """
        for wanted in sorted(indexes):
            if wanted - self._index > _WORTH_A_JUMP:
                self._jump(wanted)
            while (picture := self._picture()) is not None and self._index < wanted:
                self._index += 1
            if picture is None:
                return
            yield self._frame(picture)

    def _picture(self) -> av.VideoFrame | None:
        """The next one; None at the end or when interrupted. Raises CorruptSource where it breaks off."""
        first, self._first = self._first, None
        picture = first or next(self._decoded, None)
        if picture is None and not self._interrupted:
            self._check_complete()
        return None if self._interrupted else picture

    def _jump(self, wanted: int) -> None:
        """Go on at the last key frame before frame `wanted`; from here where the file cannot be sought in."""
        base = self._stream.time_base
        if not self.fps or base is None:
            return
        try:
            self._container.seek(self._start + round(wanted / self.fps / base), stream=self._stream)
        except av.error.FFmpegError:
            return
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        stamp = self._first.pts if self._first else None
        if stamp is not None:
            self._index = round(float((stamp - self._start) * base) * self.fps)

    def _frame(self, picture: av.VideoFrame) -> Frame:
        # Not picture.time: frames that the flush brings out have a pts and no time base.
        base = self._stream.time_base
        stamp = None if picture.pts is None or base is None else float(picture.pts * base)
        pts_seconds = self._clock.seconds(stamp)
        self.repaired_pts = self._clock.repaired
        index, self._index = self._index, self._index + 1
        return Frame(self._convert(picture), index, pts_seconds, time.monotonic_ns(), self.source_id)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Frames in order; packets that cannot be decoded are counted and left out."""
        for packet in self._packets():
            try:
                pictures = self._stream.codec_context.decode(packet)
            except av.error.FFmpegError:
                self._damaged += 1
                continue
            yield from pictures

    def _packets(self) -> Iterator[av.Packet[av.VideoStream] | None]:
        """What the container holds, then None, which flushes the decoder."""
        packets = self._container.demux(self._stream)
        while not self._interrupted:
            try:
                packet = next(packets)
            except (av.error.FFmpegError, StopIteration) as error:
                self._damaged += not isinstance(error, StopIteration)
                break
            if packet.size:
                self._note(packet)
                yield packet
        yield None

    def _note(self, packet: av.Packet[av.VideoStream]) -> None:
        self._damaged += packet.is_corrupt
        if packet.pts is not None and packet.time_base is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._seen_end = max(end, self._seen_end or end)

    def _check_complete(self) -> None:
        declared = _declared_end(self._stream)
        if declared is not None and self._seen_end is not None:
            missing = float(declared - self._seen_end)
            # Two frames: containers round their durations.
            if missing > 2 / (self.fps or _DEFAULT_FPS):
                raise CorruptSource(
                    f"{self._name}: cut off: {self._index} frames decoded, the last "
                    f"{missing:.1f} s of {float(declared):.1f} s are missing"
                )
        if self._damaged:
            raise CorruptSource(f"{self._name}: {self._index} frames decoded{self._damage()}")

    def _damage(self) -> str:
        return f", {self._damaged} damaged packet(s) left out" if self._damaged else ""

    def counters(self) -> dict[str, int]:
        return {**super().counters(), "damaged": self._damaged}

    def interrupt(self) -> None:
        super().interrupt()
        if self._line:
            self._line.hang_up()

    def close(self) -> None:
        self._container.close()
        if self._line:
            self._line.close()


def _open_file(path: Path, name: str) -> InputContainer:
    if path.is_dir():
        raise SourceError(f"{name}: is a folder, not a video file")
    if not path.exists():
        raise SourceError(f"{name}: no such file", "not_found")
    try:
        # The protocol is spelled out so that a colon in a file's name is not taken for one.
        return open_container(f"file:{path}", options={"protocol_whitelist": "file,crypto,data"})
    except av.error.FFmpegError as error:
        why = f"{reason(error)}: not a video, or cut off before its index was written"
        raise SourceError(f"{name}: cannot be read ({why})") from error


def _declared_end(stream: av.VideoStream) -> Fraction | None:
    """Where the container says that the video ends, in seconds; None when it does not say.

    mp4 and avi have it in their index, Matroska in a tag. A transport stream has none: its duration is
    estimated from its own last packets.
    """
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    if stream.frames and stream.duration and stream.time_base:
        return Fraction(stream.duration + (stream.start_time or 0)) * stream.time_base
    return None
