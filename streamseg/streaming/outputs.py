"""Which sinks a configuration asks for, and their paths when there are several sources.

Tested in tests/streaming/test_job.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from streamseg.addresses import source_ids
from streamseg.files import check_file_replaceable
from streamseg.redaction.audit_sink import AuditSink
from streamseg.sinks.alpha_video_sink import AlphaVideoSink
from streamseg.sinks.base import Sink
from streamseg.sinks.collisions import PlannedOutput, refuse_collisions
from streamseg.sinks.events_sink import EventsSink
from streamseg.sinks.image_sink import ImageSink
from streamseg.sinks.jsonl_sink import JsonlSink
from streamseg.sinks.null_sink import NullSink
from streamseg.sinks.publish_sink import PublishSink
from streamseg.sinks.video_sink import VideoSink
from streamseg.sinks.window_sink import WindowSink
from streamseg.streaming.config import OutputConfig

__all__ = ["check_outputs", "open_shared", "open_sinks", "own_sinks", "planned_outputs", "written_paths"]


def planned_outputs(output: OutputConfig, ids: Sequence[str]) -> list[PlannedOutput]:
    """Every file and folder that the run may write, in the order it mentions them."""
    videos = (
        [PlannedOutput(_video_path(output.video, i, len(ids)), "-o") for i in ids] if output.video else []
    )
    others = [
        PlannedOutput(output.jsonl or "", "--jsonl"),
        PlannedOutput(output.events or "", "--events"),
        PlannedOutput(output.images or "", "--images", is_folder=True),
        PlannedOutput(output.audit or "", "--audit"),
        PlannedOutput(output.summary or "", "--summary"),
    ]
    return [*videos, *(other for other in others if other.path)]


def written_paths(sinks: Iterable[Sink]) -> list[str]:
    """The files and folders that were written, in the order of `sinks`; a failed source may have none."""
    paths = [
        sink.folder if isinstance(sink, ImageSink) else sink.path
        for sink in dict.fromkeys(sinks)
        if isinstance(sink, VideoSink | AlphaVideoSink | JsonlSink | EventsSink | ImageSink | AuditSink)
        and sink.frames
    ]
    return [str(path) for path in paths if path.exists()]


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
    own = {i: own_sinks(output, i, len(ids), has_alpha=has_alpha) for i in ids}
    every = open_shared(output, len(ids), has_alpha=has_alpha) if shared is None else shared
    return {i: [*own[i], *every] for i in ids}


def check_outputs(output: OutputConfig, ids: Sequence[str], inputs: Sequence[str]) -> None:
    """Raise ConfigError where an output of the sources `ids` would overwrite an input or another output, and
    SinkError where the summary cannot be written."""
    refuse_collisions(inputs, planned_outputs(output, ids))
    if output.summary and output.summary != "-":
        check_file_replaceable(Path(output.summary))


def own_sinks(output: OutputConfig, source_id: str, count: int, *, has_alpha: bool = False) -> list[Sink]:
    """What only one source of `count` writes. Raises ConfigError or SinkError."""
    kind = AlphaVideoSink if has_alpha else VideoSink
    return [kind(_video_path(output.video, source_id, count))] if output.video else []


def open_shared(output: OutputConfig, count: int, *, has_alpha: bool = False) -> list[Sink]:
    """What all of `count` sources write. Raises ConfigError or SinkError."""
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
    shared.extend(PublishSink(address) for address in output.publish)
    return shared


def _video_path(video: str, source_id: str, count: int) -> str:
    """`out.mp4`, or `out-<source>.mp4` when there are several."""
    path = Path(video)
    return str(path.with_name(f"{path.stem}-{source_id}{path.suffix}")) if count > 1 else video
