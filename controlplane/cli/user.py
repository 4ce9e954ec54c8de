"""`tidegate user`: who may hold tokens. For admins."""

from operator import itemgetter
from typing import Annotated

import typer

from controlplane.cli import options
from controlplane.cli.client import Api, Json, connect
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import print_items, print_json, say, second
from controlplane.model.ids import is_object_id

app = typer.Typer(
    help="Make, list, change and delete users; for admins. `tidegate token create --user NAME` "
    "then makes a token for one.",
    no_args_is_help=True,
)

Who = Annotated[str, typer.Argument(metavar="USER", help="Username or id of a user.")]


@app.command("create")
def create(
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="It never changes.")],
    *,
    email: Annotated[str | None, typer.Option(help="Default: the name, at localhost.")] = None,
    first_name: Annotated[str, typer.Option(help="Default: none.")] = "",
    last_name: Annotated[str, typer.Option(help="Default: none.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="May do everything.")] = False,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Make a user, who has no token and no role yet."""
    body: Json = {
        "username": username,
        "firstName": first_name,
        "lastName": last_name,
        "admin": admin,
    }
    with connect(url=url, token=token) as api:
        made = api.call("POST", "users", body=body | ({"email": email} if email else {}))
    if as_json:
        print_json(made)
        return
    say(f"created {made['username']}  {made['id']}")
    say(f"a token: tidegate token create --user {made['username']}")


@app.command("list")
def list_(
    *,
    search: Annotated[
        str | None, typer.Option(help="Only names and addresses that contain this. Default: all.")
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List users."""
    with connect(url=url, token=token) as api:
        items = list(api.pages("users", query={"search": search} if search else {}))
    print_items(
        items,
        {
            "USERNAME": itemgetter("username"),
            "ID": itemgetter("id"),
            "EMAIL": itemgetter("email"),
            "STANDING": standing,
            "CREATED": lambda item: second(item["createdAt"]),
        },
        as_json=as_json,
    )


def standing(user: Json) -> str:
    """What somebody is, in one word or two."""
    words = [word for word in ("admin", "disabled") if user[word]]
    return " ".join(words) or "user"


@app.command("set")
def change(
    user: Who,
    *,
    email: Annotated[str | None, typer.Option(help="Default: as it is.")] = None,
    first_name: Annotated[str | None, typer.Option(help="Default: as it is.")] = None,
    last_name: Annotated[str | None, typer.Option(help="Default: as it is.")] = None,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Default: as it is.")
    ] = None,
    disabled: Annotated[
        bool | None,
        typer.Option(
            "--disable/--enable",
            help="A disabled user's tokens stop working, and work again later. Default: as it is.",
        ),
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Change what is known of a user, make admin, or disable."""
    body = {
        "email": email,
        "firstName": first_name,
        "lastName": last_name,
        "admin": admin,
        "disabled": disabled,
    }
    with connect(url=url, token=token) as api:
        found = find_user(api, user)
        changed = api.call("PATCH", f"users/{found['id']}", body=body)
    if as_json:
        print_json(changed)
    else:
        say(f"{changed['username']} is {standing(changed)}")


@app.command("delete")
def delete(
    user: Who,
    *,
    transfer_to: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            help="Who becomes owner of what has no other one. Default: there must be nothing.",
        ),
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Delete a user with all tokens and roles."""
    with connect(url=url, token=token) as api:
        found = find_user(api, user)
        heir = find_user(api, transfer_to)["id"] if transfer_to else None
        api.call(
            "DELETE", f"users/{found['id']}", query={"transferTo": heir} if heir is not None else {}
        )
    say(f"deleted {found['username']}  {found['id']}")


def find_user(api: Api, name_or_id: str) -> Json:
    """A user by name or id.

    Raises:
        CliError: There is none (exit code 3).
    """
    for user in api.pages("users", query={"search": name_or_id}):
        if name_or_id in {user["username"], user["id"]}:
            return user
    what = "id" if is_object_id(name_or_id) else "name"
    raise CliError(
        f"no user has the {what} {name_or_id!r}",
        hint="`tidegate user list` shows all.",
        code=ExitCode.NOT_FOUND,
    )
