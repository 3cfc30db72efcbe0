"""Fixtures for every test: shared data, thread leaks, a tiny network and its engine file, an oracle."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import EngineInfo, EngineOutputs

if TYPE_CHECKING:
    from streamseg.models.yolact.yolact import Yolact

TINY_HW = (64, 96)
ORACLE_HW = (64, 96)
TINY_CLASSES = ("disc", "square", "star")
GRACE_SECONDS = 20.0


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the checkout: reference outputs, real pictures and videos."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder `shared` beside the checkout (reference outputs, videos)")
    return folder


def _ours() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.daemon or t.name.startswith("streamseg")}


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """Fail a test that leaves a thread behind which would keep, or outlive, the program."""
    before = _ours()
    yield
    deadline = time.monotonic() + GRACE_SECONDS
    while _ours() - before and time.monotonic() < deadline:
        time.sleep(0.01)
    left = sorted(thread.name for thread in _ours() - before)
    assert not left, f"threads outlived the test: {left}"


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Background jobs of a shell ignore SIGINT, those of nohup SIGHUP, and so would every process that a test
    starts."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled models go to a temporary folder, never to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def tiny_model() -> Yolact:
    """The network `yolact_lite` for 64×96 pictures and three classes; random weights that do see things."""
    torch = pytest.importorskip("torch", reason="needs the extra `models`")
    from streamseg.models.yolact.catalog import build_model

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        model = build_model("yolact_lite", TINY_CLASSES, TINY_HW)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the statistics of one pass, whole
        model.train()(torch.randn(8, 3, *TINY_HW))
        head = model.prediction_layers[0]
        for layer, gain in (
            (head.conf_layer, 4),
            (head.mask_layer, 10),
            (head.bbox_layer, 5),
            (model.proto_net[-1], 5),
        ):
            layer.weight.mul_(gain)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_engine_path(tiny_model: Yolact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model` as an ONNX engine: room for 20 detections, of which a few to all are taken.

    Exported once for all processes of a run (`pytest -n`); each has its own copy.
    """
    from filelock import FileLock

    from streamseg.export.onnx_export import export

    own = tmp_path_factory.mktemp("tiny")
    (own / "part").mkdir()
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny_engine"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            part = export(
                tiny_model, own / "part" / "tiny.onnx", max_detections=20, score_threshold=0.5
            ).parent
            part.rename(made)
    shutil.copytree(made, own, dirs_exist_ok=True)
    return own / "tiny.onnx"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """A server process that can be killed, frozen and started again on the same port."""

    def __init__(self, port: int) -> None:
        self.url = f"rtsp://127.0.0.1:{port}/ball"
        self._port = port
        self._process: subprocess.Popen[str] | None = None

    def start(self, width: int = 320, height: int = 240, pem: Path | None = None) -> None:
        """`pem`: certificate and key, for rtsps."""
        script = Path(__file__).with_name("rtsp_server.py")
        command = ["/usr/bin/python3", str(script), str(self._port), str(width), str(height)]
        command += [str(pem)] if pem else []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline()]
        while lines[-1] not in ("ready\n", ""):
            lines.append(self._process.stdout.readline())
        if lines[-1] == "":
            self.kill()
            pytest.skip(f"needs gst-rtsp-server (tests/install_system_packages.sh): {lines[-2:]}")

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def rtsp_server(free_port: int) -> Iterator[RtspServer]:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs the system's Python with gst-rtsp-server")
    server = RtspServer(free_port)
    yield server
    server.kill()


class OracleEngine:
    """Finds the square of `box`, as `class_id`, in pictures whose first pixel is bright."""

    runtime = "oracle"
    box = (16, 8, 48, 40)
    """x1 y1 x2 y2 of what it finds, in pixels of its input."""

    def __init__(self, classes: tuple[str, ...], class_id: int) -> None:
        self.info = EngineInfo("oracle", "oracle", classes, "stretch", ORACLE_HW, 1, 0.0)
        self.class_id = class_id
        self.frames: NDArray[np.uint8] = np.zeros((0, *ORACLE_HW, 3), np.uint8)

    def submit(self, frames: NDArray[np.uint8]) -> None:
        self.frames = frames

    def collect(self) -> EngineOutputs:
        count = (self.frames[:, 0, 0, 0] > 128).astype(np.int32)
        x1, y1, x2, y2 = self.box
        masks = np.zeros((len(count), 1, *ORACLE_HW), np.uint8)
        masks[:, :, y1:y2, x1:x2] = 255
        boxes = np.array(self.box, np.float32) / [96, 64, 96, 64]
        return EngineOutputs(
            np.tile(boxes.astype(np.float32), (len(count), 1, 1)),
            count[:, None].astype(np.float32) * 0.9,
            np.full((len(count), 1), self.class_id, np.int32),
            masks,
            count,
        )

    def close(self) -> None:
        pass


@pytest.fixture
def oracle() -> type[OracleEngine]:
    return OracleEngine
