"""The REST API as commands use it: plain JSON in and out, errors as advice."""

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2

from controlplane import __version__
from controlplane.cli.credentials import Credentials, find_credentials
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.settings import data_directory, load_settings
from controlplane.model.ids import is_object_id

Json = dict[str, Any]
"""A JSON object of the API."""

PAGE = 100
_NOT_FOUND, _UNAUTHENTICATED, _FORBIDDEN, _INVALID = 404, 401, 403, 422


class ApiError(CliError):
    """The API answered with an error."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        code = ExitCode.NOT_FOUND if status == _NOT_FOUND else ExitCode.FAILED
        super().__init__(message, hint=hint, code=code)
        self.status = status


class Api:
    """A connection to one API as one user. Use it as a context manager.

    Args:
        credentials: Where and as whom.
        transport: Replaces the network, for tests.
    """

    def __init__(
        self, credentials: Credentials, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self.url = credentials.url
        self.token = credentials.token
        self._http = httpx2.Client(
            base_url=f"{credentials.url}/api/v2/",
            headers={
                "Authorization": f"Bearer {credentials.token}",
                "User-Agent": f"tidegate/{__version__}",
            },
            timeout=30.0,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: dict[str, str | int] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever JSON the API answers
        """One request.

        Returns:
            The decoded JSON; None for an answer without a body.

        Raises:
            ApiError: The API refused.
            CliError: It cannot be reached, or did not answer with JSON.
        """
        try:
            response = self._http.request(method, path, json=body, params=query)
        except httpx2.TimeoutException as exc:
            raise CliError(
                f"the API at {self.url} did not answer in time",
                hint="Try again; `tidegate up` and its logs say whether it is well.",
            ) from exc
        except httpx2.HTTPError as exc:
            raise CliError(
                f"cannot reach the API at {self.url}: {exc}",
                hint="Does `tidegate up` run there? Is the URL right (TIDEGATE_API_URL)?",
            ) from exc
        if response.is_error:
            raise _api_error(response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as exc:
            raise CliError(
                f"{self.url} does not speak the API's JSON", hint="Is the URL right?"
            ) from exc

    def pages(
        self,
        path: str,
        *,
        query: dict[str, str | int] | None = None,
        limit: int | None = None,
    ) -> Iterator[Json]:
        """Items of a list, page after page.

        Args:
            path: A route that answers with the list envelope.
            query: Filters.
            limit: Most items; None: all.
        """
        yielded = 0
        edge: dict[str, str | int] = {"offset": 0}
        while limit is None or yielded < limit:
            size = PAGE if limit is None else min(PAGE, limit - yielded)
            asked = {**(query or {}), "limit": size, **edge}
            page = self.call("GET", path, query=asked)
            items = page["data"]
            yield from items
            yielded += len(items)
            if not page.get("next"):
                return
            # The cursor makes the pages fit each other whatever changes meanwhile.
            told = parse_qsl(urlsplit(page["next"]).query)
            edge = {name: value for name, value in told if name in {"offset", "cursor"}}

    def find(self, kind: str, name_or_id: str) -> Json:
        """One entity by its id, or by its name where only one has it.

        Args:
            kind: `workloads`, `artifacts`, ...: the path of its list.
            name_or_id: What the user typed.

        Raises:
            CliError: None has it (exit code 3), or several do (lists their ids).
        """
        one = kind.removesuffix("s")
        if is_object_id(name_or_id):
            try:
                found: Json = self.call("GET", f"{kind}/{name_or_id}")
            except ApiError as exc:
                if exc.status != _NOT_FOUND:
                    raise
            else:
                return found
        matches = [
            item
            for item in self.pages(kind, query={"search": name_or_id})
            if item["name"] == name_or_id
        ]
        if not matches:
            raise CliError(
                f"no {one} is called {name_or_id!r}, and none has it as its id",
                hint=f"`tidegate {one} list` shows all that you may see.",
                code=ExitCode.NOT_FOUND,
            )
        if len(matches) > 1:
            ids = "\n".join(f"  {item['id']}  created {_created(item)}" for item in matches)
            raise CliError(
                f"{len(matches)} {kind} are called {name_or_id!r}", hint=f"Give an id:\n{ids}"
            )
        return matches[0]


def _created(item: Json) -> str:
    # Credentials have the public API's word for it.
    return str(item.get("createdAt") or item.get("creationDate"))


def connect(*, url: str | None = None, token: str | None = None) -> Api:
    """The API that flags, environment, `tidegate login` or a running `up` lead to.

    Raises:
        CliError: None of them does.
    """
    settings, _ = load_settings()
    return Api(
        find_credentials(
            url=url, token=token, environ=os.environ, data_dir=data_directory(settings)
        )
    )


def describe_detail(detail: object) -> str:
    """The `detail` of an error body in one text: a sentence, or pydantic's list of problems."""
    if isinstance(detail, str):
        return detail
    if not isinstance(detail, list):
        return str(detail)
    lines = []
    for problem in detail:
        if not isinstance(problem, dict):
            lines.append(str(problem))
            continue
        where = ".".join(str(part) for part in problem.get("loc", ()) if part != "body")
        message = problem.get("msg", problem)
        lines.append(f"{where}: {message}" if where else str(message))
    return "; ".join(lines)


def _api_error(response: httpx2.Response) -> ApiError:
    try:
        body = response.json()
    except ValueError:
        body = {}
    status = response.status_code
    detail = body.get("detail", body.get("message")) if isinstance(body, dict) else body
    text = describe_detail(detail) if detail else f"the API answered {status}"
    hints = {
        _UNAUTHENTICATED: "The token is not valid here. `tidegate token create` makes a new one.",
        _FORBIDDEN: "The token's user may not do this.",
        _INVALID: "`--help` shows what is expected.",
    }
    return ApiError(text, status=status, hint=hints.get(status, ""))
