"""One table of endpoints → routes that check their input, and the OpenAPI document of them.

Tested in tests/serving/test_api.py.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamseg.errors import NotThere, StreamsegError
from streamseg.serving.contract import Problem

__all__ = ["Answer", "Endpoint", "document", "routes_of"]

Handler = Callable[..., Awaitable[Response]]
"""Takes the request and, where the endpoint has one, the body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back when all is well."""

    meaning: str
    status: int = 200
    model: type[BaseModel] | None = None
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Answer
    body: type[BaseModel] | None = None
    queries: dict[str, str] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    """Further statuses, each with a `Problem`."""


def routes_of(endpoints: Sequence[Endpoint]) -> list[Route]:
    """A route for each; what a handler raises as a StreamsegError becomes a `Problem`."""
    return [Route(one.path, _checked(one), methods=[one.method]) for one in endpoints]


def _checked(endpoint: Endpoint) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            if endpoint.body is None:
                return await endpoint.handler(request)
            return await endpoint.handler(request, _parsed(endpoint.body, await request.body()))
        except NotThere as error:
            return JSONResponse({"error": str(error)}, 404)
        except StreamsegError as error:
            return JSONResponse({"error": str(error)}, 422)

    return handle


class _BadRequest(StreamsegError):
    pass


def _parsed(model: type[BaseModel], text: bytes) -> BaseModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        known = ", ".join(model.model_fields)
        raise _BadRequest(f"{where}: {first['msg']}; keys here: {known}") from None


def document(endpoints: Sequence[Endpoint], title: str, version: str) -> dict[str, Any]:
    """OpenAPI 3.1."""
    models = {one.body for one in endpoints} | {one.answer.model for one in endpoints} | {Problem}
    wanted: list[Any] = [(model, "serialization") for model in sorted(filter(None, models), key=str)]
    template = "#/components/schemas/{model}"
    _, schemas = models_json_schema(wanted, ref_template=template)
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(_public(one.path), {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _public(path: str) -> str:
    return path.replace(":path}", "}")


def _operation(one: Endpoint) -> dict[str, Any]:
    names = [part[1:-1] for part in _public(one.path).split("/") if part.startswith("{")]
    parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
    parameters += [
        {"name": n, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for n, text in one.queries.items()
    ]
    problems = one.problems | ({422: "not what is expected here"} if one.body else {})
    operation: dict[str, Any] = {
        "summary": one.summary,
        "parameters": parameters,
        "responses": {
            str(one.answer.status): {"description": one.answer.meaning} | _content(one.answer),
            **{str(code): {"description": text} | _reference(Problem) for code, text in problems.items()},
        },
    }
    if one.body:
        operation["requestBody"] = {"required": True} | _reference(one.body)
    return operation


def _content(answer: Answer) -> dict[str, Any]:
    if answer.model is not None:
        return _reference(answer.model)
    return {"content": {answer.media: {}}} if answer.status == 200 else {}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"content": {"application/json": {"schema": schema}}}


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """A model as JSON."""
    return Response(json.dumps(model.model_dump(mode="json")), status, media_type="application/json")
