"""Typed configuration: defaults < YAML file < command line, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from streamseg.addresses import shown
from streamseg.engine_contract import AnyPrecision, AnyRuntime
from streamseg.errors import ConfigError
from streamseg.events.config import EventsConfig
from streamseg.overlay.effect_spec import EffectSpec, parse_effect
from streamseg.settings import Section, load_section
from streamseg.sinks.alpha_video_sink import ALPHA_ENDINGS

__all__ = [
    "CameraConfig",
    "CaptureConfig",
    "EngineConfig",
    "OutputConfig",
    "OverlayConfig",
    "RecordingConfig",
    "RunConfig",
    "ServeConfig",
    "TrackConfig",
    "load_config",
]

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]
"""An empty one is a variable of a script that was never set."""
Pixels = Annotated[int, Field(ge=1, le=65536)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class EngineConfig(Section):
    path: Name = "compact"
    """An .onnx file, a checkpoint (.pth, for the torch runtime), or the name of a bundled engine or of
    published weights (`streamseg models`), which are fetched and exported on first use."""
    cache: Name | None = None
    """Folder for published weights and the engines made of them; the user's cache folder when left out."""
    runtime: AnyRuntime = "auto"
    """`auto` takes the fastest that is installed and says which."""
    precision: AnyPrecision = "auto"
    """`auto` is the fastest that the runtime has here: BF16 where the CPU has it, what a TensorRT engine was
    built in."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of the engine; all cores when left out."""
    batch_window_s: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    """How long a frame may wait for frames of other sources to share a call of the engine with; 0: it takes
    what is there."""
    allow_failed_certificate: bool = False
    """Run an engine that `streamseg certify` found to differ too much from its reference."""
    rebuild: bool = False
    """Build a TensorRT engine again, from its .onnx, where it was made for another GPU or version."""


class CameraConfig(Section):
    """How to reach and read one source."""

    open_timeout_s: Seconds = 5.0
    """A camera or stream that does not answer for so long is an error at start, or waited for."""
    read_timeout_s: Seconds = 5.0
    """A stream that delivers no frame for so long is taken to be disconnected."""
    stall_s: Seconds = 2.0
    """A stream that delivers no frame for so long is called stalled; it is not given up yet."""
    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP transport; rtsps:// is TCP under TLS."""
    self_signed: bool = False
    """Of https, rtsps and rtmps: accept any certificate, also one that nobody vouches for."""
    wait_for_source: bool | None = None
    """Wait for a camera or stream that is off at start, instead of an error; when left out, where there are
    several."""
    max_backoff_s: Seconds = 10.0
    """The longest pause between two attempts to reach a camera or stream."""
    size: tuple[Pixels, Pixels] | None = None
    """Width and height to ask of a webcam."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frame rate to ask of a webcam; nominal rate of a folder of images."""
    main: Name | None = None
    """Address of the camera's main stream, which is recorded in place of the source, its sub-stream."""


class CaptureConfig(CameraConfig):
    """Of every source, and what is different for some."""

    per_source: dict[Name, CameraConfig] = Field(default_factory=dict)
    """By the name of the source as outputs show it: the keys of `capture` that differ for it."""

    def of(self, source_id: str) -> CameraConfig:
        """What holds for one source."""
        own = self.per_source.get(source_id, CameraConfig())
        return self.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


class TrackConfig(Section):
    enabled: bool = True
    """Follow objects and give them ids."""
    lost_seconds: Annotated[float, Field(gt=0, le=60)] | None = None
    """How long an object may be out of sight and keep its id; the tracker's default when left out."""


class OverlayConfig(Section):
    trail_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Length of the trail behind each tracked object; 0 draws none."""
    status: bool = True
    """The small line with frames per second and age."""
    effects: tuple[Name, ...] = ()
    """Effects in place of masks and labels, `KIND[:class or #id,…][=VALUE]`, in this order."""

    @field_validator("effects")
    @classmethod
    def _effects_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for text in value:
                parse_effect(text)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def effect_specs(self) -> tuple[EffectSpec, ...]:
        """The effects, taken apart."""
        return tuple(parse_effect(text) for text in self.effects)

    @property
    def has_alpha(self) -> bool:
        """Whether pictures are cut-outs."""
        return any(spec.kind == "cutout" for spec in self.effect_specs)


class OutputConfig(Section):
    video: tuple[Name, ...] = ()
    """Annotated: .mp4, .mkv, .m3u8 (HLS), `rtsp://…`; one, or a list."""
    jsonl: Name | None = None
    """JSON Lines, one line per frame; `-` is standard output."""
    events: Name | None = None
    """JSON Lines, one CloudEvent for each thing that the rules see; `-` is standard output."""
    publish: tuple[Name, ...] = ()
    """Addresses that get every event: `https://…`, `mqtt://broker/prefix`, `kafka://broker/topic`."""
    record: Name | None = None
    """A record, of which pictures, events and reports can be made later without an engine."""
    traces: Name | None = None
    """`http://HOST:4318` of an OpenTelemetry collector."""
    trace_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Of the frames, those of which a trace is sent."""
    images: Name | None = None
    """Folder for annotated images."""
    show: bool = False
    """A window."""
    summary: Name | None = None
    """JSON file for the end-of-run summary; `-` is standard output."""

    @field_validator("video", mode="before")
    @classmethod
    def _one_is_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class RecordingConfig(Section):
    """Streams as the cameras encoded them: nothing is drawn on them, and nothing is encoded."""

    segments: Name | None = None
    """Folder for everything, as `SOURCE/2026-11-21T22-40-15.250Z.mp4`."""
    segment_s: Seconds = 60.0
    """Length of a file; it ends with the first key picture after so long."""
    clips: Name | None = None
    """Folder for a clip of each event, as `SOURCE/TIME_EVENT.mp4`, and of clips that are asked for."""
    before_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """A clip begins so long before its moment, and with the key picture before that."""
    after_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    keep_days: Annotated[float, Field(gt=0)] | None = None
    """Older files are removed, of segments and of clips."""
    keep_gb: Annotated[float, Field(gt=0)] | None = None
    """Of segments, and of clips, the oldest are removed until the rest is no more; 1 GB is 10^9 bytes."""


class ServeConfig(Section):
    address: Name | None = None
    """HOST:PORT of the live page and the HTTP API, such as 127.0.0.1:8080; none when left out."""
    token_file: Name | None = None
    """File whose one line is the token; wanted where others than this machine can reach the address."""
    hosts: tuple[Name, ...] = ()
    """Names under which browsers may reach it, besides IP addresses and localhost."""
    folders: tuple[Name, ...] = ()
    """Where files lie that may be added as sources through the API; none when left out."""
    healthy_seconds: Seconds = 30.0
    """A live source from which no frame came for so long makes /healthz fail."""


class RunConfig(Section):
    """All of one `streamseg run`."""

    sources: tuple[Name, ...] = ()
    """Files, stream addresses, webcams (`0`), folders of images, or `synthetic[:SEED]`."""
    engine: EngineConfig = EngineConfig()
    score: Fraction = 0.3
    """Instances below it are not drawn, written or given a new id."""
    double_iou: Fraction = 0.7
    """Of two instances of different classes whose masks have a greater IoU only the one that is clearly surer
    is kept; 1: both are."""
    classes: tuple[Name, ...] | None = None
    """Names of classes to keep; all when left out."""
    max_frames: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many frames of each source."""
    drop: Literal["auto", "oldest", "never"] = "auto"
    """When the engine is slower than the source: `oldest` keeps the newest frame, `never` waits.
    `auto` is `oldest` for live sources and `never` for files."""
    max_age_s: Seconds | None = None
    """Of live sources: no result older than this reaches an output. Where too much is lost, every second
    frame, or every one, goes past the engine, its masks moved by the tracker."""
    capture: CaptureConfig = CaptureConfig()
    track: TrackConfig = TrackConfig()
    overlay: OverlayConfig = OverlayConfig()
    events: EventsConfig | None = None
    """Zones, lines and other rules."""
    output: OutputConfig = OutputConfig()
    recording: RecordingConfig = RecordingConfig()
    serve: ServeConfig = ServeConfig()

    @field_validator("sources", "classes", mode="before")
    @classmethod
    def _one_is_many(cls, value: Any) -> Any:
        """A lone name may be written without a list, a webcam's number without quotes."""
        if isinstance(value, str | int) and not isinstance(value, bool):
            value = [value]
        return [str(v) if isinstance(v, int) else v for v in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _events_have_rules(self) -> RunConfig:
        if (self.output.events or self.output.publish) and self.events is None:
            wants = "output.events" if self.output.events else "output.publish"
            raise ValueError(f"{wants} needs rules under `events`; streamseg zones draws them")
        if self.events is not None and not self.track.enabled:
            raise ValueError("events need tracks: leave track.enabled on")
        return self

    @property
    def copies_packets(self) -> bool:
        """Whether pictures leave the run that nothing was drawn on: as the camera encoded them."""
        return bool(self.recording.segments or self.recording.clips)

    @model_validator(mode="after")
    def _main_streams_are_recorded(self) -> RunConfig:
        if self.capture.main and len(self.sources) > 1:
            raise ValueError("capture.main: of which camera? put it under capture.per_source.NAME")
        cameras = [self.capture, *self.capture.per_source.values()]
        if any(camera.main for camera in cameras) and not self.copies_packets:
            raise ValueError(
                "a main stream is there to be recorded: name recording.segments or recording.clips"
            )
        return self

    @model_validator(mode="after")
    def _cut_outs_have_a_place(self) -> RunConfig:
        alpha = self.overlay.has_alpha
        for video in self.output.video:
            if (Path(video).suffix.lower() in ALPHA_ENDINGS) != alpha:
                known = " or ".join(ALPHA_ENDINGS)
                raise ValueError(
                    f"-o {shown(video)}: the effect cutout needs {known}, which have alpha, "
                    "and these need the effect; images are png with it"
                )
        if alpha and self.output.show:
            raise ValueError("a window shows no alpha: use an effect cutout with -o out.mov or --images")
        return self


def load_config(path: str | None = None, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Defaults, then the YAML file at `path`, then `overrides` (nested like the file).

    Raises ConfigError, one line naming file, key and value.
    """
    return load_section(RunConfig, path, overrides)
