"""`tidegate workload share`: who has which role on a workload."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Annotated

import typer

from controlplane.cli import options
from controlplane.cli.client import Json, connect
from controlplane.cli.output import print_items
from controlplane.cli.specs import usage
from controlplane.model.states import EVERYBODY

_EVERYBODY_ROLES = ("user", "consumer", "none")


def share(
    workload: options.Workload,
    *,
    owner: Annotated[
        list[str] | None,
        typer.Option(metavar="USERNAME", help="May do everything, and share. Repeatable."),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="USERNAME", help="May invoke and look. Repeatable.")
    ] = None,
    consumer: Annotated[
        list[str] | None, typer.Option(metavar="USERNAME", help="May invoke. Repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="USERNAME", help="Has no role then. Repeatable.")
    ] = None,
    everybody: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Role of all users: user, consumer or none."),
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Give roles on a workload, or take them; without options: show them."""
    if everybody is not None and everybody not in _EVERYBODY_ROLES:
        raise usage(f"--everybody {everybody!r} is no role", "One of: user, consumer, none.")
    wanted = {"OWNER": owner, "USER": user, "CONSUMER": consumer, None: remove}
    changes = {name: role for role, names in wanted.items() for name in names or ()}
    with connect(url=url, token=token) as api:
        path = f"workloads/{api.find('workloads', workload)['id']}/sharedRoles"
        roles = list(api.pages(path))
        if changes or everybody is not None:
            body = {"operation": "updateRoles", "roles": [*changed(roles, changes, everybody)]}
            api.call("PATCH", path, body=body)
            roles = list(api.pages(path))
    print_items(
        roles,
        {
            "NAME": itemgetter("name"),
            "ROLE": itemgetter("role"),
            "TYPE": itemgetter("shareRecipientType"),
            "ID": itemgetter("id"),
        },
        as_json=as_json,
    )


def changed(
    roles: Sequence[Json], changes: dict[str, str | None], everybody: str | None
) -> Iterator[Json]:
    """The whole list as it shall be.

    Args:
        roles: As it is.
        changes: Role by username; None takes it away.
        everybody: The role of all users; `none` takes it away, None leaves it.
    """
    for role in roles:
        kind = role["shareRecipientType"]
        kept = everybody is None if kind == "organization" else role["name"] not in changes
        if kept:
            yield {"shareRecipientType": kind, "id": role["id"], "role": role["role"]}
    for username, new in changes.items():
        if new is not None:
            yield {"shareRecipientType": "user", "username": username, "role": new}
    if everybody is not None and everybody != "none":
        yield {"shareRecipientType": "organization", "id": EVERYBODY, "role": everybody.upper()}
