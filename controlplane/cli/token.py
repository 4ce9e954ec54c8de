"""`tidegate token`: make, list and revoke API tokens. Works on the store, so it needs no token."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from controlplane import accounts
from controlplane.accounts import AccountError
from controlplane.cli import options
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import print_json, print_table, say, warn
from controlplane.cli.settings import data_directory, load_settings
from controlplane.cli.stores import open_store, store_url
from controlplane.model.people import Scope, Token
from controlplane.store.client import Store

T = TypeVar("T")

_DAY_S = 86_400.0

app = typer.Typer(
    help="Make, list and revoke API tokens. Talks to the store of the `tidegate up` on this "
    "machine, or to the one that --store names.",
    no_args_is_help=True,
)


@app.command("create")
def create(
    *,
    name: Annotated[str, typer.Option(help="What the token is for. Default: cli.")] = "cli",
    user: Annotated[
        str | None, typer.Option(metavar="USERNAME", help="Whose token. Default: the owner's.")
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0.0, help="Life in days. Default: no end.")
    ] = None,
    scope: Annotated[
        Scope,
        typer.Option(
            help="full: all that its user may do; read: GET of the API; invoke: invoke URLs; "
            "workload: both."
        ),
    ] = Scope.FULL,
    workload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="It works for this workload only; repeatable. Default: all."
        ),
    ] = None,
    data_dir: options.DataDirectory = None,
    store: options.StoreUrl = None,
    as_json: options.Json = False,
) -> None:
    """Make a token and print it. It is shown this once: the store keeps only its hash."""
    expires_s = None if expires_days is None else expires_days * _DAY_S

    async def make(held: Store) -> tuple[Token, str]:
        return await accounts.create_token(
            held,
            username=user,
            name=name,
            expires_s=expires_s,
            scope=scope,
            workload_ids=workload or (),
        )

    record, text = _with_store(make, data_dir=data_dir, store=store)
    if as_json:
        print_json({**_public(record), "token": text})
        return
    say(text)
    warn(f"token {record.id} ({record.name}); it is shown this once")


@app.command("list")
def list_(
    *,
    data_dir: options.DataDirectory = None,
    store: options.StoreUrl = None,
    as_json: options.Json = False,
) -> None:
    """List tokens. Their texts are not kept; the first characters tell them apart."""
    tokens = _with_store(accounts.list_tokens, data_dir=data_dir, store=store)
    if as_json:
        print_json([_public(token) for token in tokens])
        return
    now = time.time()
    print_table(
        ["ID", "NAME", "STARTS WITH", "SCOPE", "CREATED", "EXPIRES"],
        [
            (
                token.id,
                token.name,
                token.prefix,
                _scope(token),
                _when(token.created_at),
                "never" if token.expires_at is None else _expiry(token.expires_at, now),
            )
            for token in tokens
        ],
    )


@app.command("revoke")
def revoke(
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="Id, first characters, or the whole text.")
    ],
    *,
    data_dir: options.DataDirectory = None,
    store: options.StoreUrl = None,
) -> None:
    """End a token now: requests with it are answered 401 within a second."""

    async def end(held: Store) -> Token:
        return await accounts.revoke_token(held, token)

    record = _with_store(end, data_dir=data_dir, store=store)
    say(f"revoked {record.id} ({record.name})")


def _with_store(act: Callable[[Store], Awaitable[T]], *, data_dir: object, store: str | None) -> T:
    settings, _ = load_settings(named={"up.data_dir": data_dir, "store.url": store})  # type: ignore[dict-item]
    directory = data_directory(settings)

    async def run() -> T:
        url = store_url(settings.store, directory)
        async with open_store(settings.store, url=url, data_dir=directory) as held:
            return await act(held)

    try:
        return asyncio.run(run())
    except AccountError as exc:
        raise CliError(str(exc), code=ExitCode.NOT_FOUND) from exc


def _public(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "prefix": token.prefix,
        "userId": token.user_id,
        "scope": token.scope,
        "workloadIds": list(token.workload_ids),
        "createdAt": _when(token.created_at),
        "expiresAt": None if token.expires_at is None else _when(token.expires_at),
    }


def _scope(token: Token) -> str:
    of = f" of {len(token.workload_ids)} workloads" if token.workload_ids else ""
    return f"{token.scope}{of}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _expiry(at: float, now: float) -> str:
    return f"{_when(at)}{' (expired)' if at <= now else ''}"
