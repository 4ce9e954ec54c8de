"""`tidegate audit`: who changed what. For admins."""

from datetime import datetime
from operator import itemgetter
from typing import Annotated

import typer

from controlplane.cli import options
from controlplane.cli.client import Json, connect
from controlplane.cli.output import print_items, second
from controlplane.cli.since import parse_since

_SHOWN_CHARS = 60


def audit(
    *,
    actor: Annotated[
        str | None, typer.Option(metavar="USER", help="Only what this user did (name or id).")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only records of this kind, such as workload or user.")
    ] = None,
    record: Annotated[str | None, typer.Option(metavar="ID", help="Only this record.")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only created, updated or deleted records.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From here on: 15m, 2h, 3d ago, or 2026-01-31T12:00."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before this: as --since.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most lines.")] = 50,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List what was changed, by whom, from what to what; newest first. For admins."""
    named = {
        "actor": actor,
        "kind": kind,
        "id": record,
        "action": action,
    }
    query: dict[str, str | int] = {name: value for name, value in named.items() if value}
    query |= times(since, until, now=datetime.now().astimezone())
    with connect(url=url, token=token) as api:
        lines = list(api.pages("audit", query=query, limit=limit))
    print_items(
        lines,
        {
            "TIME": lambda line: second(line["timestamp"]),
            "BY": lambda line: line["actor"]["name"],
            "ACTION": itemgetter("action"),
            "KIND": itemgetter("kind"),
            "ID": itemgetter("recordId"),
            "NAME": itemgetter("recordName"),
            "CHANGES": told,
        },
        as_json=as_json,
    )


def times(since: str | None, until: str | None, *, now: datetime) -> dict[str, str]:
    """The API's query of a stretch of time; see `parse_since` for the texts, and its errors."""
    given = {"since": since, "until": until}
    return {
        name: parse_since(text, now=now).isoformat()
        for name, text in given.items()
        if text is not None
    }


def told(line: Json) -> str:
    """The changed fields of a line, as short as a table wants them."""
    if line["action"] == "created":
        return ""
    return ", ".join(
        f"{change['field']}: {_short(change['before'])} -> {_short(change['after'])}"
        for change in line["changes"]
    )


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
