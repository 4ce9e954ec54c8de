"""`tidegate workload`: create, look at, stop, start and delete workloads."""

from operator import itemgetter
from typing import Annotated

import typer

from controlplane.cli import creating, options, replacing, traffic
from controlplane.cli.client import Api, Json, connect
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.lists import journal, searched
from controlplane.cli.logs import logs
from controlplane.cli.output import or_dash, print_items, print_json, say, second
from controlplane.cli.promote import promote
from controlplane.cli.sharing import share
from controlplane.cli.specs import (
    ContainerOptions,
    ScalingOptions,
    artifact_body,
    read_spec,
    runtime_body,
    usage,
)
from controlplane.cli.waiting import DEFAULT_TIMEOUT_S, TARGETS, wait_for

app = typer.Typer(help="Create, look at, stop, start and delete workloads.", no_args_is_help=True)

Wait = Annotated[bool, typer.Option("--wait", help="Return when it is done, or --timeout is over.")]


@app.command("create")
def create(
    *,
    file: creating.SpecFile = None,
    name: creating.Name = None,
    artifact: Annotated[
        str | None,
        typer.Option(metavar="ARTIFACT", help="Run this artifact (name or id) instead."),
    ] = None,
    entrypoint: creating.Entrypoint = None,
    port: creating.Port = 8080,
    image: creating.Image = None,
    env: creating.Env = None,
    readiness: creating.Readiness = None,
    cpu: creating.Cpu = None,
    memory: creating.Memory = None,
    bundle: creating.Bundle = None,
    min_replicas: Annotated[
        int | None, typer.Option("--min", min=0, help="Fewest replicas. Default: 0.")
    ] = None,
    max_replicas: Annotated[
        int | None, typer.Option("--max", min=1, help="Most replicas. Default: 1, or --min.")
    ] = None,
    concurrency: Annotated[
        float | None,
        typer.Option(
            metavar="TARGET",
            help="Requests in flight per replica to aim for. Default with --min or --max: 10.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TARGET",
            help="Another scaling metric and its target per replica: httpRequestsInFlight, "
            "httpRequestsPerHour, cpuAverageUtilization; repeatable, the highest wish wins.",
        ),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="A fixed number, no autoscaling. Default: 1.")
    ] = None,
    cooldown_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Idle minutes before zero. Default: the setting autoscaler.cooldown_s.",
        ),
    ] = None,
    concurrency_limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most requests in flight per replica; more wait in the gateway. Default: twice "
            "the concurrency target.",
        ),
    ] = None,
    importance: Annotated[
        str | None, typer.Option(help="low, moderate, high or critical. Default: low.")
    ] = None,
    affinity: traffic.Affinity = None,
    affinity_ttl: traffic.AffinityTtl = None,
    per_minute: traffic.PerMinute = None,
    per_hour: traffic.PerHour = None,
    concurrent: traffic.Concurrent = None,
    max_body: traffic.MaxBody = None,
    request_timeout: traffic.RequestTimeout = None,
    wait: Wait = False,
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Create a workload: from options, from a file, or from an artifact that exists."""
    container = ContainerOptions(
        entrypoint=entrypoint,
        port=port,
        image=image,
        env=env or (),
        readiness=readiness,
        cpu=cpu,
        memory=memory,
        bundles=bundle or (),
    )
    scaling = ScalingOptions(
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        concurrency=concurrency,
        metrics=metric or (),
        replicas=replicas,
        cooldown_minutes=cooldown_minutes,
        concurrency_limit=concurrency_limit,
    )
    settings = traffic.TrafficOptions(
        affinity=affinity,
        affinity_ttl=affinity_ttl,
        per_minute=per_minute,
        per_hour=per_hour,
        concurrent=concurrent,
        max_body=max_body,
        request_timeout=request_timeout,
    )
    with connect(url=url, token=token) as api:
        body: Json = read_spec(str(file)) if file else {}
        named: Json = {"name": name, "importance": importance}
        named["traffic"] = traffic.traffic_body(settings, body.get("traffic"))
        body |= {key: given for key, given in named.items() if given}
        if not file:
            body |= _composed(api, name, artifact, container, scaling)
        workload = api.call("POST", "workloads", body=body)
        if wait:
            workload = wait_for(api, workload["id"], "settled", timeout_s=timeout)
    if as_json:
        print_json(workload)
    else:
        say(f"{workload['name']}  {workload['id']}  {workload['status']}")
        say(workload["endpoint"])


def _composed(
    api: Api,
    name: str | None,
    artifact: str | None,
    container: ContainerOptions,
    scaling: ScalingOptions,
) -> Json:
    if not name:
        raise usage("a workload needs a name", "Give --name, or a whole body with -f FILE.")
    body: Json = {}
    if artifact:
        if container.entrypoint or container.image:
            raise usage(
                "--artifact says what to run already", "Leave out --entrypoint and --image."
            )
        body["artifactId"] = api.find("artifacts", artifact)["id"]
    else:
        body["artifact"] = artifact_body(name, container)
    if runtime := runtime_body(container, scaling):
        body["runtime"] = runtime
    return body


@app.command("list")
def list_(
    *,
    search: options.Search = None,
    limit: options.Most = 100,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List workloads, with their status and replicas."""
    print_items(
        searched("workloads", search, limit=limit, url=url, token=token),
        {
            "NAME": itemgetter("name"),
            "ID": itemgetter("id"),
            "STATUS": itemgetter("status"),
            "READY": lambda item: _detail(item, "readyReplicas"),
            "WANTED": lambda item: _detail(item, "wantedReplicas"),
            "IMPORTANCE": itemgetter("importance"),
            "CREATED": lambda item: second(item["createdAt"]),
        },
        as_json=as_json,
    )


@app.command("get")
def get(
    workload: options.Workload,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Show one workload: status, replicas, invoke URL, and what its owner should do."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
    if as_json:
        print_json(found)
        return
    say(describe(found))


def _granted(details: Json) -> str:
    granted = details.get("grantedReplicas")
    return "" if granted is None else f", {granted} granted"


def describe(workload: Json) -> str:
    """A workload as lines of text."""
    details = workload.get("statusDetails") or {}
    rows = [
        ("name", workload["name"]),
        ("id", workload["id"]),
        ("status", workload["status"]),
        (
            "replicas",
            f"{details.get('readyReplicas', 0)} ready, "
            f"{or_dash(details.get('wantedReplicas'))} wanted{_granted(details)}",
        ),
        ("reason", or_dash(details.get("reason"))),
        ("importance", workload["importance"]),
        *traffic.traffic_rows(workload.get("traffic")),
        ("invoke URL", workload["endpoint"]),
        ("artifact", or_dash(workload.get("artifactId"))),
        ("proton", or_dash(workload.get("protonId"))),
        *([("replacement", _replacement(workload))] if workload.get("replacement") else []),
        ("created", workload["createdAt"]),
        *([("expires", workload["expiresAt"])] if workload.get("expiresAt") else []),
    ]
    lines = [f"{label:<11} {value}" for label, value in rows]
    if message := details.get("message"):
        lines += ["", message]
    lines += [f"  | {line}" for line in details.get("logTail") or []]
    return "\n".join(lines)


@app.command("start")
def start(
    workload: options.Workload,
    *,
    wait: Wait = False,
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Start a stopped workload."""
    _act("start", "settled" if wait else None, workload, timeout, url=url, token=token)


@app.command("stop")
def stop(
    workload: options.Workload,
    *,
    wait: Wait = False,
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Stop a workload: open requests finish, new ones are answered 503 until it is started."""
    _act("stop", "stopped" if wait else None, workload, timeout, url=url, token=token)


def _act(
    action: str, target: str | None, workload: str, timeout_s: float, **who: str | None
) -> None:
    with connect(**who) as api:
        found = api.find("workloads", workload)
        answer = api.call("POST", f"workloads/{found['id']}/{action}", body={})
        say(answer["status"])
        if target:
            result = wait_for(api, found["id"], target, timeout_s=timeout_s)
            say(f"{found['name']} is {result['status'] if result else 'deleted'}")


@app.command("delete")
def delete(
    workload: options.Workload,
    *,
    wait: Wait = False,
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Delete a workload. Open requests finish; its invoke URL answers 404 from now on."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        api.call("DELETE", f"workloads/{found['id']}")
        if wait:
            wait_for(api, found["id"], "deleted", timeout_s=timeout)
    say(f"deleted {found['name']}  {found['id']}")


@app.command("wait")
def wait_(
    workload: options.Workload,
    *,
    target: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="STATE",
            help="settled (running, or suspended at zero), running, suspended, stopped or deleted.",
        ),
    ] = "settled",
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Wait until a workload is in a state. Exit code 1 when it is errored, 4 when time is up."""
    if target not in TARGETS:
        raise usage(f"--for {target!r} is not a state", f"One of: {', '.join(TARGETS)}.")
    with connect(url=url, token=token) as api:
        try:
            found = api.find("workloads", workload)
        except CliError as exc:
            if target == "deleted" and exc.code is ExitCode.NOT_FOUND:
                return
            raise
        result = wait_for(api, found["id"], target, timeout_s=timeout)
    if as_json:
        print_json(result)
    else:
        say(f"{found['name']} is {result['status'] if result else 'deleted'}")


@app.command("events")
def events(
    workload: options.Workload,
    *,
    limit: options.MostNewest = 20,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List what happened to a workload, newest first."""
    print_items(
        journal(workload, "events", limit=limit, url=url, token=token),
        {
            "TIME": lambda item: second(item["timestamp"]),
            "EVENT": itemgetter("eventType"),
            "BY": lambda item: or_dash(item.get("actorId")),
            "DETAILS": lambda item: ", ".join(
                f"{key}={value}" for key, value in (item.get("details") or {}).items()
            ),
        },
        as_json=as_json,
    )


app.command("logs")(logs)
app.command("promote")(promote)
app.command("share")(share)
app.command("traffic")(traffic.traffic)
app.command("replace")(replacing.replace)
app.command("replacement")(replacing.replacement)
app.command("cancel-replacement")(replacing.cancel_replacement)
app.command("history")(replacing.history)
app.command("rollback")(replacing.rollback)


def _detail(item: Json, key: str) -> str:
    return or_dash((item.get("statusDetails") or {}).get(key))


def _replacement(workload: Json) -> str:
    shown = workload["replacement"]
    return ": ".join(part for part in (shown["status"], shown["message"]) if part)
