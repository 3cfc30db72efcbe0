"""What a live HLS playlist says of the time of its newest segment; FFmpeg does not pass it on."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from urllib.parse import unquote

from streamseg.addresses import for_ffmpeg, split_address
from streamseg.capture.source import SourceOptions

__all__ = ["NewestSegment", "newest_segment", "newest_segment_in"]

_MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class NewestSegment:
    """The last one of a playlist, with which a new session begins."""

    name: str
    utc_ns: int | None
    """When it begins: nanoseconds since 1970; None where no EXT-X-PROGRAM-DATE-TIME says so."""


def newest_segment(url: str, options: SourceOptions) -> NewestSegment | None:
    """Fetched; None where it lists none, has ended, or cannot be had."""
    parts = split_address(url)
    address = for_ffmpeg(url)
    headers = {}
    if parts.credentials is not None:
        address = address.replace(f"{parts.credentials}@", "", 1)
        token = base64.b64encode(unquote(parts.credentials).encode())
        headers["Authorization"] = f"Basic {token.decode()}"
    opener = urllib.request.build_opener()
    if parts.scheme == "https":
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_trust(options)))
    try:
        with opener.open(
            urllib.request.Request(address, headers=headers), timeout=options.open_timeout_s
        ) as r:
            return newest_segment_in(r.read(_MOST_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError, HTTPException, urllib.error.URLError):
        return None


def _trust(options: SourceOptions) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if options.self_signed:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def newest_segment_in(playlist: str) -> NewestSegment | None:
    """The same of its text. Raises ValueError where a time or length is none."""
    newest = None
    at_ns: int | None = None
    length_s = 0.0
    for line in map(str.strip, playlist.splitlines()):
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-ENDLIST":
            return None
        if tag == "#EXT-X-PROGRAM-DATE-TIME":
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            at_ns = round(moment.timestamp() * 1e6) * 1000
        elif tag == "#EXTINF":
            length_s = float(value.partition(",")[0])
        elif line and not line.startswith("#"):
            newest = NewestSegment(line, at_ns)
            at_ns = None if at_ns is None else at_ns + round(length_s * 1e9)
    return newest
