"""`tidegate credential`: secrets that environments refer to, and the keys that encrypt them.

Records go through the API, as their owner. Keys are files of the installation: `key` and `rekey`
work on them, and on the store, so they need no token.
"""

import asyncio
import base64
import contextlib
import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from controlplane.cli import options
from controlplane.cli.client import connect
from controlplane.cli.errors import CliError
from controlplane.cli.lists import searched
from controlplane.cli.output import print_items, print_json, say, second, warn
from controlplane.cli.settings import data_directory, load_settings
from controlplane.cli.specs import usage
from controlplane.cli.stores import open_store, store_url
from controlplane.model.people import Credential, Token
from controlplane.sealing import (
    KeyFile,
    KeyRing,
    SealingError,
    key_id,
    key_path,
    new_key,
    read_keys,
    replace_keys,
    sealing_key,
)
from controlplane.store.client import Put, Store
from controlplane.store.errors import ConflictError

app = typer.Typer(
    help="Store secrets that environments of artifacts refer to, and rotate the keys that encrypt"
    " them. No command shows a value.",
    no_args_is_help=True,
)

CredentialName = Annotated[
    str, typer.Argument(metavar="CREDENTIAL", help="Name or id of a credential.")
]
Values = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY[=VALUE]...",
        help="A value: KEY=VALUE, KEY=@FILE, KEY=@- for standard input, or KEY alone to be asked"
        " for it without an echo.",
    ),
]
Description = Annotated[str | None, typer.Option(help="What it is for. Default: nothing.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    values: Values = None,
    *,
    kind: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="s3, basic, api_token, bearer, oauth, gcp, azure, azure_service_principal,"
            " databricks or snowflake; it says which KEYs there are.",
        ),
    ],
    description: Description = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Store a credential, for example `create db --type basic user=app password`."""
    body: dict[str, object] = {"name": name, "credentialType": kind, **_read(values or ())}
    if description is not None:
        body["description"] = description
    with connect(url=url, token=token) as api:
        made = api.call("POST", "credentials", body=body)
    if as_json:
        print_json(made)
    else:
        say(f"{made['name']}  {made['id']}  {made['credentialType']}")


@app.command("list")
def list_(
    *,
    search: options.Search = None,
    limit: options.Most = 100,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List your credentials, without their values."""
    print_items(
        searched("credentials", search, limit=limit, url=url, token=token),
        {
            "NAME": itemgetter("name"),
            "ID": itemgetter("id"),
            "TYPE": itemgetter("credentialType"),
            "KEYS": lambda item: ",".join(item["keys"]),
            "CREATED": lambda item: second(item["creationDate"]),
        },
        as_json=as_json,
    )


@app.command("get")
def get(
    credential: CredentialName,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Print one credential as JSON, without its values."""
    with connect(url=url, token=token) as api:
        print_json(api.find("credentials", credential))


@app.command("edit")
def edit(
    credential: CredentialName,
    values: Values = None,
    *,
    name: Annotated[str | None, typer.Option(help="Another name. Default: as it is.")] = None,
    description: Annotated[
        str | None, typer.Option(help="Another description. Default: as it is.")
    ] = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Change name, description or values. Replicas get new values at their next start."""
    body: dict[str, object] = dict(_read(values or ()))
    body |= {"name": name} if name is not None else {}
    body |= {"description": description} if description is not None else {}
    with connect(url=url, token=token) as api:
        found = api.find("credentials", credential)
        changed = api.call("PATCH", f"credentials/{found['id']}", body=body)
    say(f"{changed['name']}  {changed['id']}  {changed['credentialType']}")


@app.command("delete")
def delete(
    credential: CredentialName,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Delete a credential that no draft and no workload needs."""
    with connect(url=url, token=token) as api:
        found = api.find("credentials", credential)
        api.call("DELETE", f"credentials/{found['id']}")
    say(f"deleted {found['name']}  {found['id']}")


@app.command("key")
def key() -> None:
    """Print a new key, as a line for a key file (`api.credentials_key_file`)."""
    say(new_key())


@app.command("rekey")
def rekey(
    *,
    keep_key: Annotated[
        bool,
        typer.Option(
            "--keep-key",
            help="Make no new key: encrypt with the first one that the file has.",
        ),
    ] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Take the keys that nothing is encrypted with out of it."),
    ] = False,
    data_dir: options.DataDirectory = None,
    store: options.StoreUrl = None,
    config: options.Config = None,
) -> None:
    """Encrypt all credentials with a new key. Nothing stops meanwhile.

    The old keys stay in the file, for what an API process encrypts at this moment; once it is over,
    `rekey --keep-key --forget` takes them out.
    """
    settings, _ = load_settings(
        config=config,
        named={"up.data_dir": data_dir, "store.url": store},
    )
    directory = data_directory(settings)
    keys = KeyFile(key_path(settings))

    async def run() -> tuple[int, list[str]]:
        url = store_url(settings.store, directory)
        async with open_store(settings.store, url=url, data_dir=directory) as held:
            return await reseal(held, keys, keep_key=keep_key, forget=forget)

    try:
        count, lost = asyncio.run(run())
    except SealingError as exc:
        raise CliError(str(exc)) from exc
    except OSError as exc:
        raise CliError(
            f"cannot write {keys.path}: {exc.strerror or exc}",
            hint="Put a new key first into it where it comes from, then use --keep-key.",
        ) from exc
    names = ", ".join(keys.ring().ids)
    say(f"{count} secrets encrypted anew; keys in {keys.path}: {names}")
    for text in lost:
        warn(text)
    if lost:
        raise CliError(
            f"{len(lost)} secrets cannot be opened",
            hint="Put the key that they were encrypted with back into the file, or enter their"
            " values again with `tidegate credential edit`.",
        )


async def reseal(
    store: Store, keys: KeyFile, *, keep_key: bool, forget: bool
) -> tuple[int, list[str]]:
    """Returns how many secrets were encrypted anew, and what could not be opened, and why."""
    if not keep_key:
        first = base64.urlsafe_b64decode(new_key())
        replace_keys(keys.path, [first, *read_keys(keys.path)])
    ring = keys.ring()
    count, lost = 0, []
    for credential in [held.record for held in await store.list(Credential)]:
        try:
            count += await _seal_anew(store, ring, Credential, credential.id)
        except SealingError as exc:
            lost.append(f"{credential.name}  {credential.id}: {exc}")
    for token in [held.record for held in await store.list(Token)]:
        # The text of one that is lost is made anew when a replica needs it.
        with contextlib.suppress(SealingError):
            count += await _seal_anew(store, ring, Token, token.id)
    if forget:
        sealed = [held.record.sealed for held in await store.list(Credential)]
        sealed += [held.record.sealed or "" for held in await store.list(Token)]
        needed = {ring.ids[0], *map(sealing_key, sealed)}
        replace_keys(keys.path, [key for key in read_keys(keys.path) if key_id(key) in needed])
    return count, lost


async def _seal_anew(
    store: Store, ring: KeyRing, cls: type[Credential] | type[Token], record_id: str
) -> bool:
    """Encrypt one secret with the first key; False where it is already, or is none."""
    while True:
        held = await store.get(cls, record_id)
        sealed = None if held is None else held.record.sealed
        if held is None or sealed is None or sealing_key(sealed) == ring.ids[0]:
            return False
        about = f"{cls.kind}:{record_id}"
        text = ring.seal(ring.open(sealed, about=about), about=about)
        changed = msgspec.structs.replace(held.record, sealed=text)
        with contextlib.suppress(ConflictError):  # somebody edits it: look again
            await store.commit([Put(changed, held.version)])
            return True


def _read(values: Sequence[str]) -> dict[str, str]:
    """Values as the command line names them."""
    return dict(_value(text) for text in values)


def _value(text: str, *, ask: Callable[..., str] = typer.prompt) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not name:
        raise usage(f"{text!r} is no value", "Write KEY=VALUE, KEY=@FILE, or KEY.")
    if not given:
        return name, ask(name, hide_input=True)
    if not value.startswith("@"):
        return name, value
    try:
        read = sys.stdin.read() if value == "@-" else Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise usage(f"cannot read {value[1:]}: {exc}", "KEY=@FILE takes the file's text.") from exc
    return name, read.removesuffix("\n")
