"""`tidegate workload replace`, `replacement`, `cancel-replacement`, `history` and `rollback`."""

import time
from operator import itemgetter
from typing import Annotated, Final

import typer

from controlplane.cli import options
from controlplane.cli.client import Api, Json, connect
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.lists import journal
from controlplane.cli.output import print_items, print_json, say, second
from controlplane.cli.specs import usage
from controlplane.cli.waiting import DEFAULT_TIMEOUT_S

ENDED: Final = frozenset({"completed", "errored"})
_POLL_S: Final = 0.3

Wait = Annotated[bool, typer.Option("--wait", help="Return when it is over, or --timeout is.")]


def replace(
    workload: options.Workload,
    artifact: Annotated[
        str, typer.Argument(metavar="ARTIFACT", help="Name or id of what shall run instead.")
    ],
    *,
    warmup: Annotated[
        float,
        typer.Option(metavar="MINUTES", min=0.0, help="Time that a ready candidate warms up."),
    ] = 0,
    keep_old: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            min=0.0,
            help="How long the old proton stays after the switch; cancel goes back to it.",
        ),
    ] = 0,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PERCENT:MINUTES",
            help="The candidate's share of the traffic and for how long; repeatable, ascending. "
            "Default: all at once.",
        ),
    ] = None,
    on_worse: Annotated[
        str | None,
        typer.Option(
            help="With --step, when the candidate fails more or is slower: hold, or rollback. "
            "Default: hold."
        ),
    ] = None,
    wait: Wait = False,
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Put another artifact behind a workload. No request fails; a bad candidate changes nothing."""
    config: Json = {"warmupDurationMinutes": warmup, "keepOldVersionMinutes": keep_old}
    if step:
        config["weightSteps"] = [_step(text) for text in step]
    if on_worse is not None:
        config["weightRule"] = {"onWorse": on_worse}
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        wanted = api.find("artifacts", artifact)["id"]
        _begin(api, found, wanted, config, timeout_s=timeout if wait else None, as_json=as_json)


def rollback(
    workload: options.Workload,
    *,
    wait: Wait = False,
    timeout: options.TimeoutS = DEFAULT_TIMEOUT_S,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Replace a workload's artifact by the one that ran before it, as its history knows."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        wanted = _before(api, found)
        _begin(api, found, wanted, {}, timeout_s=timeout if wait else None, as_json=as_json)


def replacement(
    workload: options.Workload,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Show the replacement under way, or the last one if it failed."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        shown = api.call("GET", f"workloads/{found['id']}/replacement")
    _show(found, shown, as_json=as_json)


def cancel_replacement(
    workload: options.Workload,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Cancel the replacement under way; while the old proton is kept, go back to it."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        shown = api.call("DELETE", f"workloads/{found['id']}/replacement")
    _show(found, shown, as_json=as_json)


def history(
    workload: options.Workload,
    *,
    limit: options.MostNewest = 20,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List what has been behind a workload: replacements and promotes, newest first."""
    print_items(
        journal(workload, "history", limit=limit, url=url, token=token),
        {
            "TIME": lambda item: second(item["createdAt"]),
            "STATUS": lambda item: "cancelled" if item["isDeleted"] else item["status"],
            "BY": itemgetter("origin"),
            "ARTIFACT": itemgetter("candidateArtifactId"),
            "BEFORE": lambda item: item["previousArtifactId"] or "-",
            "MESSAGE": itemgetter("message"),
        },
        as_json=as_json,
    )


def _begin(
    api: Api,
    workload: Json,
    artifact_id: str,
    config: Json,
    *,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    body: Json = {"artifactId": artifact_id, "strategy": "rolling", "config": config}
    shown = api.call("POST", f"workloads/{workload['id']}/replacement", body=body)
    if timeout_s is not None:
        shown = wait_over(api, workload, shown["id"], timeout_s=timeout_s)
    _show(workload, shown, as_json=as_json)


def wait_over(api: Api, workload: Json, replacement_id: str, *, timeout_s: float) -> Json:
    """Poll until a replacement has completed.

    Args:
        api: The API.
        workload: Whose it is.
        replacement_id: Its id.
        timeout_s: Give up after this; it goes on.

    Raises:
        CliError: It failed or was cancelled; or time is up (exit code 4).
    """
    deadline = time.monotonic() + timeout_s
    path = f"workloads/{workload['id']}"
    while True:
        shown = api.call("GET", path)["replacement"]
        if shown is None or shown["id"] != replacement_id:
            ended = api.pages(f"{path}/history", limit=100)
            shown = next((item for item in ended if item["id"] == replacement_id), None)
        if shown is not None and shown["status"] == "completed":
            return dict(shown)
        if shown is not None and shown["status"] in ENDED:
            raise CliError(
                f"the replacement of {workload['name']!r} failed", hint=shown["message"] or ""
            )
        if time.monotonic() >= deadline:
            how = "gone" if shown is None else shown["status"]
            raise CliError(
                f"the replacement of {workload['name']!r} is {how} after {timeout_s:g} s",
                hint=f"It goes on: `tidegate workload replacement {workload['name']}` shows it.",
                code=ExitCode.TIMEOUT,
            )
        time.sleep(_POLL_S)


def _before(api: Api, workload: Json) -> str:
    """The artifact that ran before the present one."""
    now = workload["artifactId"]
    for item in api.pages(f"workloads/{workload['id']}/history"):
        before = item["previousArtifactId"]
        led_here = item["status"] == "completed" and item["candidateArtifactId"] == now
        if led_here and before not in {None, now}:
            return str(before)
    raise CliError(
        f"nothing else has run behind {workload['name']!r}",
        hint=f"`tidegate workload history {workload['name']}` shows what has.",
        code=ExitCode.NOT_FOUND,
    )


def _step(text: str) -> Json:
    percent, colon, minutes = text.partition(":")
    try:
        return {"percent": int(percent), "durationMinutes": float(minutes) if colon else 0}
    except ValueError:
        raise usage(
            f"--step {text!r} is not PERCENT:MINUTES", "For example --step 10:5 --step 50:5."
        ) from None


def _show(workload: Json, shown: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    rows = [
        ("workload", workload["name"]),
        ("replacement", shown["id"]),
        ("status", shown["status"]),
        ("artifact", shown["candidateArtifactId"]),
        ("candidate", ", ".join(shown["candidateProtonIds"]) or "-"),
        ("before", ", ".join(shown["previousProtonIds"] or []) or "-"),
        *([("message", shown["message"])] if shown["message"] else []),
    ]
    for label, value in rows:
        say(f"{label:<11} {value}")
