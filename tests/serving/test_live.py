"""The WebSocket: the newest of what is watched, at each viewer's own pace, and nothing that harms the run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from websockets.exceptions import ConnectionClosed

from .conftest import SCENE, eventually, frame_of, newest

ENDLESS = 1_000_000


@pytest.fixture(scope="module")
def scene(served):
    return served.add(SCENE.format(1, ENDLESS))


def frames(viewer, count, *, acknowledge=True):
    """The next so many messages with a frame."""
    found = []
    while len(found) < count:
        number, head, picture = frame_of(viewer.recv(timeout=30))
        if acknowledge:
            viewer.send(json.dumps({"ack": number}))
        if "frame" in head:
            found.append((number, head, picture))
    return found


def test_a_viewer_gets_state_pictures_and_masks(served, scene):
    with served.viewer() as viewer:
        _, head, _ = frame_of(viewer.recv(timeout=30))
        assert scene in [one["id"] for one in head["state"]["sources"]]
        viewer.send(json.dumps({"watch": [scene]}))
        (_, head, picture), *_ = frames(viewer, 3)
    assert head["size"] == [192, 144]
    [instance] = head["frame"]["instances"]
    assert instance["class"] == "shape"
    assert coco_mask.decode(instance["mask"])[72, 96] == 1
    assert len(head["frame"]["colours"]) == 1
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (144, 192, 3)


@pytest.mark.slow
def test_nothing_is_sent_of_what_is_not_watched(served, scene):
    with served.viewer() as viewer:
        for _ in range(3):
            number, head, _ = frame_of(viewer.recv(timeout=30))
            viewer.send(json.dumps({"ack": number}))
            assert {"state", "events"} & set(head)


def without_acknowledging(viewer):
    """All that comes to a viewer that draws nothing, until no more does."""
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(frame_of(viewer.recv(timeout=0.7)))
    return found


def test_a_viewer_that_does_not_draw_gets_two_and_then_the_newest(served, scene):
    with served.viewer() as viewer:
        viewer.send(json.dumps({"watch": [scene]}))
        got = without_acknowledging(viewer)
        old = [number for number, head, _ in got if "frame" in head]
        assert len(old) == 2
        assert len(got) - len(old) <= 2  # of the state, too
        delivered = served.source(scene)["delivered"]
        viewer.send(json.dumps({"ack": old[0]}))
        [(_, head, _)] = frames(viewer, 1, acknowledge=False)
        assert head["frame"]["index"] >= delivered - 1


def test_encoding_happens_only_when_someone_watches(served, scene):
    hub = served.job.companions[1]._server._hub
    before = hub.encodings
    delivered = served.source(scene)["delivered"]
    eventually(lambda: served.source(scene)["delivered"] > delivered + 10)
    assert hub.encodings == before


def test_a_dead_source_shows_its_last_picture_to_who_comes_late(served):
    source_id = served.add(SCENE.format(4, 6))
    eventually(lambda: served.source(source_id)["delivered"] == 6)
    with served.viewer() as viewer:
        head = newest(viewer, source_id)
    assert head["frame"]["index"] == 5
    served.ask("DELETE", f"/api/sources/{source_id}")


def closing_code(viewer):
    """With which code the server closes it."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            viewer.recv(timeout=30)
    return viewer.close_code


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff" * 50, "", "{", "[]", "{}", "null", '{"ack": "1"}', '{"ack": 999999}', '{"ack": true}',
        '{"watch": "cam"}', '{"watch": [1]}', '{"watch": [], "x": 1}', "[" * 500,
    ],
)  # fmt: skip
def test_garbage_ends_its_own_viewer(served, garbage):
    with served.viewer() as viewer:
        viewer.send(garbage)
        assert closing_code(viewer) == 1008
    assert served.ask("GET", "/healthz").status_code == 200


def test_an_order_that_is_too_long_is_not_read(served):
    with served.viewer() as viewer:
        viewer.send(json.dumps({"watch": ["x" * 20_000]}))
        assert closing_code(viewer) == 1009


def rss_kb():
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_a_flood_of_pings_that_reads_no_answer_is_cut_off(served, scene):
    ping = b"\x89\xfd\x00\x00\x00\x00" + bytes(125)
    before = rss_kb()
    with deaf_viewer(served, scene) as raw:
        raw.settimeout(30)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                sent += raw.send(ping * 400)
        assert sent < 50_000_000
    assert rss_kb() - before < 60_000


@pytest.mark.slow
def test_a_hundred_viewers_see_frames_and_the_run_goes_on(served, scene):
    seen = threading.Semaphore(0)

    def watch():
        with served.viewer() as viewer:
            viewer.send(json.dumps({"watch": [scene]}))
            frames(viewer, 3)
            seen.release()

    before = served.source(scene)["delivered"]
    threads = [threading.Thread(target=watch) for _ in range(100)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert seen.acquire(timeout=30)
    for thread in threads:
        thread.join()
    assert served.source(scene)["delivered"] > before
    eventually(lambda: len(served.job.companions[1]._server._api._viewers) == 0)


def test_viewers_that_never_read_cost_a_bounded_amount(served, scene):
    """Sockets whose windows are full: each holds the system's buffer and no more than two messages here."""
    with contextlib.ExitStack() as viewers:
        for _ in range(20):
            viewers.enter_context(deaf_viewer(served, scene))
        api = served.job.companions[1]._server._api
        eventually(lambda: len(api._viewers) == 20)
        before = served.source(scene)["delivered"]
        eventually(lambda: served.source(scene)["delivered"] > before + 30)
        under_way = [len(viewer._under_way) for viewer in api._viewers]
        assert 0 < max(under_way) <= 4  # two of the source, two of the state
    eventually(lambda: len(api._viewers) == 0)


def deaf_viewer(served, source_id):
    """A socket that says what it wants to watch and reads nothing more."""
    host, port = served.address.removeprefix("http://").rstrip("/").split(":")
    raw = socket.create_connection((host, int(port)))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    hello = (
        f"GET /api/live HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    order = json.dumps({"watch": [source_id]}).encode()
    raw.sendall(hello.encode() + bytes((0x81, 0x80 | len(order), 0, 0, 0, 0)) + order)
    return raw
