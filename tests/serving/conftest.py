"""A real run behind a real server: an engine that finds one square in every frame, sources by API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.sinks.base import Sink
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.live import LivePage
from streamseg.streaming.outputs import open_shared, open_sinks

INFO = EngineInfo("fake", "squares", ("shape", "thing"), "stretch", (72, 96), 20, 0.05)
SCENE = "synthetic:{}?size=192x144&frames={}"
SECONDS = 30


def outputs_of(batch: Any) -> EngineOutputs:
    """One square in the middle of every frame, half its width and height."""
    count = len(batch)
    masks = np.zeros((count, 20, 18, 24), np.uint8)
    masks[:, 0, 5:14, 6:18] = 255
    boxes = np.zeros((count, 20, 4), np.float32)
    boxes[:, 0] = 0.25, 0.25, 0.75, 0.75
    scores = np.zeros((count, 20), np.float32)
    scores[:, 0] = 0.9
    return EngineOutputs(boxes, scores, np.zeros((count, 20), np.int32), masks, np.ones(count, np.int32))


@dataclass
class Served:
    """A run, and ways to talk to it."""

    job: Job
    address: str
    token: str | None

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        return requests.request(
            method, self.address + path.lstrip("/"), headers=headers, timeout=SECONDS, **more
        )

    def add(self, spec: str) -> str:
        answer = self.ask("POST", "/api/sources", json={"spec": spec})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("GET", "/api/status").json()
        return answer

    def source(self, source_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("GET", f"/api/sources/{source_id}").json()
        return answer

    def viewer(self, **more: Any) -> ClientConnection:
        return connect(self.address.replace("http", "ws") + "api/live", max_size=None, proxy=None, **more)


@contextmanager
def runs() -> Iterator[Callable[..., Served]]:
    """Start runs of these options; every one ends with the block, and none may fail."""
    running: list[tuple[Job, threading.Thread, list[BaseException]]] = []

    def start(
        file: ConfigFile | None = None, token: str | None = None, latency_s: float = 0.02, **options: Any
    ) -> Served:
        serving = {"address": "127.0.0.1:0", **options.pop("serve", {})}
        file = file or ConfigFile(None, {**options, "serve": serving})
        config = file.load()
        page = LivePage(config.serve)
        shared: list[Sink] = open_shared(config.output, 2)
        job = Job(
            config,
            open_sinks(config.output, config.sources, shared=shared),
            INFO,
            lambda: FakeEngine(INFO, outputs_of, latency_s=latency_s),
            page=page.part,
            shared=shared,
        )
        page.serve(job, file)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                job.run()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        running.append((job, thread, failures))
        served = Served(job, page.address, token)
        eventually(lambda: served.ask("GET", "/readyz").status_code == 200)
        return served

    try:
        yield start
    finally:
        for job, thread, _ in running:
            job.pipeline.stop(5)
            thread.join(SECONDS)
    assert [failures for _, _, failures in running if failures] == []


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with runs() as start:
        yield start


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One run for the tests of a module, without sources, whose files may come from nowhere."""
    with runs() as start:
        yield start()


def frame_of(message: bytes) -> tuple[int, dict[str, Any], bytes]:
    """Number, head and picture of a message of the WebSocket."""
    number, length = (int.from_bytes(message[at : at + 4], "little") for at in (0, 4))
    return number, json.loads(message[8 : 8 + length]), message[8 + length :]


def newest(viewer: ClientConnection, source_id: str) -> dict[str, Any]:
    """Watch, and acknowledge until a frame has come; its head."""
    viewer.send(json.dumps({"watch": [source_id]}))
    while True:
        number, head, _ = frame_of(_bytes(viewer))
        viewer.send(json.dumps({"ack": number}))
        if "frame" in head:
            return head


def _bytes(viewer: ClientConnection) -> bytes:
    message = viewer.recv(timeout=SECONDS)
    assert isinstance(message, bytes)
    return message


def eventually(look: Any, seconds: float = SECONDS) -> Any:
    """What `look` gives, once it is true."""
    ended = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if value := look():
            return value
        ended.wait(0.02)
    pytest.fail("it never came true")


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"
