"""A real HTTP server that misbehaves on request, and weights published on it."""

import hashlib
import io
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from streamseg.zoo.download import Patience
from streamseg.zoo.published import PublishedWeights
from streamseg.zoo.pull import pull


@dataclass
class Site:
    """What the server gives, and what it was asked. Lists hold a value per request, then the default."""

    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    length: str = "Content-Length"
    """Or `chunked`, or nothing at all."""
    statuses: list = field(default_factory=list)
    cuts: list = field(default_factory=list)
    """Bytes of the body after which the connection is closed."""
    headers: dict = field(default_factory=dict)
    stall_s: float = 0.0
    """Before the second half of the body."""
    asked: list = field(default_factory=list)
    sent: int = 0
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server.site
        site.asked.append(dict(self.headers))
        status = site.statuses.pop(0) if site.statuses else 200
        body = site.content
        extra = {"ETag": site.etag, **site.headers}
        wanted = self.headers.get("Range")
        if wanted and site.ranges and status == 200 and self.headers.get("If-Range", site.etag) == site.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status, body = 206, body[start:]
            extra["Content-Range"] = f"bytes {start}-{len(site.content) - 1}/{len(site.content)}"
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        if status >= 300:
            body = b""
        if site.length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif site.length:
            self.send_header(site.length, str(len(body)))
        self.end_headers()
        cut = site.cuts.pop(0) if site.cuts and body else None
        self.close_connection = True
        for piece in (body[: len(body) // 2], body[len(body) // 2 :]):
            part = piece if cut is None else piece[: max(cut, 0)]
            cut = None if cut is None else cut - len(piece)
            try:
                self.wfile.write(part)
            except OSError:  # the client gave up
                return
            site.sent += len(part)
            if site.stall_s:
                time.sleep(site.stall_s)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.site = Site(content=archive(), url=f"http://127.0.0.1:{server.server_port}/weights.pth")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.site
    server.shutdown()
    server.server_close()
    thread.join()


def archive(size=3_000_000, seed=b"a"):
    """A zip as torch.save writes it: stored, not compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
        made.writestr("weights/data.pkl", (hashlib.sha256(seed).digest() * (size // 32 + 1))[:size])
    return file.getvalue()


@pytest.fixture
def make_archive():
    return archive


@pytest.fixture
def publish(site):
    """An entry of the catalogue for what the server gives; its SHA-256 prefix as in mmdetection's names."""

    def make(**changes):
        values = {
            "name": "tiny",
            "family": "Tiny",
            "model": "tiny",
            "layout": "dbolya",
            "mask_ap_percent": (("val2017", 12.3),),
            "licence": "MIT",
            "commercial_use": True,
            "project": "https://example.org/tiny",
            "urls": (site.url,),
            "sha256": hashlib.sha256(site.content).hexdigest()[:8],
        }
        return PublishedWeights(**{**values, **changes})

    return make


@pytest.fixture
def hasty():
    """Patience for tests: the same number of attempts, no waiting."""
    return Patience(backoff_s=0.01, connect_s=2.0, read_s=0.5)


class Listener:
    def __init__(self):
        self.lines, self.steps = [], []

    def say(self, text):
        self.lines.append(text)

    def progress(self, what, done, total):
        self.steps.append((done, total))


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def get(tmp_path, hasty, listener):
    """Pull into tmp_path/cache."""

    def run(entry, **options):
        return pull(entry, tmp_path / "cache", watcher=listener, patience=hasty, **options)

    return run


@pytest.fixture
def beside():
    """Names in the folder of a file, but for locks, which the system may leave."""

    def names(path):
        return sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock"))

    return names
