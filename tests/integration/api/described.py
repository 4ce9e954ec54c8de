"""Holds every answer of an API against its own OpenAPI document.

The clients of this directory's tests send each answer through `Described.check`: an operation,
status, content type, header or field that the document does not have fails the test that got it.
"""

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs

from controlplane.api import description
from controlplane.api.app import create_app

MESSAGE = "application/x-protobuf"
"""A protobuf message without fields is empty."""

NOWHERE = {401, 404, 405}
"""What paths and methods that are not in the document may answer; 400, 413: before any path."""


NOTHING: Any = None
"""Services of an application that is only described."""


class UndescribedError(AssertionError):
    """An answer that the document does not announce."""


class Described:
    """One document, with the validators of its answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._paths = sorted(document["paths"], key=lambda path: (path.count("{"), path))
        self._patterns = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in self._paths
        ]
        self._strict = {"components": {"schemas": _closed(document["components"]["schemas"])}}
        self._validators: dict[str, Any] = {}

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation that a request is about."""
        path = path.removesuffix("/") if path != "/" else path
        verb = "get" if method == "HEAD" else method.lower()
        for pattern, template in self._patterns:
            found = self.document["paths"][template]
            if pattern.fullmatch(path) and verb in found:
                operation: dict[str, Any] = found[verb]
                return operation
        return None

    def check(self, method: str, path: str, status: int, headers: Any, content: bytes) -> None:
        """Raise when the document does not announce this answer.

        Raises:
            UndescribedError: What is missing in the document, or wrong in the answer.
        """
        told = f"{method} {path} -> {status}"
        operation = self.operation(method, path)
        if operation is None:
            if method == "OPTIONS" and status == 204:
                return
            if status not in NOWHERE | {400, 413}:
                raise UndescribedError(f"{told}: no such operation in the document")
            self._fits({"$ref": "#/components/schemas/ErrorShape"}, content, told)
            return
        if status == 405:
            raise UndescribedError(f"{told}: the document has this operation")
        answer = operation["responses"].get(str(status))
        if answer is None:
            raise UndescribedError(f"{told}: status not in {sorted(operation['responses'])}")
        if "X-Request-Id" not in headers:
            raise UndescribedError(f"{told}: no X-Request-Id")
        for name in answer.get("headers", {}):
            if name not in headers:
                raise UndescribedError(f"{told}: announced header {name} is missing")
        self._body(answer, method, headers, content, told)

    def _body(
        self, answer: dict[str, Any], method: str, headers: Any, content: bytes, told: str
    ) -> None:
        kinds = answer.get("content", {})
        if not content:
            if kinds and method != "HEAD" and MESSAGE not in kinds:
                raise UndescribedError(f"{told}: an empty body, but {list(kinds)} is announced")
            return
        kind = headers.get("content-type", "").partition(";")[0]
        if kind not in kinds:
            raise UndescribedError(f"{told}: content type {kind} not in {list(kinds)}")
        if kind == "application/json":
            self._fits(kinds[kind]["schema"], content, told)

    def _fits(self, schema: dict[str, Any], content: bytes, told: str) -> None:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**self._strict, "allOf": [_closed(schema)]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        body = json.loads(content)
        errors = [
            f"{'/'.join(map(str, e.instance_path))}: {e.message[:300]}"
            for e in self._validators[key].iter_errors(body)
        ]
        if errors:
            raise UndescribedError(f"{told}: {errors}\n{json.dumps(body)[:2000]}")


def _closed(schema: Any) -> Any:
    """The same schema, with objects that have no other fields than those they list."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@cache
def described() -> Described:
    """The checker for this code's document: made once, it is the same for every application."""
    return Described(description.document(create_app(NOTHING)))


async def check_answer(response: Any) -> None:
    """A response hook of httpx2's clients."""
    if "text/event-stream" in response.headers.get("content-type", ""):
        return
    await response.aread()
    request = response.request
    described().check(
        request.method, request.url.path, response.status_code, response.headers, response.content
    )
