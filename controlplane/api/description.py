"""The OpenAPI document: FastAPI's own, completed by what it cannot see in the routes.

what                       rule
-------------------------  -----------------------------------------------------------------------
operation ids              the route's function in camelCase; the old family's word in second place
errors                     of `errors.RESPONSES` those that the operation can have: 404 where an id
                           is named, 409 where something is changed, 415 where a body is read
headers                    `X-Request-Id` on every answer, `Retry-After`, `WWW-Authenticate`
`If-Match`                 on changes of one thing that answers with an `ETag`
security                   a token for everything under the API's prefix but the document itself
examples                   `examples.BODIES`, by the body's shape
parameters                 `parameters.meaning`, where the code says nothing about one
`x-tidegate-extension`     where a description says "An extension"
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from controlplane.api.errors import RESPONSES, SHAPES
from controlplane.api.examples import BODIES
from controlplane.api.parameters import meaning

API_PREFIX: Final = "/api/v2/"
EXTENSION: Final = "x-tidegate-extension"
_PUBLIC: Final = frozenset({f"{API_PREFIX}openapi.json", f"{API_PREFIX}openapi.yaml"})
VERBS: Final = ("get", "post", "put", "patch", "delete")

_OLD_WORDS: Final = {f"{API_PREFIX}console/": "console", f"{API_PREFIX}registry/": "registry"}

_OURS: Final = (f"{API_PREFIX}deployments",)
"""Paths of a generation that did not have them: there is no `/deployments` in the current one."""

_MARK: Final = re.compile(r"An extension\b|\(an extension\)")

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-Id": {
        "description": "The request's id in our log: the one that was sent, or a new one.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which it may work.",
        "schema": {"type": "integer"},
    },
    "WWW-Authenticate": {
        "description": "The scheme: `Bearer`.",
        "schema": {"type": "string"},
    },
}
_HEADERS_OF: Final = {"401": "WWW-Authenticate", "503": "Retry-After"}

_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "An `ETag` of a GET: refuse with 409 when it has changed since.",
}


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document of an application; made once."""
    if not hasattr(app.state, "document"):
        app.state.document = complete(app.openapi())
    made: dict[str, Any] = app.state.document
    return made


def complete(made: dict[str, Any]) -> dict[str, Any]:
    """Complete FastAPI's document in place; returns it."""
    made["components"]["headers"] = _HEADERS
    made["components"]["schemas"] |= _error_shapes()
    for path, verb, operation in operations(made):
        operation["operationId"] = _operation_id(path, verb, operation)
        _fit_errors(path, verb, operation)
        if _is_conditional(path, verb):
            operation.setdefault("parameters", []).append(_IF_MATCH)
        if path.startswith(API_PREFIX) and path not in _PUBLIC:
            operation.setdefault("security", [{"token": []}])
        _name_headers(operation)
        _give_example(operation)
        for parameter in operation.get("parameters", []):
            if "description" not in parameter:
                parameter["description"] = meaning(parameter["name"], parameter["schema"])
        if path.startswith(_OURS) or _MARK.search(operation.get("description", "")):
            operation[EXTENSION] = True
    for schema in made["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if _MARK.match(field.get("description", "")):
                field[EXTENSION] = True
    return made


def _error_shapes() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for shape in SHAPES:
        schema = shape.model_json_schema(
            ref_template="#/components/schemas/{model}", mode="serialization"
        )
        found |= schema.pop("$defs", {}) | {shape.__name__: schema}
    return found


def operations(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, verb in small letters and description of every operation in a document."""
    for path, verbs in made["paths"].items():
        for verb in VERBS:
            if verb in verbs:
                yield path, verb, verbs[verb]


def _operation_id(path: str, verb: str, operation: dict[str, Any]) -> str:
    # FastAPI's: the function's name, the path with underscores, the verb.
    tail = re.sub(r"\W", "_", path) + f"_{verb}"
    given: str = operation["operationId"]
    if not given.endswith(tail):
        return given  # the route names it itself
    words = given.removesuffix(tail).split("_")
    for prefix, word in _OLD_WORDS.items():
        if path.startswith(prefix) and word not in words:
            words.insert(1, word)
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _fit_errors(path: str, verb: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    has_body = "requestBody" in operation
    has_id = "{" in path
    impossible = {
        "404": not (has_id or has_body),
        "409": verb == "get",
        "415": not has_body,
    }
    for status, never in impossible.items():
        generic = RESPONSES[int(status)]["description"]
        if never and responses.get(status, {}).get("description") == generic:
            del responses[status]
    for status, answer in responses.items():
        content = answer.get("content", {})
        if status >= "4" and "application/json" not in content and content:
            # FastAPI takes the kind of the route's success; errors are JSON whatever that is.
            answer["content"] = {"application/json": next(iter(content.values()))}
    operation["responses"] = dict(sorted(responses.items()))


def _name_headers(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        for name in ("X-Request-Id", _HEADERS_OF.get(status)):
            if name is not None:
                header = {"$ref": f"#/components/headers/{name}"}
                answer.setdefault("headers", {})[name] = header


def _is_conditional(path: str, verb: str) -> bool:
    return "{" in path and (verb in {"put", "patch"} or (verb == "delete" and path.endswith("}")))


def _give_example(operation: dict[str, Any]) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for name in re.findall(r"#/components/schemas/(\w+)", str(content.get("schema", {}))):
            if name in BODIES:
                content.setdefault("examples", BODIES[name])
