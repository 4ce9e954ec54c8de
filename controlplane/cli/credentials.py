"""Which API to talk to, and as whom.

    wins    URL                                    token
    ------  -------------------------------------  -------------------------
    first   --url                                  --token
    then    TIDEGATE_API_URL                       TIDEGATE_TOKEN
    then    credentials.json of `tidegate login`   credentials.json
    last    run.json of a running `tidegate up`    -

The file is `$XDG_CONFIG_HOME/tidegate/credentials.json` (`~/.config/...`), readable by its owner
only. Its token is sent to its own URL only: a token must not leak to another server.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from controlplane.cli.datadir import running
from controlplane.cli.errors import CliError, ExitCode


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """An API and a token for it."""

    url: str
    """Base without `/api/v2` and without a trailing slash."""
    token: str


def credentials_path(environ: Mapping[str, str]) -> Path:
    """Where `tidegate login` keeps what it was given."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "tidegate" / "credentials.json"


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Write the file, readable by its owner only.

    Raises:
        CliError: It cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.encode(credentials) + b"\n")
        draft.replace(path)
    except OSError as exc:
        raise CliError(
            f"cannot write {path}: {exc.strerror or exc}",
            hint="Set TIDEGATE_API_URL and TIDEGATE_TOKEN instead.",
        ) from exc


def load_credentials(path: Path) -> Credentials | None:
    """What `tidegate login` kept; None without a file.

    Raises:
        CliError: The file is there but cannot be used.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as exc:
        raise CliError(
            f"cannot read {path}: {exc}", hint="Run `tidegate login` again, or delete the file."
        ) from exc


def normalise_url(text: str) -> str:
    """A base URL as people type it, without `/api/v2` and the trailing slash.

    Raises:
        CliError: It is not an http(s) URL.
    """
    url = text.strip().rstrip("/").removesuffix("/api/v2")
    if not _is_url(url):
        raise CliError(
            f"{text!r} is not a URL of an API",
            hint="It looks like http://127.0.0.1:8081",
            code=ExitCode.USAGE,
        )
    return url


def checked_token(text: str) -> str:
    """A token as people paste it, without spaces around it.

    Raises:
        CliError: It could not go into a header; the message does not repeat it.
    """
    token = text.strip()
    if not (token.isascii() and token.isprintable()):
        raise CliError(
            "the token has characters that no token has",
            hint="Look at --token, TIDEGATE_TOKEN or credentials.json: was more than it copied?",
            code=ExitCode.USAGE,
        )
    return token


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets, or a port out of range
        return False


def find_credentials(
    *,
    url: str | None,
    token: str | None,
    environ: Mapping[str, str],
    data_dir: Path,
) -> Credentials:
    """Merge the layers of the module docstring.

    Args:
        url: The flag.
        token: The flag.
        environ: The environment.
        data_dir: Where to look for a running `tidegate up`.

    Raises:
        CliError: No URL or no token was found anywhere, or it can be none; says how to give one.
    """
    url = url or environ.get("TIDEGATE_API_URL")
    token = token or environ.get("TIDEGATE_TOKEN")
    saved = load_credentials(credentials_path(environ)) if not (url and token) else None
    info = running(data_dir) if not url and not saved else None
    found = url or (saved.url if saved else None) or (info.api_url if info else None)
    if not found:
        raise CliError(
            "no API to talk to",
            hint="Start one with `tidegate up`, or name it: --url, TIDEGATE_API_URL, or "
            "`tidegate login`.",
        )
    base = normalise_url(found)
    if not token and saved and saved.url == base:
        token = saved.token
    if not token:
        raise CliError(
            f"no token for {base}",
            hint="Give one with --token, TIDEGATE_TOKEN or `tidegate login`. On the API's own "
            "machine, `tidegate token create` makes one.",
        )
    return Credentials(url=base, token=checked_token(token))
