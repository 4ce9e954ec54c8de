"""`tidegate login`: remember an API and a token for later commands."""

import os
from typing import Annotated

import typer

from controlplane.cli.client import Api
from controlplane.cli.credentials import (
    Credentials,
    checked_token,
    credentials_path,
    normalise_url,
    save_credentials,
)
from controlplane.cli.output import say


def login(
    *,
    url: Annotated[
        str,
        typer.Option(
            "--url", metavar="URL", prompt="API URL", help="Base URL, as `tidegate up` prints it."
        ),
    ],
    token: Annotated[
        str,
        typer.Option(
            "--token",
            metavar="TOKEN",
            prompt="Token",
            hide_input=True,
            help="Bearer token; asked for when left out.",
        ),
    ],
) -> None:
    """Check an API's URL and a token, and remember both in a file that only you can read."""
    credentials = Credentials(url=normalise_url(url), token=checked_token(token))
    with Api(credentials) as api:
        account = api.call("GET", "account/info")
    path = credentials_path(os.environ)
    save_credentials(path, credentials)
    who = account.get("username") or account.get("email") or account.get("uid")
    say(f"Logged in to {credentials.url} as {who}; kept in {path}.")
