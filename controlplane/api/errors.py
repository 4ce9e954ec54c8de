"""From exceptions to the contract's error bodies.

what                             status  body
-------------------------------  ------  -------------------------------------------------
a field or parameter is wrong    422     `{"detail": [{"loc", "msg", "type", ...}, ...]}`
well-formed, but cannot work     422     `{"detail": ["<sentence>"]}`
any other rule                   403 404 `{"detail": "<sentence>"}`
                                 409
the store is away or full        503     `{"detail": "<reason>"}` and Retry-After
a fault of ours                  500     `{"detail": ...}` with the request's id
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from controlplane.lifecycle.plans import RuleError, UnfitError
from controlplane.store.errors import StoreError, StoreFullError, StoreUnavailableError
from controlplane.wire.base import ErrorShape

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": ErrorShape, "description": "No token, or one that is not valid."},
    403: {"model": ErrorShape, "description": "No role for it, a limit, or locked."},
    404: {"model": ErrorShape, "description": "No such thing, or deleted."},
    409: {"model": ErrorShape, "description": "Not in this state, or changed meanwhile."},
    503: {"model": ErrorShape, "description": "The store is away or full."},
}
"""For the OpenAPI document; 422 is FastAPI's own."""

RETRY_AFTER_S: Final = 1
_ECHO_CHARS: Final = 200


def install(app: FastAPI) -> None:
    """Have `app` answer errors in these shapes."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RuleError, _rule)
    app.add_exception_handler(StoreUnavailableError, _store)
    app.add_exception_handler(StoreFullError, _store)
    app.add_exception_handler(Exception, _fault)


async def _invalid(_: Request, exc: Exception) -> JSONResponse:
    errors = exc.errors() if isinstance(exc, RequestValidationError) else ()
    return JSONResponse({"detail": [_entry(error) for error in errors]}, 422)


def _entry(error: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": error["type"],
        "loc": [_printable(part) if isinstance(part, str) else part for part in error["loc"]],
        "msg": _printable(str(error["msg"])),
    }
    value = error.get("input")
    if isinstance(value, str):
        entry["input"] = _printable(value)
    elif value is None or isinstance(value, bool | int):
        entry["input"] = value
    return entry


def _printable(text: str) -> str:
    """At most some characters of what a client sent, without lone surrogates."""
    return text[:_ECHO_CHARS].encode("utf-8", "replace").decode()


async def _rule(_: Request, exc: Exception) -> JSONResponse:
    text = str(exc)
    status = exc.status if isinstance(exc, RuleError) else 400
    return JSONResponse({"detail": [text] if isinstance(exc, UnfitError) else text}, status)


async def _store(_: Request, exc: Exception) -> JSONResponse:
    what = "full" if isinstance(exc, StoreFullError) else "not available"
    return JSONResponse(
        {"detail": f"The store is {what}: {exc}"}, 503, headers={"Retry-After": str(RETRY_AFTER_S)}
    )


async def _fault(request: Request, exc: Exception) -> JSONResponse:
    # Raised on after this answer, so that the server logs it with its traceback.
    request_id = getattr(request.state, "request_id", "unknown")
    kind = "The store answered nonsense" if isinstance(exc, StoreError) else "Internal error"
    return JSONResponse(
        {"detail": f"{kind}; the log has more under request {request_id}."},
        500,
        headers={"X-Request-Id": request_id},
    )
