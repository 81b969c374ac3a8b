"""What is answered when a request cannot be done: always the same form, and the field that is at fault."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

_log = logging.getLogger(__name__)


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    field: str | None = Field(description="the parameter or field of the body that is at fault, if one is")
    message: str = Field(description="what is wrong, what was expected")


class Faults(BaseModel):
    """Why a request was not done."""

    errors: list[Fault]


class Problem(Exception):
    """Answered with this status. field: what of the request is at fault, if anything is."""

    def __init__(self, status: int, message: str, field: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.faults = [Fault(field=field, message=message)]
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Unavailable(Problem):
    """What is behind the API is away or too busy: asking again later may well work."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message, Retry_After="1")


_MEANINGS = {
    400: "a parameter asks for what there is not, or for too much",
    401: "the token is missing or wrong",
    403: "prices cannot be posted here",
    404: "nothing is known under this id",
    409: "the same Idempotency-Key came with another price before",
    411: "the body has no Content-Length",
    413: "the body is too large",
    422: "a parameter or the body is missing or malformed",
    429: "too many requests of this client",
    503: "the serving database or the landing store is away or busy",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these answers."""
    return {status: {"model": Faults, "description": _MEANINGS[status]} for status in statuses}


def answer(status: int, faults: Sequence[Fault], headers: Mapping[str, str] | None = None) -> Response:
    body = to_json({"errors": [fault.model_dump() for fault in faults]})
    return Response(body, status, headers, media_type="application/json")


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(RequestValidationError, _told)
    app.add_exception_handler(HTTPException, _of_framework)


def told(path: str, error: Problem | RequestValidationError) -> Response:
    """What is answered to a request that raised this."""
    if isinstance(error, RequestValidationError):
        return _malformed(error)
    if isinstance(error, Unavailable):
        _log.warning("%s: %s", path, error)
    return answer(error.status, error.faults, error.headers)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem | RequestValidationError)
    return told(request.url.path, error)


def _malformed(error: RequestValidationError) -> Response:
    faults = []
    for found in error.errors():
        # The first part is where it stood: query, body, header, path.
        names = [str(part) for part in found["loc"][1:] if isinstance(part, str)]
        field = ".".join(names) or str(found["loc"][0])
        faults.append(Fault(field="body" if found["type"] == "json_invalid" else field, message=found["msg"]))
    return answer(422, faults)


async def _of_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    field = "body" if error.status_code == 400 else None
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # The framework names those of the first route of the path; others have others.
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer(error.status_code, [Fault(field=field, message=str(error.detail))], headers)


def _methods(request: Request) -> set[str]:
    routes = request.app.state.routes
    there = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in there for method in getattr(route, "methods", None) or ()}
