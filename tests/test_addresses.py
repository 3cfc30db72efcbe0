"""Addresses, their secrets, and the names made of them."""

from __future__ import annotations

import random
import re
import socket
import threading
from base64 import b64encode

import av
import av.error
import pytest

from streamseg.addresses import (
    file_path,
    for_ffmpeg,
    is_address,
    printable,
    short_name,
    shown,
    source_ids,
    split_address,
    without_secrets,
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("rtsp://me:secret@host:554/x", "rtsp://me:***@host:554/x"),
        ("rtsp://me:se@cret@host/x", "rtsp://me:***@host/x"),
        ("rtsp://me:se/cret@host/x", "rtsp://me:***@host/x"),
        ("rtsp://me:80/cret@host/x", "rtsp://me:***@host/x"),
        ("rtsp://me:se?cret@host/x", "rtsp://me:***@host/x"),
        ("rtsp://me:se#cret@host/x", "rtsp://me:***@host/x"),
        ("rtsp://se/cret:secret@host/x", "rtsp://se/cret:***@host/x"),
        ("rtsp://secret@host/x", "rtsp://***@host/x"),
        ("rtsp://secret:@host/x", "rtsp://***@host/x"),
        ("RTSP://me:secret@Host/x", "RTSP://me:***@Host/x"),
        (" rtsp://me:secret@host/x", " rtsp://me:***@host/x"),
        ("rtsp:/me:secret@host/x", "rtsp:/me:***@host/x"),
        ("rtsp:me:secret@host/x", "rtsp:me:***@host/x"),
        ("async:rtsp://me:secret@host/x", "async:rtsp://me:***@host/x"),
        ("rtsp://me:secret@[::1]:55/x", "rtsp://me:***@[::1]:55/x"),
        ("rtsp://me:secret@[::1/x", "rtsp://me:***@[::1/x"),
        ("http://host/x?user=secret&pwd=secret;sig=secret", "http://host/x?user=***&pwd=***;sig=***"),
        ("http://host/x?secret", "http://host/x?***"),
        ("http://host?a=1&secret#secret", "http://host?a=***&***#***"),
        ("srt://host:9?passphrase=secret", "srt://host:9?passphrase=***"),
        ("rtsp://host/user=secret_password=secret_channel=1/low", "rtsp://host/user=***/low"),
        ("https://host/@channel/live", "https://host/@channel/live"),
        ("file:///a:b@c?d", "file:///a:b@c?d"),
        ("C:/a:b@c.mp4", "C:/a:b@c.mp4"),
        ("12:30@noon?.mp4", "12:30@noon?.mp4"),
        ("synthetic:7?frames=300", "synthetic:7?frames=300"),
    ],
)
def test_secrets_are_not_shown(spec: str, expected: str) -> None:
    assert without_secrets(spec) == shown(spec) == expected
    assert "secret" not in without_secrets(spec)
    assert "secret" not in short_name(spec)


def test_no_password_of_any_signs_survives() -> None:
    draw = random.Random(5)
    for _ in range(2000):
        password = "".join(draw.choices("xyz@/?#:%&=[]. ", k=draw.randint(1, 5)))
        name, secret = draw.choice(["me", "a@b", "a/b"]), f"Q{password}Q"
        spec = f"{draw.choice(['rtsp://', ' RTSP://', 'http:/'])}{name}:{secret}@host:80/x"
        for said in (without_secrets(spec), short_name(spec)):
            assert "Q" not in said, (spec, said)


ANSWER = b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'


def asked_by_ffmpeg(form: str) -> str:
    """The last request that FFmpeg sends for an address; empty when it does not connect."""
    requests = [""]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    requests.append(connection.recv(4096).decode())
                    connection.sendall(ANSWER)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises((av.error.FFmpegError, ValueError)):
            av.open(for_ffmpeg(form.format(listener.getsockname()[1])), timeout=(1, 1))
        thread.join()
    return requests[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "http://me:p@127.0.0.1:{}/x",
        " HTTP://me:p@ss@127.0.0.1:{}/x",
        "http://me:p@s@s@127.0.0.1:{}/x?y=1",
        "http:/me:p@127.0.0.1:{}/x",
        "http://127.0.0.1:{}/a:b@c",
    ],
)
def test_an_address_is_read_as_ffmpeg_reads_it(form: str) -> None:
    request = asked_by_ffmpeg(form)
    port = int(re.search(r"Host: 127\.0\.0\.1:(\d+)", request)[1])  # type: ignore[index]
    address = split_address(form.format(port))
    assert is_address(form)
    assert (address.scheme, address.host, address.port) == ("http", "127.0.0.1", port)
    assert f"GET {address.path}{address.query} " in request
    if address.credentials:
        assert b64encode(address.credentials.encode()).decode() in request


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("http://me:p/ss@127.0.0.1:{}/x", "/ is written %2F"),
        ("http://me:p?ss@127.0.0.1:{}/x", r"\? %3F"),
        ("http://me:pw@[::1:{}/x", r"has no \]"),
        ("http://127.0.0.1:camera/x", "not a number up to 65535$"),
        ("http://127.0.0.1:99999/x", "not a number up to 65535$"),
    ],
)
def test_what_ffmpeg_cannot_connect_to_is_explained(form: str, says: str) -> None:
    assert asked_by_ffmpeg(form) == ""
    with pytest.raises(ValueError, match=says) as caught:
        split_address(form).check()
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "address"),
    [
        ("rtsp://host", True),
        ("RTSP://host", True),
        ("\trtsp://host", True),
        ("rtsp:/host", True),
        ("what+ever://host", True),
        ("C:/clip.mp4", False),
        ("12:30.mp4", False),
        ("a/rtsp://host", False),
        ("", False),
    ],
)
def test_what_is_an_address(spec: str, address: bool) -> None:
    assert is_address(spec) is address


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("file:///tmp/a.mp4", "/tmp/a.mp4"),
        ("FILE://localhost/tmp/a%20b%3F.mp4", "/tmp/a b?.mp4"),
        ("file:/tmp/a.mp4", "/tmp/a.mp4"),
        ("a%20b.mp4", "a%20b.mp4"),
        ("file:a.mp4", "file:a.mp4"),
        ("rtsp://host/x", "rtsp://host/x"),
    ],
)
def test_file_addresses_are_paths(spec: str, path: str) -> None:
    assert file_path(spec) == path


def test_a_file_of_another_machine() -> None:
    with pytest.raises(ValueError, match="three slashes, file:///clips/a.mp4"):
        file_path("file://clips/a.mp4")


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable("a\x1b[31m\n\x07\x9b\u202e\udcff.mp4") == r"a\x1b[31m\n\x07\x9b\u202e\udcff.mp4"
    assert printable("Zoë 中文 3.12\u202fPM 🚲.mp4") == "Zoë 中文 3.12\u202fPM 🚲.mp4"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("clips/cam-2.mp4", "cam-2"),
        ("folder/", "folder"),
        ("file:///tmp/a%20b.mp4", "a-20b"),
        ("rtsp://me:pw@cam.local:554/live/1?token=x", "cam.local-554-live-1"),
        ("synthetic:7?frames=3", "synthetic-7"),
        ("0", "0"),
        ("..", "source"),
        ("shots/*.jpg", "source"),
        ("x" * 250 + ".mp4", "x" * 100),
    ],
)
def test_short_names(spec: str, name: str) -> None:
    assert short_name(spec) == name


def test_ids_that_end_in_a_number_stay_apart() -> None:
    assert source_ids(["cam-2.mp4", "cam.mp4", "x/cam.mp4", "CAM.mp4"]) == ["cam-2", "cam", "cam-3", "CAM-4"]
    assert source_ids(["clip-cam.mp4", "clip.mp4"]) == ["clip-cam", "clip"]


def test_ids_are_unique_for_any_list() -> None:
    draw = random.Random(11)
    for _ in range(200):
        stems = [draw.choice(["cam", "Cam", "cam-2", "cam-3", "cam-2-2", "", "ä"]) for _ in range(12)]
        specs = [draw.choice(["{}.mp4", "x/{}.mkv", "rtsp://{}", "{}-2.mp4"]).format(stem) for stem in stems]
        ids = source_ids(specs)
        assert len({i.casefold() for i in ids}) == len(specs), specs
        assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,110}", i) for i in ids)
