"""The HTTP API, the page and its WebSocket, as one ASGI application. docs/live.md tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from streamseg.errors import ConfigError, UnknownSource
from streamseg.serving.contract import (
    KeptInstances,
    NewRule,
    NewSource,
    RecentEvents,
    Rules,
    RunStatus,
    ServedRun,
    SourceStatus,
)
from streamseg.serving.encoding import Kind, message
from streamseg.serving.exposition import CONTENT_TYPE, exposition
from streamseg.serving.guard import COOKIE, Guard, Sessions, bears, session_of
from streamseg.serving.hub import Hub
from streamseg.serving.openapi import Answer, Endpoint, document, json_answer, routes_of
from streamseg.serving.plain_page import plain_page
from streamseg.serving.viewer import Viewer

__all__ = ["Api"]

PAGE = Path(__file__).parent / "page"
MOST_VIEWERS = 200
MOST_BODY = 64 * 1024
_CHANGE_SECONDS = 20.0
_TICK_SECONDS = 1.0
_BOUNDARY = "streamseg-picture"

ValueT = TypeVar("ValueT")


class Api:
    """Everything that is served, for one run."""

    def __init__(
        self, run: ServedRun, hub: Hub, *, token: str | None, hosts: tuple[str, ...], healthy_seconds: float
    ) -> None:
        """`token` None: everyone who reaches the server may do everything. `healthy_seconds`: a live source
        that is silent for longer makes /healthz fail."""
        self._run = run
        self._hub = hub
        self._token = token
        self._healthy_seconds = healthy_seconds
        self._viewers: dict[object, None] = {}
        self._known: frozenset[str] = frozenset()
        self._sessions = Sessions()
        hub.on_events = self._tell_events
        guard = Middleware(Guard, hosts=hosts, token=token, sessions=self._sessions)
        limit = Middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BODY)
        self.endpoints = self._endpoints()
        self.app = Starlette(
            routes=[
                *routes_of(self.endpoints),
                Route("/", self._page),
                Route("/favicon.ico", self._no_icon),
                Mount("/page", StaticFiles(directory=PAGE)),
                WebSocketRoute("/api/live", self._live),
            ],
            middleware=[guard, limit],
        )

    def _endpoints(self) -> list[Endpoint]:
        """All of the API; `/api/live` is a WebSocket, which OpenAPI has no words for."""
        sources, one = "/api/sources", "/api/sources/{source_id}"
        rule = "/api/rules/{kind}/{name}"
        unknown = {404: "there is none of this name"}
        picture = {"painted": "with the overlay drawn on it"}
        jpeg, motion = "image/jpeg", f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        changed = Answer("changed; everything of the run as it is now", model=RunStatus)
        refused = {422: "refused; everything is as it was"}
        return [
            Endpoint("GET", "/healthz", self._health, "Does every live source make progress?",
                     Answer("yes"), problems={503: "a live source is silent"}),
            Endpoint("GET", "/readyz", self._ready, "Is the engine open?",
                     Answer("yes"), problems={503: "not yet"}),
            Endpoint("GET", "/metrics", self._metrics, "Numbers for Prometheus",
                     Answer("text format 0.0.4", media="text/plain")),
            Endpoint("GET", "/api/openapi.json", self._document, "This document", Answer("OpenAPI 3.1")),
            Endpoint("POST", "/api/session", self._open_session, "The token, in its header, for a cookie",
                     Answer("the cookie is set", 204), problems={401: "another token"}),
            Endpoint("DELETE", "/api/session", self._close_session, "Leave",
                     Answer("the cookie is void", 204)),
            Endpoint("GET", "/api/status", self._status, "The whole run", Answer("now", model=RunStatus)),
            Endpoint("PATCH", "/api/thresholds", self._set_thresholds, "Change what is shown", changed,
                     body=KeptInstances),
            Endpoint("POST", sources, self._add, "Add a source",
                     Answer("it is there", 201, SourceStatus), body=NewSource),
            Endpoint("GET", one, self._source, "One source", Answer("now", model=SourceStatus),
                     problems=unknown),
            Endpoint("PUT", one, self._change, "Another address for a source", changed, body=NewSource,
                     problems=unknown),
            Endpoint("DELETE", one, self._remove, "Remove a source; its outputs are finished", changed,
                     problems=unknown | refused),
            Endpoint("POST", one + "/clips", self._clip, "Keep what the camera sent around now, as a clip",
                     changed, problems=unknown | refused),
            Endpoint("GET", "/api/rules", self._rules, "The rules of events", Answer("now", model=Rules)),
            Endpoint("PUT", rule, self._set_rule, "Set a rule; the others go on as they are", changed,
                     body=NewRule, problems=unknown),
            Endpoint("DELETE", rule, self._remove_rule, "Take a rule out; what goes on under it ends",
                     changed, problems=unknown | refused),
            Endpoint("GET", "/api/events", self._events, "The last events of all sources",
                     Answer("now", model=RecentEvents)),
            Endpoint("GET", one + "/picture.jpg", self._picture, "The newest picture",
                     Answer("a JPEG", media=jpeg), queries=picture, problems=unknown),
            Endpoint("GET", one + "/stream.mjpg", self._stream, "Every picture, without JavaScript",
                     Answer("motion JPEG", media=motion), queries=picture,
                     problems=unknown | {503: "too many viewers"}),
        ]  # fmt: skip

    # -- its life ----------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Tell every viewer the state once a second, until cancelled."""
        while True:
            if self._viewers:
                self._tell_state()
            await asyncio.sleep(_TICK_SECONDS)

    def _tell_state(self) -> None:
        self._tell("state", self._now().model_dump(mode="json"))

    def _tell_events(self) -> None:
        self._tell("events", self._hub.events)

    def _tell(self, key: str, news: Any) -> None:
        made = message({key: news})
        for viewer in self._viewers:
            if isinstance(viewer, Viewer):
                viewer.tell(key, made)

    def _now(self) -> RunStatus:
        status = self._run.status()
        self._known = frozenset(source.id for source in status.sources)
        return status

    # -- looking -----------------------------------------------------------------------------------

    async def _health(self, request: Request) -> Response:
        silent = [s.id for s in self._now().sources if s.live and s.silent_seconds > self._healthy_seconds]
        if not silent:
            return JSONResponse({"ok": True})
        # A probe needs no token; what the cameras are called is none of its business.
        names = ", ".join(silent) if self._token is None else f"{len(silent)} of them"
        said = f"no frame for {self._healthy_seconds:g} s from a live source: {names}"
        return JSONResponse({"ok": False, "error": said}, 503)

    async def _ready(self, request: Request) -> Response:
        if self._run.status().ready:
            return JSONResponse({"ok": True})
        return JSONResponse({"ok": False, "error": "the engine is still being opened"}, 503)

    async def _metrics(self, request: Request) -> Response:
        return Response(exposition(self._now(), len(self._viewers)), headers={"content-type": CONTENT_TYPE})

    async def _document(self, request: Request) -> Response:
        return JSONResponse(document(self.endpoints, "streamseg", self._run.status().version))

    async def _status(self, request: Request) -> Response:
        return json_answer(self._now())

    async def _source(self, request: Request) -> Response:
        return json_answer(self._found(request))

    def _found(self, request: Request) -> SourceStatus:
        wanted = request.path_params["source_id"]
        for source in self._now().sources:
            if source.id == wanted:
                return source
        raise UnknownSource(wanted, self._known)

    async def _rules(self, request: Request) -> Response:
        return json_answer(self._run.rules())

    async def _events(self, request: Request) -> Response:
        return json_answer(RecentEvents(events=self._hub.events))

    async def _picture(self, request: Request) -> Response:
        data = self._hub.picture(self._found(request).id, _kind(request))
        if data is None:
            return JSONResponse({"error": "no frame has come from this source yet"}, 404)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "no-store"})

    async def _stream(self, request: Request) -> Response:
        source_id = self._found(request).id
        if len(self._viewers) >= MOST_VIEWERS:
            return JSONResponse({"error": f"{MOST_VIEWERS} viewers are there already"}, 503)
        media = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamingResponse(self._pictures(source_id, _kind(request)), media_type=media)

    async def _pictures(self, source_id: str, kind: Kind) -> AsyncIterator[bytes]:
        bell = _Bell()
        self._viewers[bell] = None
        self._hub.join(source_id, bell)
        sent = 0
        edge = f"\r\n--{_BOUNDARY}\r\n".encode()
        try:
            yield edge
            while source_id in self._known:
                bell.event.clear()
                news = self._hub.take(source_id, kind, sent)
                if news is None:
                    await bell.event.wait()
                    continue
                sent = news.number
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(news.data)}\r\n\r\n"
                # With the next boundary behind it a browser shows the picture at once.
                yield head.encode() + news.data + edge
        finally:
            self._hub.leave(source_id, bell)
            self._viewers.pop(bell, None)

    async def _live(self, socket: WebSocket) -> None:
        if len(self._viewers) >= MOST_VIEWERS:
            refusal = JSONResponse({"error": f"{MOST_VIEWERS} viewers are there already"}, 503)
            await socket.send_denial_response(refusal)
            return
        viewer = Viewer(socket, self._hub, lambda source_id: source_id in self._known)
        self._viewers[viewer] = None
        try:
            await socket.accept()
            viewer.tell("state", message({"state": self._now().model_dump(mode="json")}))
            viewer.tell("events", message({"events": self._hub.events}))
            await viewer.serve()
        finally:
            del self._viewers[viewer]

    # -- changing ----------------------------------------------------------------------------------

    async def _add(self, request: Request, wanted: NewSource) -> Response:
        source_id = await _done(self._run.add_source(wanted.spec))
        self._tell_state()
        (added,) = [source for source in self._now().sources if source.id == source_id]
        return json_answer(added, 201)

    async def _change(self, request: Request, wanted: NewSource) -> Response:
        return await self._changed(self._run.change_source(self._found(request).id, wanted.spec))

    async def _remove(self, request: Request) -> Response:
        source_id = self._found(request).id
        answer = await self._changed(self._run.remove_source(source_id))
        self._hub.drop(source_id)
        return answer

    async def _clip(self, request: Request) -> Response:
        return await self._changed(self._run.clip(self._found(request).id))

    async def _set_thresholds(self, request: Request, wanted: KeptInstances) -> Response:
        return await self._changed(self._run.set_thresholds(wanted))

    async def _set_rule(self, request: Request, wanted: NewRule) -> Response:
        return await self._changed(self._run.set_rule(*_rule_of(request), wanted))

    async def _remove_rule(self, request: Request) -> Response:
        return await self._changed(self._run.remove_rule(*_rule_of(request)))

    async def _changed(self, change: Future[None]) -> Response:
        await _done(change)
        self._tell_state()
        return json_answer(self._now())

    # -- the page ----------------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        if "painted" in request.query_params:
            return self._painted_page(request)
        return HTMLResponse(
            (PAGE / "index.html").read_text(encoding="utf-8"), headers={"cache-control": "no-cache"}
        )

    def _painted_page(self, request: Request) -> Response:
        guard_passed = self._token is None or self._sessions.knows(session_of(request.headers))
        if not guard_passed:
            return RedirectResponse("/")
        return HTMLResponse(plain_page(self._now()))

    async def _no_icon(self, request: Request) -> Response:
        return Response(status_code=204)

    async def _open_session(self, request: Request) -> Response:
        answer = Response(status_code=204)
        if self._token is None:
            return answer
        if not bears(request.headers, self._token):
            return JSONResponse({"error": "this is not the token"}, 401)
        name = self._sessions.open()
        answer.set_cookie(
            COOKIE, name, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return answer

    async def _close_session(self, request: Request) -> Response:
        self._sessions.close(session_of(request.headers))
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE)
        return answer


class _Bell:
    """A listener that waits."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def wake(self) -> None:
        self.event.set()


def _rule_of(request: Request) -> tuple[str, str]:
    return request.path_params["kind"], request.path_params["name"]


def _kind(request: Request) -> Kind:
    return "painted" if "painted" in request.query_params else "clean"


async def _done(change: Future[ValueT]) -> ValueT:
    """Wait for a change without holding up the loop; raises what it was refused with."""
    try:
        async with asyncio.timeout(_CHANGE_SECONDS):
            return await asyncio.wrap_future(change)
    except TimeoutError:
        raise ConfigError(f"the change takes more than {_CHANGE_SECONDS:g} s; see /api/status") from None
