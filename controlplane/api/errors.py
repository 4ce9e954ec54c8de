"""From exceptions to the contract's error bodies.

what                             status  body
-------------------------------  ------  -------------------------------------------------
a field or parameter is wrong    422     `{"detail": [{"loc", "msg", "type", ...}, ...]}`
well-formed, but cannot work     422     `{"detail": ["<sentence>"]}`
any other rule                   403 404 `{"detail": "<sentence>"}`
                                 409
not text, not JSON               400 415 `{"detail": "<sentence>"}`
no such path, not that verb      404 405 `{"detail": "<sentence>"}`, 405 with Allow
the store is away or full        503     `{"detail": "<reason>"}` and Retry-After
no key for a credential          503     `{"detail": "<reason and remedy>"}`
credentials' key is missing      503     the same
a fault of ours, or of what the  500     `{"detail": ...}` with the request's id
store holds

Of very many wrong fields, the first `MAX_FIELD_ERRORS` are answered, and one entry of the type
`MORE` that says how many there are besides.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from controlplane.api.methods import NOWHERE
from controlplane.lifecycle.plans import RuleError, UnfitError
from controlplane.sealing import SealingError
from controlplane.store.errors import (
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    WrongTypeError,
)
from controlplane.wire.base import ErrorShape, Shape, place_of
from controlplane.wire.misspelt import UNKNOWN, meant


class FieldError(Shape):
    """One thing that is wrong with a body or a parameter."""

    type: str = Field(description="The kind of error, as pydantic names it.")
    loc: list[str | int] = Field(description="Where: `body`, `query` or `path`, then the way in.")
    msg: str = Field(description="What is wrong, and what to do.")
    input: str | int | bool | None = Field(None, description="What was sent there, where short.")


class InvalidShape(Shape):
    """A request that is well-formed but cannot be fulfilled: fields, or sentences."""

    detail: list[FieldError] | list[str] | str


def _error(description: str, shape: type[Shape] = ErrorShape) -> dict[str, Any]:
    # FastAPI would make a validator of each model for each error of each route, which was more
    # than half of the time that the API took to start. `description` adds the shapes themselves.
    reference = {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    400: _error("Not readable as a request of this API."),
    401: _error("No token, or one that is not valid."),
    403: _error("No role for it, a limit, or locked."),
    404: _error("No such thing, or deleted."),
    409: _error("Not in this state, or changed meanwhile."),
    413: _error("The body is too large."),
    415: _error("The body is not JSON."),
    422: _error("A field or parameter is wrong, or cannot work.", InvalidShape),
    500: _error("A fault of this server; its log has more under the request's id."),
    503: _error("The store is away or full, or the key of credentials is missing."),
}
"""For the OpenAPI document; `description` takes away what an operation cannot have."""

logger = logging.getLogger(__name__)

SHAPES: Final = (ErrorShape, InvalidShape)
"""What errors look like."""

OPEN_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: RESPONSES[status] for status in (400, 413, 500)
}
"""The same for routes without token, parameters and store."""

RETRY_AFTER_S: Final = 1
_RETRY: Final = {"Retry-After": str(RETRY_AFTER_S)}
_ECHO_CHARS: Final = 200
MAX_FIELD_ERRORS: Final = 100
"""A body within the limits may have a hundred thousand wrong fields; nobody reads them all."""
MAX_HINTS: Final = 10
"""Of the first errors, those that say which known field an unknown one may have meant: looking
for it takes a tenth of a millisecond each, in which nobody else is served."""
MORE: Final = "too_many_errors"
SECRETIVE: Final = "/api/v2/credentials"
"""Below this path, errors do not repeat what was sent: it may be a secret in a misspelt field."""


def install(app: FastAPI) -> None:
    """Have `app` answer errors in these shapes."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RuleError, _rule)
    app.add_exception_handler(StoreUnavailableError, _store)
    app.add_exception_handler(StoreFullError, _store)
    app.add_exception_handler(SealingError, _sealing)
    app.add_exception_handler(Exception, _fault)


async def _invalid(request: Request, exc: Exception) -> JSONResponse:
    errors = exc.errors() if isinstance(exc, RequestValidationError) else ()
    kind = request.headers.get("content-type", "")
    if any(isinstance(error.get("input"), bytes) for error in errors):  # nobody took it for JSON
        detail = f"Content-Type {_printable(kind)} is not read here: send application/json."
        return JSONResponse({"detail": detail}, 415)
    entries = [
        _entry(error, request, hint=number < MAX_HINTS)
        for number, error in enumerate(errors[:MAX_FIELD_ERRORS])
    ]
    if request.scope["path"].startswith(SECRETIVE):
        entries = [{k: v for k, v in entry.items() if k != "input"} for entry in entries]
    if more := len(errors) - len(entries):
        where = place_of(errors[MAX_FIELD_ERRORS])[0]
        said = f"Errors besides those above: {more}. Correct those above first."
        entries.append({"type": MORE, "loc": [where], "msg": said})
    return JSONResponse({"detail": entries}, 422)


def _entry(error: Mapping[str, Any], request: Request, *, hint: bool) -> dict[str, Any]:
    place = place_of(error)
    entry: dict[str, Any] = {
        "type": error["type"],
        "loc": [_printable(part) if isinstance(part, str) else part for part in place],
        "msg": _printable(str(error["msg"])),
    }
    if hint and error["type"] == UNKNOWN and len(place) > 1:
        entry["msg"] += meant(_sent(request, str(place[0])), place[1:])
    value = error.get("input")
    if isinstance(value, str):
        entry["input"] = _printable(value)
    elif value is None or isinstance(value, bool | int):
        entry["input"] = value
    return entry


def _sent(request: Request, where: str) -> Iterator[object]:
    """Annotations of what a route takes, in its `body` or `query`."""
    left = [request.scope["route"].dependant]  # codespell:ignore dependant
    while left:
        one = left.pop()
        left += one.dependencies
        for param in getattr(one, f"{where}_params"):
            yield param.field_info.annotation


def _printable(text: str) -> str:
    """At most some characters of what a client sent, without lone surrogates."""
    return text[:_ECHO_CHARS].encode("utf-8", "replace").decode()


async def _http(request: Request, exc: Exception) -> JSONResponse:
    """What the framework refuses before any route of ours has run."""
    error = exc if isinstance(exc, HTTPException) else HTTPException(500)
    return JSONResponse(
        {"detail": _SENTENCES.get((error.status_code, error.detail), error.detail)},
        error.status_code,
        headers=error.headers,
    )


_SENTENCES: Final = {
    (400, "There was an error parsing the body"): "The body is not JSON in UTF-8, or nests deeper"
    " than anything here: send application/json.",
    (404, "Not Found"): NOWHERE,
}
"""The framework's own words, and what they mean to a client."""


async def _rule(_: Request, exc: Exception) -> JSONResponse:
    text = str(exc)
    status = exc.status if isinstance(exc, RuleError) else 400
    return JSONResponse({"detail": [text] if isinstance(exc, UnfitError) else text}, status)


async def _store(_: Request, exc: Exception) -> JSONResponse:
    what = "full" if isinstance(exc, StoreFullError) else "not available"
    return JSONResponse({"detail": f"The store is {what}: {exc}"}, 503, headers=_RETRY)


async def _sealing(_: Request, exc: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"Credentials are not available: {exc}"}, 503, _RETRY)


async def _fault(request: Request, exc: Exception) -> JSONResponse:
    # Raised on after this answer, so that the server logs its traceback: without the id.
    request_id = getattr(request.state, "request_id", "unknown")
    logger.error("a request has failed", extra={"request_id": request_id, "error": str(exc)})
    kind = "The store answered nonsense" if isinstance(exc, StoreError) else "Internal error"
    detail = f"{kind}; the log has more under request {request_id}."
    if isinstance(exc, WrongTypeError):  # whose text is the operator's: keys, and how to delete
        detail = (
            "The store holds a value that cannot be read, without which this cannot be done: ask"
            f" the operator. The log says which one under request {request_id}."
        )
    return JSONResponse(
        {"detail": detail},
        500,
        headers={"X-Request-Id": request_id},
    )
