"""Methods that no route has: HEAD, OPTIONS, and everything that is refused with 405.

method                     answer
-------------------------  ------------------------------------------------------------------------
HEAD                       the status and headers of GET
OPTIONS                    204 with `Allow`; 404 where nothing is
any other that fits no     405 with `Allow` and a sentence
route of the path
"""

import re
from collections.abc import Iterable
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_ALLOWED: Final = 405

_PARAMETER: Final = re.compile(r"\{\w+\}")


class Methods:
    """Innermost layer: what the routes leave unanswered, or answer for one route of a path only."""

    def __init__(self, app: ASGIApp, *, paths: "Paths") -> None:
        self._app = app
        self._paths: Final = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if method == "HEAD":
            scope["method"] = "GET"
            try:
                await self._app(scope, receive, _without_body(send))
            finally:
                scope["method"] = method
        elif self._paths.refuses(method, path):
            await _answer(method, self._paths.methods(path))(scope, receive, send)
        else:
            await self._app(scope, receive, self._with_allow(scope, receive, send))

    def _with_allow(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """Where the routes say 405, say which methods the whole path has."""
        replaced = False

        async def send_checked(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == NOT_ALLOWED:
                replaced = True
                allowed = self._paths.methods(scope["path"])
                await _answer(scope["method"], allowed)(scope, receive, send)
            elif not replaced:
                await send(message)

        return send_checked


class Paths:
    """Which methods each path has. A path that is spelled out belongs to no template."""

    def __init__(self, served: Iterable[tuple[str, Iterable[str]]]) -> None:
        names: dict[str, set[str]] = {}
        for path, methods in served:
            names.setdefault(path, {"OPTIONS"}).update(methods)
        for found in names.values():
            if "GET" in found:
                found.add("HEAD")
        self._spelled_out: Final = {p: n for p, n in names.items() if "{" not in p}
        self._templates: Final = [
            (re.compile(_PARAMETER.sub("[^/]+", path)), found)
            for path, found in names.items()
            if "{" in path
        ]

    def refuses(self, method: str, path: str) -> bool:
        """Whether it is known without the routes that this path has no such method."""
        return method == "OPTIONS" or (
            path in self._spelled_out and method not in self._spelled_out[path]
        )

    def methods(self, path: str) -> list[str]:
        """The methods of a path in order; empty where nothing is."""
        if path in self._spelled_out:
            return sorted(self._spelled_out[path])
        fitting = [found for pattern, found in self._templates if pattern.fullmatch(path)]
        return sorted(set().union(*fitting))


def _answer(method: str, allowed: list[str]) -> Response:
    if not allowed:
        return JSONResponse({"detail": NOWHERE}, 404)
    headers = {"Allow": ", ".join(allowed)}
    if method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    detail = f"{method[:20]} is not served at this path; these are: {headers['Allow']}."
    return JSONResponse({"detail": detail}, NOT_ALLOWED, headers=headers)


NOWHERE: Final = "There is no such path here; /docs lists those that are."


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
