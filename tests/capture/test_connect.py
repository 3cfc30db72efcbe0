"""What a server answers, and what kind of trouble that is."""

from __future__ import annotations

import pytest

from streamseg.capture.connect import open_address
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError
from tests.capture.served import answering

QUICK = SourceOptions(open_timeout_s=0.5)
STATUS = "{protocol} {status}\r\nCSeq: 1\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        ("401 Unauthorized", "auth", "user name and password wanted"),
        ("403 Forbidden", "auth", "may not see it"),
        ("404 Not Found", "not_found", "no such stream"),
        ("400 Bad Request", "handshake", "400"),
        ("503 Busy", "connection", "fault of the server's own"),
    ],
)
def test_status_lines(scheme: str, status: str, reason: str, says: str) -> None:
    protocol = {"rtsp": "RTSP/1.0", "http": "HTTP/1.0"}[scheme]
    answer = STATUS.format(protocol=protocol, status=status).encode()
    with (
        answering(lambda line: line.sendall(answer)) as url,
        pytest.raises(SourceError, match=says) as caught,
    ):
        open_address(url.replace("http", scheme), QUICK)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("scheme", "answer", "reason"),
    [
        ("rtsp", b"SSH-2.0-OpenSSH_9.2\r\n" * 50, "handshake"),
        (
            "http",
            b"HTTP/1.0 200 OK\r\nContent-Length: 9000\r\n\r\n" + 300 * b"this is no video at all, hi!!!",
            "handshake",
        ),
        ("https", b"HTTP/1.0 200 OK\r\n\r\n", "connection"),
        ("http", b"", "connection"),
    ],
)
def test_answers_that_are_not_the_protocol(scheme: str, answer: bytes, reason: str) -> None:
    with answering(lambda line: line.sendall(answer)) as url, pytest.raises(SourceError) as caught:
        open_address(url.replace("http", scheme), SourceOptions(open_timeout_s=5))
    assert caught.value.reason == reason


def test_nobody_listens_or_nobody_answers(free_port: int) -> None:
    with pytest.raises(SourceError) as caught:
        open_address(f"rtsp://127.0.0.1:{free_port}/x", QUICK)
    assert caught.value.reason == "connection"
    with answering(lambda line: line.recv(1) and None) as url, pytest.raises(SourceError) as caught:
        open_address(url, QUICK)
    assert caught.value.reason == "timeout"
