"""`tidegate invoke`: one request to a workload's invoke URL, as curl would send it."""

import sys
from pathlib import Path
from typing import Annotated, Final

import httpx2
import typer

from controlplane.cli import options
from controlplane.cli.client import connect
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import warn
from controlplane.cli.specs import usage

ERROR_HEADER: Final = "X-Tidegate-Error"
ADVICE: Final = {
    "unauthenticated": "The token is not valid. `tidegate token create` makes a new one.",
    "forbidden": "The token's user has no role on this workload.",
    "no_route": "The workload or proton is gone: `tidegate workload list`.",
    "workload_stopped": "It is stopped: `tidegate workload start WORKLOAD`.",
    "workload_errored": "Its replicas do not come up: `tidegate workload get WORKLOAD` says why.",
    "queue_full": "More requests wait than gateway.queue_limit allows: try again later, or raise "
    "--max.",
    "overloaded": "The gateway is full: try again later, or raise gateway.max_exchanges and the "
    "workload's importance.",
    "quota": "Your quota on this workload is used up: `tidegate workload traffic WORKLOAD` shows "
    "it, the answer's Retry-After when to come again.",
    "cold_start_timeout": "No replica became ready in time: `tidegate workload get WORKLOAD`.",
    "replica_unreachable": "No replica accepted the connection: `tidegate logs WORKLOAD`.",
    "replica_reset": "The replica closed the connection before it answered: `tidegate logs "
    "WORKLOAD`.",
    "replica_timeout": "The replica was silent for too long: `tidegate logs WORKLOAD`.",
    "bad_request": "The gateway refused the request as malformed.",
}
"""What to do about an answer that the gateway made itself, by its error code."""


def invoke(
    workload: options.Workload,
    path: Annotated[
        str, typer.Argument(help="Path and query below the invoke URL, sent as given.")
    ] = "/",
    *,
    method: Annotated[
        str | None,
        typer.Option("-X", "--request", help="Method. Default: GET, or POST with -d."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("-d", "--data", help="Body; @FILE reads a file, @- standard input."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "-H",
            "--header",
            metavar="'NAME: VALUE'",
            help="Header; repeatable. With -d, Content-Type is application/json unless given.",
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Print every piece as it arrives, however long it takes."),
    ] = False,
    include: Annotated[
        bool, typer.Option("-i", "--include", help="Print the response's head on stderr.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.0,
            help="Longest silence, a cold start included (exit code 4).",
        ),
    ] = 600.0,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Send one request to a workload and print the answer's body.

    Exit code 1 when the answer is not a success; the body is printed all the same.
    """
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        headers = _headers(header or [], body=data is not None, token=api.token)
    body = _body(data)
    target = found["endpoint"].rstrip("/") + "/" + path.removeprefix("/")
    verb = (method or ("POST" if body is not None else "GET")).upper()
    limits = httpx2.Timeout(timeout, read=None if stream else timeout)
    try:
        with (
            httpx2.Client(timeout=limits, follow_redirects=False) as http,
            http.stream(verb, target, content=body, headers=headers) as response,
        ):
            if include:
                warn(f"{response.http_version} {response.status_code} {response.reason_phrase}")
                for name, value in response.headers.multi_items():
                    warn(f"{name}: {value}")
            _print_body(response, flush=stream)
            _check(response, workload)
    except httpx2.TimeoutException as exc:
        raise CliError(
            f"no answer from {target} within {timeout:g} s",
            hint=f"`tidegate workload get {workload}` says what it does; --timeout waits longer.",
            code=ExitCode.TIMEOUT,
        ) from exc
    except httpx2.HTTPError as exc:
        raise CliError(
            f"{target}: {exc}", hint="Does the gateway run? Is the answer complete?"
        ) from exc
    except (httpx2.InvalidURL, ValueError) as exc:
        raise usage(f"cannot send that: {exc}", "Check the path and the headers.") from exc


def _check(response: httpx2.Response, workload: str) -> None:
    if response.is_success:
        return
    code = response.headers.get(ERROR_HEADER)
    if code is None:
        where = response.headers.get("Location")
        to = f", which leads to {where}" if where else ""
        raise CliError(f"the service answered {response.status_code}{to}")
    advice = ADVICE.get(code, "").replace("WORKLOAD", workload)
    retry = response.headers.get("Retry-After")
    raise CliError(
        f"the gateway answered {response.status_code} ({code})",
        hint=f"{advice}{f' Retry after {retry} s.' if retry else ''}".strip(),
    )


def _print_body(response: httpx2.Response, *, flush: bool) -> None:
    out = sys.stdout.buffer
    last = b""
    for chunk in response.iter_raw():
        out.write(chunk)
        last = chunk or last
        if flush:
            out.flush()
    # A prompt on the same line as the answer is a nuisance; a pipe gets exact bytes.
    if last and not last.endswith(b"\n") and sys.stdout.isatty():
        out.write(b"\n")
    out.flush()


def _headers(lines: list[str], *, body: bool, token: str) -> httpx2.Headers:
    headers = httpx2.Headers({"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"})
    if body:
        headers["Content-Type"] = "application/json"
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator or not name.strip():
            raise usage(f"-H {line!r} is not 'NAME: VALUE'", "For example: -H 'Accept: text/html'")
        headers[name.strip()] = value.strip()
    return headers


def _body(data: str | None) -> bytes | None:
    if data is None:
        return None
    if data == "@-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as exc:
            raise usage(
                f"cannot read {data[1:]}: {exc.strerror}", "-d @FILE reads a file."
            ) from exc
    return data.encode()
