"""Opening addresses with FFmpeg: what it may speak, in time, and errors that say what is wrong."""

from __future__ import annotations

import socket
import ssl
import time

import av.error
from av.container import InputContainer

from streamseg.addresses import Address, for_ffmpeg, shown, split_address
from streamseg.capture.decode import nameless, open_container, reason
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError, SourceTimeout
from streamseg.source_state import SourceReason

__all__ = ["DEFAULT_PORTS", "SCHEMES", "checked_address", "failure_kind", "is_playlist", "open_address"]

DEFAULT_PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "tls": 443}

_WEB = "http,https,tcp,tls,crypto,httpproxy"
_RTMP = f"{_WEB},rtmp,rtmpe,rtmps,rtmpt,rtmpte,rtmpts,ffrtmphttp,ffrtmpcrypt"
_RTSP = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https"
_PACKETS = "udp,rtp,srtp,tcp,tls"
SCHEMES: dict[str, str] = {
    **dict.fromkeys(("rtsp", "rtsps"), _RTSP),
    **dict.fromkeys(("http", "https"), _WEB),
    **dict.fromkeys(("rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts"), _RTMP),
    **dict.fromkeys(("udp", "rtp", "srtp", "tcp", "tls"), _PACKETS),
    **dict.fromkeys(("mmsh", "mmst"), "mmsh,mmst,tcp,http"),
    "srt": "srt",
}
"""What an address may begin with, and which protocols FFmpeg may use for it, whatever a playlist or an answer
names: no files, no `concat:`, no `data:`."""

_TLS = frozenset({"https", "rtsps", "rtmps", "tls"})

# Time to the first frame .15 s; .95 s with FFmpeg's defaults (measured on RTSP, joining a running stream).
_QUICK_START = {"fpsprobesize": "0", "analyzeduration": "100000", "probesize": "200000"}
# The newest segment of a live playlist, not the third last.
_PLAYLIST = {"live_start_index": "-1"}


def checked_address(url: str) -> Address:
    """Its parts. Raises SourceError, without a reason to try again, for what no server can answer."""
    parts = split_address(url)
    try:
        parts.check()
    except ValueError as error:
        raise SourceError(f"{shown(url)}: not a valid address: {error}") from error
    if parts.scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise SourceError(f"{shown(url)}: {parts.scheme}:// is no scheme of a stream; known are {known}")
    return parts


def is_playlist(url: str) -> bool:
    """Whether it names an HLS playlist."""
    parts = split_address(url)
    return parts.scheme in ("http", "https") and parts.path.lower().endswith((".m3u8", ".m3u"))


def open_address(url: str, options: SourceOptions, *, quick_start: bool = False) -> InputContainer:
    """Connect; raises SourceTimeout or SourceError. A later read that waits longer than
    `options.read_timeout_s` raises av.error.ExitError.

    Connecting and finding out what is sent may each take `options.open_timeout_s`.
    """
    parts = checked_address(url)
    settings = {"protocol_whitelist": SCHEMES[parts.scheme], **_trust(options)}
    if quick_start:
        settings |= _QUICK_START
    if parts.scheme.startswith("rtsp"):
        settings |= {"rtsp_transport": options.transport, "allowed_media_types": "video"}
    elif is_playlist(url):
        settings |= _PLAYLIST
    allowed = options.open_timeout_s
    began = time.monotonic()
    try:
        return open_container(for_ffmpeg(url), options=settings, timeout_s=(allowed, options.read_timeout_s))
    except av.error.FFmpegError as error:
        # FFmpeg's RTSP calls a reply that never came "invalid data".
        if isinstance(error, av.error.TimeoutError) or time.monotonic() - began >= allowed:
            raise SourceTimeout(f"{shown(url)}: no answer within {allowed:g} s") from nameless(error)
        kind, why = failure_kind(error)
        if parts.scheme in _TLS and not options.self_signed and (distrust := _distrust(parts, allowed)):
            kind, why = "certificate", distrust
        raise SourceError(f"{shown(url)}: cannot be opened ({why})", kind) from nameless(error)


def _trust(options: SourceOptions) -> dict[str, str]:
    """FFmpeg checks no certificate unless told to, and does not know where this system keeps its own."""
    if options.self_signed:
        return {"tls_verify": "0"}
    paths = ssl.get_default_verify_paths()
    return {"tls_verify": "1", **({"ca_file": paths.cafile} if paths.cafile else {})}


def _distrust(parts: Address, timeout_s: float) -> str | None:
    """What is wrong with the server's certificate, in words; None when nothing is, or it cannot be asked.

    FFmpeg says "input/output error" for any of it.
    """
    context = ssl.create_default_context()
    try:
        place = parts.host, parts.port or DEFAULT_PORTS[parts.scheme]
        with socket.create_connection(place, timeout_s) as line:
            context.wrap_socket(line, server_hostname=parts.host).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}; capture.self_signed accepts any"
    except OSError:
        return None
    return None


_KINDS: tuple[tuple[type[av.error.FFmpegError], SourceReason, str], ...] = (
    (av.error.ConnectionRefusedError, "connection", "connection refused: nothing is serving at this port"),
    (
        av.error.HTTPUnauthorizedError,
        "auth",
        "user name and password wanted, or not the right ones: scheme://USER:PASSWORD@host/…",
    ),
    (av.error.HTTPForbiddenError, "auth", "403: this user may not see it"),
    (av.error.HTTPNotFoundError, "not_found", "404: the server has no such stream; check the path"),
    (av.error.HTTPTooManyRequestsError, "connection", "429: too many requests"),
    (av.error.HTTPServerError, "connection", "a fault of the server's own"),
    (av.error.HTTPClientError, "handshake", ""),
    (av.error.ProtocolNotFoundError, "handshake", "this FFmpeg does not know this scheme"),
    (av.error.TimeoutError, "timeout", ""),
    (av.error.ExitError, "timeout", ""),
    (av.error.DecoderNotFoundError, "codec", ""),
    (av.error.InvalidDataError, "handshake", "what it answers is not what the address says"),
    (av.error.ArgumentError, "handshake", ""),
    (av.error.EOFError, "connection", "the server hung up without an answer"),
)


def failure_kind(error: av.error.FFmpegError) -> tuple[SourceReason, str]:
    """The kind of trouble, and words for it. Everything else is a connection that broke."""
    for of_kind, kind, words in _KINDS:
        if isinstance(error, of_kind):
            return kind, words or reason(error)
    return "connection", reason(error)
