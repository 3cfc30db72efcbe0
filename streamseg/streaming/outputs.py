"""Which sinks a configuration asks for, and their paths when there are several sources.

Tested in tests/streaming/test_job.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from streamseg.addresses import is_address, source_ids
from streamseg.capture.open import is_live
from streamseg.files import check_file_replaceable
from streamseg.sinks.alpha_video_sink import AlphaVideoSink
from streamseg.sinks.base import Sink, close_all
from streamseg.sinks.broadcast_sink import BroadcastSink, is_broadcast
from streamseg.sinks.collisions import PlannedOutput, refuse_collisions
from streamseg.sinks.events_sink import EventsSink
from streamseg.sinks.image_sink import ImageSink
from streamseg.sinks.jsonl_sink import JsonlSink
from streamseg.sinks.null_sink import NullSink
from streamseg.sinks.publish_sink import PublishSink
from streamseg.sinks.record_sink import RecordSink
from streamseg.sinks.trace_sink import TraceSink
from streamseg.sinks.video_sink import VideoSink
from streamseg.sinks.window_sink import WindowSink
from streamseg.streaming.config import OutputConfig

__all__ = ["check_outputs", "open_shared", "open_sinks", "own_sinks", "planned_outputs", "written_paths"]

_WITH_FILES = VideoSink | AlphaVideoSink | BroadcastSink | JsonlSink | EventsSink | RecordSink | ImageSink


def planned_outputs(output: OutputConfig, ids: Sequence[str]) -> list[PlannedOutput]:
    """Every file and folder that the run may write, in the order it mentions them."""
    videos = [
        PlannedOutput(_video_path(video, i, len(ids)), "-o")
        for video in output.video
        for i in ids
        if not is_address(video)
    ]
    others = [
        PlannedOutput(output.jsonl or "", "--jsonl"),
        PlannedOutput(output.events or "", "--events"),
        PlannedOutput(output.record or "", "--record"),
        PlannedOutput(output.images or "", "--images", is_folder=True),
        PlannedOutput(output.summary or "", "--summary"),
    ]
    return [*videos, *(other for other in others if other.path)]


def written_paths(sinks: Iterable[Sink]) -> list[str]:
    """The files and folders that were written, in the order of `sinks`; a failed source may have none."""
    paths = [
        sink.folder if isinstance(sink, ImageSink) else sink.path
        for sink in dict.fromkeys(sinks)
        if isinstance(sink, _WITH_FILES) and sink.frames
    ]
    return [str(path) for path in paths if path and path.exists()]


def open_sinks(
    output: OutputConfig,
    specs: Sequence[str],
    other_inputs: Sequence[str] = (),
    shared: Sequence[Sink] | None = None,
    *,
    has_alpha: bool = False,
) -> dict[str, list[Sink]]:
    """The sinks of each source: a video each; the data file, the image folder and the window are shared.

    `other_inputs`: further files that must not be overwritten, such as the engine. `shared`: what
    `open_shared` gave, where that was called before. `has_alpha`: pictures are cut-outs. Raises ConfigError
    or SinkError before anything is read, so that a long run cannot fail at its end; the summary is checked.
    """
    ids = source_ids(specs)
    check_outputs(output, ids, [*specs, *other_inputs])
    live = any(map(is_live, specs))
    with ExitStack() as undo:
        own = {}
        for i in ids:
            own[i] = own_sinks(output, i, len(ids), has_alpha=has_alpha)
            undo.callback(close_all, own[i])
        every = open_shared(output, len(ids), has_alpha=has_alpha, live=live) if shared is None else shared
        undo.pop_all()
    return {i: [*own[i], *every] for i in ids}


def check_outputs(output: OutputConfig, ids: Sequence[str], inputs: Sequence[str]) -> None:
    """Raise ConfigError where an output of the sources `ids` would overwrite an input or another output, and
    SinkError where the summary cannot be written."""
    refuse_collisions(inputs, planned_outputs(output, ids))
    if output.summary and output.summary != "-":
        check_file_replaceable(Path(output.summary))


def own_sinks(output: OutputConfig, source_id: str, count: int, *, has_alpha: bool = False) -> list[Sink]:
    """What only one source of `count` writes. Raises ConfigError or SinkError."""
    made: list[Sink] = []
    with ExitStack() as undo:
        undo.callback(close_all, made)
        for video in output.video:
            made.append(_video_sink(video, source_id, count, has_alpha=has_alpha))
        undo.pop_all()
    return made


def open_shared(
    output: OutputConfig, count: int, *, has_alpha: bool = False, live: bool = False
) -> list[Sink]:
    """What all of `count` sources write; of `live` ones a record that is there is continued.

    Raises ConfigError or SinkError.
    """
    shared: list[Sink] = []
    if output.jsonl:
        shared.append(JsonlSink(output.jsonl))
    if output.images:
        shared.append(ImageSink(output.images, "png" if has_alpha else "jpg", several_sources=count > 1))
    if output.show:
        shared.append(WindowSink())  # last: its window would outlive a complaint of the others
    if not shared and not output.video:
        shared.append(NullSink())
    if output.events:
        shared.append(EventsSink(output.events))
    if output.record:
        shared.append(RecordSink(output.record, continues=live))
    shared.extend(PublishSink(address) for address in output.publish)
    if output.traces:
        shared.append(TraceSink(output.traces, output.trace_share))
    return shared


def _video_sink(video: str, source_id: str, count: int, *, has_alpha: bool) -> Sink:
    path = _video_path(video, source_id, count)
    if is_broadcast(path):
        return BroadcastSink(path, source_id)
    return AlphaVideoSink(path) if has_alpha else VideoSink(path)


def _video_path(video: str, source_id: str, count: int) -> str:
    """`out.mp4`, or `out-<source>.mp4` when there are several; `rtsp://host/live-<source>` likewise."""
    if is_address(video):
        address, mark, query = video.partition("?")
        return f"{address}-{quote(source_id)}{mark}{query}" if count > 1 else video
    path = Path(video)
    return str(path.with_name(f"{path.stem}-{source_id}{path.suffix}")) if count > 1 else video
