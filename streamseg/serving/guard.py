"""Who may talk to the server: names in Host, pages in Origin, the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "Guard", "Sessions", "bare_host", "bears", "session_of"]

COOKIE = "streamseg_session"
_OPEN = ("/", "/favicon.ico", "/healthz", "/readyz", "/api/session")
"""Paths that need no token: the page is the same for everyone, and a probe has no secrets."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
}
# uPlot positions its parts with style attributes, hence 'unsafe-inline' for styles.


class Sessions:
    """A browser cannot send a header with every picture: it gets a cookie for the token, once."""

    MOST = 1000
    SECONDS = 12 * 3600.0

    def __init__(self) -> None:
        self._ends: OrderedDict[str, float] = OrderedDict()

    def open(self) -> str:
        """A new session; the oldest ends where there are too many."""
        name = secrets.token_urlsafe(32)
        self._ends[name] = time.monotonic() + self.SECONDS
        while len(self._ends) > self.MOST:
            self._ends.popitem(last=False)
        return name

    def close(self, name: str) -> None:
        self._ends.pop(name, None)

    def knows(self, name: str) -> bool:
        return self._ends.get(name, 0.0) > time.monotonic()


class Guard:
    """ASGI middleware around everything.

    Host: a bare IP address and `localhost` are let through, another name only if listed. A page that
    rebinds its own name to this machine comes with that name. Origin, where a browser sends one: must be the
    host itself. Token, where there is one: `Authorization: Bearer …` or a session's cookie.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], token: str | None, sessions: Sessions
    ) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts} | {"localhost"}
        self._token = token
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["path"], headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """Status and reason; None where all is well."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(bare_host(hosts[0])):
            return 421, "this host name is not listed: serve.hosts in the configuration names those allowed"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return 403, "this request comes from another site's page"
        if path in _OPEN or path.startswith("/page/") or self._is_known(headers):
            return None
        return 401, "a token is wanted: Authorization: Bearer TOKEN"

    def _is_ours(self, host: str) -> bool:
        if host in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _is_known(self, headers: Headers) -> bool:
        if self._token is None or bears(headers, self._token):
            return True
        return self._sessions.knows(session_of(headers))


def bears(headers: Headers, token: str) -> bool:
    """Whether `Authorization` holds the token, found out in a time that tells nothing of it."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def session_of(headers: Headers) -> str:
    """The name of the session in the cookie; empty where there is none."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def bare_host(host: str) -> str:
    """In lower case, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    answer = JSONResponse({"error": reason}, status, headers)
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
    await answer(scope, receive, send)
