"""`tidegate workload traffic`, and the same options of `create`: affinity, quotas, limits."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from controlplane.cli import options
from controlplane.cli.client import Json, connect
from controlplane.cli.output import print_json, say
from controlplane.cli.specs import usage

Affinity = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Keep a session on one replica, told by: cookie, cookie=NAME or header=NAME, such as "
        "header=Mcp-Session-Id; off. Default: off.",
    ),
]
AffinityTtl = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.0,
        help="Forget a session after this long without a request; 0: never. Default: never.",
    ),
]
PerMinute = Annotated[
    int | None,
    typer.Option(
        "--quota-per-minute", min=0, help="Most requests a minute of each caller; 0: any number."
    ),
]
PerHour = Annotated[
    int | None,
    typer.Option(
        "--quota-per-hour", min=0, help="Most requests an hour of each caller; 0: any number."
    ),
]
Concurrent = Annotated[
    int | None,
    typer.Option(
        "--quota-concurrent",
        min=0,
        help="Most requests of each caller at a time, waiting ones included; 0: any number.",
    ),
]
MaxBody = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Largest request body, for example 10MB; 0: the platform's. Default: the setting "
        "gateway.max_body_bytes.",
    ),
]
RequestTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.0,
        help="Longest time of a request, not of a WebSocket; 0: the platform's. Default: the "
        "setting gateway.request_timeout_s.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """Traffic settings as the options say them. None: nothing said; 0 or `off`: take it back."""

    affinity: str | None = None
    affinity_ttl: float | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    concurrent: int | None = None
    max_body: str | None = None
    request_timeout: float | None = None


def traffic_body(options: TrafficOptions, now: Json | None = None) -> Json | None:
    """The whole `traffic` object of a request.

    Args:
        options: What shall change.
        now: The settings as they are, in an answer's form; None: a new workload's.

    Returns:
        None when the options say nothing.

    Raises:
        CliError: Options contradict each other or are malformed.
    """
    if options == TrafficOptions():
        return None
    body: Json = dict(now or {})
    if options.affinity is not None:
        body["affinity"] = _affinity(options.affinity)
    if options.affinity_ttl is not None:
        if not body.get("affinity"):
            raise usage("--affinity-ttl needs an affinity", "Give --affinity cookie, for example.")
        body["affinity"] = {**body["affinity"], "ttlSeconds": options.affinity_ttl or None}
    quota = dict(body.get("quota") or {})
    for key, value in (
        ("requestsPerMinute", options.per_minute),
        ("requestsPerHour", options.per_hour),
        ("concurrentRequests", options.concurrent),
    ):
        if value is not None:
            quota[key] = value or None
    body["quota"] = quota if any(quota.values()) else None
    if options.max_body is not None:
        body["maxBodyBytes"] = None if options.max_body == "0" else options.max_body
    if options.request_timeout is not None:
        body["requestTimeoutSeconds"] = options.request_timeout or None
    return body


def traffic_rows(traffic: Json | None) -> list[tuple[str, str]]:
    """What `workload get` says about traffic settings: only what is set."""
    traffic = traffic or {}
    rows = []
    if affinity := traffic.get("affinity"):
        ttl = affinity.get("ttlSeconds")
        rows.append(
            ("affinity", f"{affinity['kind']} {affinity['name']}" + (f", {ttl} s" if ttl else ""))
        )
    quota = traffic.get("quota") or {}
    limits = [
        f"{quota[key]} {words}"
        for key, words in (
            ("requestsPerMinute", "a minute"),
            ("requestsPerHour", "an hour"),
            ("concurrentRequests", "at a time"),
        )
        if quota.get(key)
    ]
    if limits:
        rows.append(("quota", ", ".join(limits) + " per caller"))
    if size := traffic.get("maxBodyBytes"):
        rows.append(("body limit", f"{size} bytes"))
    if seconds := traffic.get("requestTimeoutSeconds"):
        rows.append(("time limit", f"{seconds} s"))
    return rows


def traffic(
    workload: options.Workload,
    *,
    affinity: Affinity = None,
    affinity_ttl: AffinityTtl = None,
    per_minute: PerMinute = None,
    per_hour: PerHour = None,
    concurrent: Concurrent = None,
    max_body: MaxBody = None,
    request_timeout: RequestTimeout = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Show or change how the gateway treats a workload's requests; applies at once."""
    wanted = TrafficOptions(
        affinity=affinity,
        affinity_ttl=affinity_ttl,
        per_minute=per_minute,
        per_hour=per_hour,
        concurrent=concurrent,
        max_body=max_body,
        request_timeout=request_timeout,
    )
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        body = traffic_body(wanted, found.get("traffic"))
        if body is not None:
            found = api.call("PATCH", f"workloads/{found['id']}", body={"traffic": body})
    if as_json:
        print_json(found.get("traffic"))
    else:
        rows = traffic_rows(found.get("traffic"))
        say("\n".join(f"{label:<11} {value}" for label, value in rows) or "nothing is set")


def _affinity(text: str) -> dict[str, Any] | None:
    if text == "off":
        return None
    kind, separator, name = text.partition("=")
    if kind not in {"cookie", "header"} or (kind == "header" and not name):
        raise usage(
            f"--affinity {text!r} is not a kind of affinity",
            "One of: cookie, cookie=NAME, header=NAME, off.",
        )
    return {"kind": kind, "name": name} if separator and name else {"kind": kind}
