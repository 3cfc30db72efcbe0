"""The time of the newest segment, from the text of a playlist and from a server."""

from __future__ import annotations

import socket

import pytest

from streamseg.capture.playlist import NewestSegment, newest_segment, newest_segment_in
from streamseg.capture.source import SourceOptions
from tests.capture.served import answering

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
NOON = 1_800_014_400_000_000_000


@pytest.mark.parametrize(
    ("text", "newest"),
    [
        (
            "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T12:00:00.250Z\n#EXTINF:2.0,\na.ts\n#EXTINF:1.5,\nb.ts\n",
            NewestSegment("b.ts", NOON + 2_250_000_000),
        ),
        (
            "#EXTINF:2,\na.ts\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T14:00:00.000+0200\n#EXTINF:2,\nb.ts\n",
            NewestSegment("b.ts", NOON),
        ),
        ("#EXT-X-PROGRAM-DATE-TIME:2027-01-15T12:00:00\n#EXTINF:2,\na.ts\n", NewestSegment("a.ts", NOON)),
        ("#EXTINF:2,\na.ts\n", NewestSegment("a.ts", None)),
        ("#EXT-X-PROGRAM-DATE-TIME:2027-01-15T12:00:00Z\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n", None),
        ("", None),
    ],
)
def test_of_a_text(text: str, newest: NewestSegment | None) -> None:
    assert newest_segment_in(HEAD + text) == newest


@pytest.mark.parametrize("answer", ["200 OK", "404 Not Found", ""])
def test_of_a_server_that_wants_a_password(answer: str) -> None:
    body = HEAD + "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T12:00:00Z\n#EXTINF:2,\na.ts\n"
    asked = []

    def handle(line: socket.socket) -> None:
        line.sendall(f"HTTP/1.0 {answer}\r\n\r\n{body}".encode() if answer else b"\x00" * 99)

    with answering(handle, asked=asked) as url:
        found = newest_segment(url.replace("//", "//me:p%40ss@") + ".m3u8", SourceOptions(open_timeout_s=5))
    assert b"Authorization: Basic bWU6cEBzcw==" in asked[0]
    assert found == (NewestSegment("a.ts", NOON) if answer == "200 OK" else None)


@pytest.mark.parametrize("line", ["#EXT-X-PROGRAM-DATE-TIME:soon", "#EXTINF:long,"])
def test_what_is_no_time_is_no_answer(line: str) -> None:
    with answering(lambda at: at.sendall(f"HTTP/1.0 200 OK\r\n\r\n{HEAD}{line}\na.ts\n".encode())) as url:
        assert newest_segment(url, SourceOptions(open_timeout_s=5)) is None
