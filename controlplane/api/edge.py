"""What happens to every request before it reaches a route, in plain ASGI.

Edge            one trailing slash more or less is the same path (no redirect: redirects are
                errors to some of the contract's clients); request id; body limit; metrics
Authentication  a valid token whose scope allows it, before anything of the body is looked at
"""

import hmac
import re
import time
from typing import Final

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.accounts import token_digest
from controlplane.api.scopes import refusal
from controlplane.api.services import Services
from controlplane.model.people import Scope as TokenScope
from controlplane.model.people import Token, User
from controlplane.model.workloads import Deployment

API_PREFIX: Final = "/api/v2"
PUBLIC: Final = frozenset({f"{API_PREFIX}/openapi.json", f"{API_PREFIX}/openapi.yaml"})
"""Under the API's prefix and yet without a token: they describe, and hold no data."""

OTLP: Final = frozenset(f"{API_PREFIX}/otel/v1/{name}" for name in ("logs", "traces", "metrics"))
"""Senders of telemetry have keys of their own, larger bodies, and errors in another form: their
routes see to all of that."""

MAX_BODY_BYTES: Final = 1024 * 1024
"""Largest request body: the biggest artifact anybody writes by hand is a hundredth of it."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Method names that may become metric labels."""

_HOST: Final = re.compile(r"[A-Za-z0-9._-]*(:[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{0,5})?")
"""What may stand in a Host header: links in answers repeat it."""

_FORM: Final = "application/x-www-form-urlencoded"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Edge:
    """Outermost layer. Writes `path_as_sent` and `request_id` into the request's state."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["path_as_sent"] = scope["path"]
        if headers.get("content-type", _FORM).startswith(_FORM):
            # What `curl -d` says of any body. All bodies here are JSON, so read it as that.
            MutableHeaders(scope=scope)["content-type"] = "application/json"
        given = headers.get("x-request-id", "")
        state["request_id"] = given if _REQUEST_ID.fullmatch(given) else self._services.ids.new()
        if scope["path"] != "/":
            scope["path"] = scope["path"].removesuffix("/")
        status = 500
        began = time.perf_counter()

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = state["request_id"]
            await send(message)

        try:
            length = headers.get("content-length", "")
            if not _HOST.fullmatch(headers.get("host", "")):
                await _refusal(400, "The Host header is not a host.")(scope, receive, send_marked)
            elif scope["path"] in OTLP:
                await self._app(scope, receive, send_marked)
            elif length.isdigit() and int(length) > MAX_BODY_BYTES:
                await _refusal(413, _TOO_LARGE)(scope, receive, send_marked)
            else:
                await self._app(scope, _limited(receive), send_marked)
        finally:
            method = scope["method"]
            self._services.telemetry.answered(
                method=method if method in METHODS else "other",
                route=template(scope),
                status=status,
                seconds=time.perf_counter() - began,
            )


class Authentication:
    """Lets requests under the API's prefix pass only with a token that may be used for them.

    Puts the token and its user into the state.
    """

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        path = scope.get("path", "")
        inside = path == API_PREFIX or path.startswith(f"{API_PREFIX}/")
        if scope["type"] != "http" or not inside or path in PUBLIC | OTLP:
            await self._app(scope, receive, send)
            return
        text = token_text(Headers(scope=scope).get("authorization"))
        if text is None:
            await _unauthenticated("No token: send the header 'Authorization: Bearer <token>'.")(
                scope, receive, send
            )
            return
        caller = find_caller(self._services, text)
        if caller is None:
            await _unauthenticated(
                "The token is unknown, revoked or expired, or its user is disabled."
            )(scope, receive, send)
            return
        user, token = caller
        refused = refusal(
            token,
            method=scope["method"],
            path=path.removeprefix(API_PREFIX),
            workload_of=self._workload_of,
        )
        if refused is not None:
            await JSONResponse({"detail": refused}, 403)(scope, receive, send)
            return
        scope["state"] |= {"user": user, "token": token}
        await self._app(scope, receive, send)

    def _workload_of(self, deployment_id: str) -> str | None:
        deployment = self._services.mirror.get(Deployment, deployment_id)
        return None if deployment is None else deployment.workload_id


def find_caller(services: Services, text: str) -> tuple[User, Token] | None:
    """The user and the token whose text this is; None where it is not valid.

    A token that replicas carry never has an admin's power: its user is told as none.
    """
    digest = token_digest(text)
    for token in services.tokens[digest].values():
        expired = token.expires_at is not None and token.expires_at <= services.clock()
        if hmac.compare_digest(token.digest, digest) and not expired:
            user = services.mirror.get(User, token.user_id)
            if user is None or user.disabled:
                return None
            if token.made_for is not None or token.scope is TokenScope.WORKLOAD:
                user = msgspec.structs.replace(user, admin=False)
            return user, token
    return None


def token_text(header: str | None) -> str | None:
    """The token in an Authorization header; None: there is none."""
    scheme, _, text = (header or "").partition(" ")
    return text.strip() or None if scheme.lower() in {"bearer", "token"} else None


def _unauthenticated(detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, 401, headers={"WWW-Authenticate": "Bearer"})


_TOO_LARGE: Final = f"The body is larger than {MAX_BODY_BYTES} bytes."


def _refusal(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers={"Connection": "close"})


def template(scope: Scope) -> str:
    """The route's path with parameters' names for their values; `none` where no route matched."""
    if "route" not in scope:
        return "none"
    names = {str(value): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(names.get(segment, segment) for segment in scope["path"].split("/"))


def _limited(receive: Receive) -> Receive:
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return limited
