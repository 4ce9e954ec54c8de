"""OTLP over HTTP: where replicas send telemetry, and whoever owns a workload may.

The routes answer in OTLP's own words, errors included, so they check the sender themselves:

    X-DataRobot-Api-Key, or Authorization   the workload's own key, which replicas are given; or the
                                            token of one of its owners
    X-DataRobot-Entity-Id: workload-{id}    whose telemetry it is; a workload's own key says it, too
"""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from controlplane.api.edge import find_caller, token_text
from controlplane.api.services import Services
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import ForbiddenError
from controlplane.model.people import Scope
from controlplane.model.workloads import Workload
from controlplane.telemetry import keys, otlp
from controlplane.telemetry.otlp import JSON, PROTOBUF, OtlpError, Signal

ENTITY: Final = "workload-"
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_STATUS: Final = {
    "schema": {
        "type": "object",
        "title": "OtlpStatus",
        "properties": {"message": {"type": "string"}},
        "required": ["message"],
    }
}
_RESULT: Final = {
    "schema": {
        "type": "object",
        "title": "OtlpResult",
        "properties": {"partialSuccess": {"type": "object", "additionalProperties": True}},
    }
}


def _in_both(description: str, shape: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {PROTOBUF: _BINARY, JSON: shape}}


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: _in_both("Kept, but for what `partialSuccess` counts: do not send that again.", _RESULT),
    400: _in_both("Not an OTLP request, or it does not say whose telemetry it is.", _STATUS),
    401: _in_both("No key, or one that is not valid.", _STATUS),
    403: _in_both("The key is for another workload, or its user does not own this one.", _STATUS),
    413: _in_both(f"Above {otlp.MAX_BODY_BYTES} bytes, or too large when inflated.", _STATUS),
    415: _in_both("Neither protobuf nor JSON, or a compression other than gzip.", _STATUS),
    429: _in_both("The workload sends too much: again after Retry-After.", _STATUS),
    500: _in_both("A fault of this server.", _STATUS),
    503: _in_both("Too much waits to be written: again after Retry-After.", _STATUS),
}
_HEADERS: Final = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": text,
    }
    for name, text in (
        ("X-DataRobot-Api-Key", "The workload's own key, or an owner's token."),
        ("X-DataRobot-Entity-Id", "`workload-{id}`: whose telemetry it is."),
        ("Content-Encoding", "`gzip`, or nothing."),
    )
]
_OPENAPI: Final = {
    "parameters": _HEADERS,
    "requestBody": {
        "required": True,
        "content": {
            PROTOBUF: _BINARY,
            JSON: {"schema": {"type": "object", "title": "OtlpRequest"}},
        },
    },
}

router: Final = APIRouter(tags=["telemetry"])


@router.post("/otel/v1/logs", responses=_RESPONSES, openapi_extra=_OPENAPI)
async def export_logs(request: Request) -> Response:
    """Receive log records (OTLP/HTTP)."""
    return await _receive(request, Signal.LOGS)


@router.post("/otel/v1/traces", responses=_RESPONSES, openapi_extra=_OPENAPI)
async def export_traces(request: Request) -> Response:
    """Receive spans (OTLP/HTTP)."""
    return await _receive(request, Signal.TRACES)


@router.post("/otel/v1/metrics", responses=_RESPONSES, openapi_extra=_OPENAPI)
async def export_metrics(request: Request) -> Response:
    """Receive points of metrics (OTLP/HTTP)."""
    return await _receive(request, Signal.METRICS)


async def _receive(request: Request, signal: Signal) -> Response:
    services: Services = request.app.state.services
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    shown = JSON if kind == JSON else PROTOBUF
    try:
        content = await _take(services, request, signal, kind)
    except OtlpError as exc:
        headers = {} if exc.retry_after_s is None else {"Retry-After": str(exc.retry_after_s)}
        if exc.status == 401:  # noqa: PLR2004
            headers["WWW-Authenticate"] = "Bearer"
        body = otlp.error(str(exc), kind=shown)
        return Response(body, exc.status, headers=headers, media_type=shown)
    return Response(content, media_type=shown)


async def _take(services: Services, request: Request, signal: Signal, kind: str) -> bytes:
    intake = services.intake
    if intake is None:
        raise OtlpError(403, "No telemetry is kept here: `telemetry.max_bytes` is 0.")
    workload_id = _sender(services, intake.secret, request)
    if kind not in {JSON, PROTOBUF}:
        raise OtlpError(415, f"Content-Type {kind[:80]!r} is not OTLP: use {PROTOBUF}.")
    intake.check_rate(workload_id)
    body = await _body(request)
    async with services.otlp_gate:
        return await asyncio.to_thread(
            intake.take,
            signal,
            workload_id,
            body,
            encoding=request.headers.get("content-encoding", ""),
            kind=kind,
        )


async def _body(request: Request) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > otlp.MAX_BODY_BYTES:
                raise OtlpError(413, f"The body is larger than {otlp.MAX_BODY_BYTES} bytes.")
            pieces.append(piece)
    except ClientDisconnect as exc:
        raise OtlpError(400, "The request ended too early.") from exc
    return b"".join(pieces)


def _sender(services: Services, secret: bytes, request: Request) -> str:
    """The workload that a request may write for.

    Raises:
        OtlpError: 400, 401 or 403.
    """
    headers = request.headers
    key = headers.get("x-datarobot-api-key", "").strip() or token_text(headers.get("authorization"))
    if not key:
        raise OtlpError(401, "No key: send the header X-DataRobot-Api-Key.")
    entity = headers.get("x-datarobot-entity-id", "").strip()
    named = entity.removeprefix(ENTITY)
    if entity and not entity.startswith(ENTITY):
        raise OtlpError(400, f"X-DataRobot-Entity-Id must be {ENTITY}<id>, not {entity[:80]!r}.")
    if key.startswith(keys.PREFIX):
        own = keys.workload_of(secret, key)
        if own is None:
            raise OtlpError(401, "The key is not one of this installation.")
        if named not in {"", own}:
            raise OtlpError(403, f"The key is for workload {own}, not for {named[:80]!r}.")
        return _present(services, own).id
    return _owned(services, key, named)


def _owned(services: Services, key: str, workload_id: str) -> str:
    """The named workload, if the token may change it."""
    caller = find_caller(services, key)
    if caller is None:
        raise OtlpError(401, "The key is unknown, revoked or expired.")
    if not workload_id:
        raise OtlpError(400, f"Say whose telemetry it is: X-DataRobot-Entity-Id: {ENTITY}<id>.")
    workload = _present(services, workload_id)
    user, token = caller
    if (
        token.scope in {Scope.READ, Scope.INVOKE}
        or (token.scope is Scope.WORKLOAD and token.made_for != workload.id)
        or (token.workload_ids and workload.id not in token.workload_ids)
    ):
        raise OtlpError(403, f"The token may not write for workload {workload.id}.")
    try:
        access.require(user, workload, access.OWNERS)
    except ForbiddenError as exc:
        raise OtlpError(403, str(exc)) from exc
    return workload.id


def _present(services: Services, workload_id: str) -> Workload:
    workload = services.mirror.get(Workload, workload_id)
    if workload is None or workload.deleted_at is not None:
        raise OtlpError(403, f"There is no workload {workload_id[:80]!r}.")
    return workload
