"""The store as commands reach it: through a running `up`, or by URL; its errors as advice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from controlplane.cli.datadir import running
from controlplane.cli.errors import CliError
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store
from controlplane.store.errors import (
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    VolatileStoreError,
)


@asynccontextmanager
async def open_store(
    settings: StoreSettings, *, url: str, data_dir: Path | None = None
) -> AsyncIterator[Store]:
    """Connect to the store at `url`, and close it at the end.

    Args:
        settings: Namespace and rules.
        url: Where it is.
        data_dir: The data directory of an embedded store.

    Raises:
        CliError: It cannot be reached or may not be used, or an operation inside failed.
    """
    try:
        async with await Store.connect(
            replace(settings, url=url), client_name="tidegate-cli", data_dir=data_dir
        ) as store:
            yield store
    except VolatileStoreError as exc:
        raise CliError(
            f"the store at {without_password(url)} keeps nothing over a restart",
            hint="Give it an append-only file or snapshots, or accept the loss with "
            "--allow-volatile-store.",
        ) from exc
    except StoreUnavailableError as exc:
        raise CliError(
            f"cannot reach the store at {without_password(url)}: {exc}",
            hint="Check that it runs and that the URL is right.",
        ) from exc
    except StoreFullError as exc:
        raise CliError(f"the store is full: {exc}", hint="Free some disk space.") from exc
    except StoreError as exc:
        raise CliError(f"the store refused: {exc}") from exc


def store_url(settings: StoreSettings, data_dir: Path) -> str:
    """Where the store is: as set, or that of the running `up` of this data directory.

    Raises:
        CliError: Nothing runs there.
    """
    if settings.url:
        return settings.url
    info = running(data_dir)
    if info is None:
        raise CliError(
            f"no `tidegate up` runs with the data directory {data_dir}",
            hint="Start it, give its directory with --data-dir, or a store with --store URL.",
        )
    return info.store_url


def without_password(url: str) -> str:
    """The URL as it may be shown: without user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
