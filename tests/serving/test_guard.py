"""Who is let in: DNS rebinding, other sites' pages, the token, the session's cookie."""

from __future__ import annotations

import pytest
import requests
from websockets.exceptions import InvalidStatus

from streamseg.errors import ConfigError
from streamseg.serving.guard import Sessions, bare_host
from streamseg.streaming.config import ServeConfig
from streamseg.streaming.live import LivePage

from .conftest import runs

TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    file = tmp_path_factory.mktemp("secret") / "token"
    file.write_text(f"{TOKEN}\n")
    with runs() as start:
        yield start(token=TOKEN, serve={"token_file": str(file), "hosts": ["cameras.example"]})


def test_a_rebound_name_is_refused(served):
    port = served.address.rstrip("/").rpartition(":")[2]
    for host, status in (
        ("evil.example", 421), (f"evil.example:{port}", 421), ("127.0.0.1.evil.example", 421), ("", 421),
        ("localhost", 200), (f"127.0.0.1:{port}", 200), ("[::1]", 200),
    ):  # fmt: skip
        assert served.ask("GET", "/api/status", headers={"Host": host}).status_code == status, host
    with pytest.raises(InvalidStatus) as refused:
        served.viewer(additional_headers={"Host": "evil.example"})
    assert refused.value.response.status_code in (400, 421)


def test_another_sites_page_is_refused(served):
    own = served.address.rstrip("/")
    for origin, status in (("http://evil.example", 403), ("null", 403), (own, 200)):
        answer = served.ask("GET", "/api/status", headers={"Origin": origin})
        assert answer.status_code == status, origin
    evil = served.ask("POST", "/api/sources", json={"spec": "synthetic"}, headers={"Origin": "http://x.com"})
    assert evil.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        served.viewer(origin="http://evil.example")
    assert refused.value.response.status_code == 403
    with served.viewer(origin=own) as viewer:
        assert viewer.recv(timeout=60)


def test_without_the_token_nothing_is_told(secured):
    stranger = requests.Session()
    for path in ("api/status", "metrics", "api/openapi.json", "api/sources/x/picture.jpg", "?token=" + TOKEN):
        answer = stranger.get(secured.address + path, timeout=60)
        assert answer.status_code == (200 if path.startswith("?") else 401), path
        assert "squares" not in answer.text
    assert stranger.get(secured.address + "api/status?token=" + TOKEN, timeout=60).status_code == 401
    wrong = stranger.get(secured.address + "api/status", headers={"Authorization": "Bearer x"}, timeout=60)
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"
    for path in ("", "healthz", "readyz", "page/app.js"):
        assert stranger.get(secured.address + path, timeout=60).status_code in (200, 503), path
    with pytest.raises(InvalidStatus) as refused:
        secured.viewer()
    assert refused.value.response.status_code == 401


def test_the_token_opens_and_a_cookie_stands_for_it(secured):
    assert secured.ask("GET", "/api/status").json()["engine"] == "squares"
    browser = requests.Session()
    url = secured.address + "api/session"
    assert browser.post(url, headers={"Authorization": "Bearer no"}, timeout=60).status_code == 401
    opened = browser.post(url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    assert opened.status_code == 204
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert browser.get(secured.address + "api/status", timeout=60).status_code == 200
    header = "; ".join(f"{one.name}={one.value}" for one in browser.cookies)
    with secured.viewer(additional_headers={"Cookie": header}) as viewer:
        assert viewer.recv(timeout=60)
    assert browser.delete(url, timeout=60).status_code == 204
    with pytest.raises(InvalidStatus):
        secured.viewer(additional_headers={"Cookie": header})


def test_beyond_loopback_a_token_is_wanted(tmp_path):
    with pytest.raises(ConfigError, match=r"others than this machine can reach 0\.0\.0\.0.*--token-file"):
        LivePage(ServeConfig(address="0.0.0.0:0"))
    short = tmp_path / "token"
    short.write_text("short\n")
    with pytest.raises(ConfigError, match="at least 16 printable ASCII"):
        LivePage(ServeConfig(address="0.0.0.0:0", token_file=str(short)))
    with pytest.raises(ConfigError, match=r"serve\.token_file .*none: cannot be read"):
        LivePage(ServeConfig(address="127.0.0.1:0", token_file=str(tmp_path / "none")))


def test_sessions_are_bounded_and_end(monkeypatch):
    sessions = Sessions()
    first = sessions.open()
    assert sessions.knows(first)
    for _ in range(Sessions.MOST):
        sessions.open()
    assert not sessions.knows(first)
    monkeypatch.setattr(Sessions, "SECONDS", -1.0)
    assert not sessions.knows(sessions.open())
    assert not sessions.knows("")


@pytest.mark.parametrize(
    ("host", "bare"),
    [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("127.0.0.1", "127.0.0.1"), ("", "")],
)
def test_a_host_without_its_port(host, bare):
    assert bare_host(host) == bare


def test_answers_forbid_framing_and_sniffing(served):
    headers = served.ask("GET", "/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
