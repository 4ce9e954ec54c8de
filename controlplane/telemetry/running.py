"""An API process's telemetry, from its start to its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from controlplane.model.sections import Settings
from controlplane.store.client import Store
from controlplane.store.watch import Mirror
from controlplane.telemetry import keys
from controlplane.telemetry.archive import Archive
from controlplane.telemetry.intake import Intake
from controlplane.telemetry.keeper import Keeper


@contextlib.asynccontextmanager
async def intake_running(
    settings: Settings, store: Store, mirror: Mirror
) -> AsyncIterator[Intake | None]:
    """Keep telemetry while inside; None where the settings say that none is kept.

    Args:
        settings: All sections.
        store: Holds the secret of the replicas' keys; where gateways tell their spans.
        mirror: Of workloads, artifacts and replicas; started.

    Raises:
        StoreError: The secret cannot be read.
    """
    if not settings.telemetry.max_bytes:
        yield None
        return
    data_dir = Path(settings.up.data_dir).expanduser()  # noqa: ASYNC240 - once
    directory = settings.telemetry.directory
    archive = Archive(
        data_dir / "telemetry" if directory is None else Path(directory).expanduser(),  # noqa: ASYNC240
        max_bytes=settings.telemetry.max_bytes,
        min_free_bytes=settings.telemetry.min_free_bytes,
    )
    intake = Intake(
        archive=archive, secret=await store.secret(keys.SECRET), settings=settings.telemetry
    )
    keeper = Keeper(
        archive,
        store,
        mirror,
        rates=intake.rates,
        data_dir=data_dir,
        since_s=await asyncio.to_thread(archive.written_s),  # before the writer touches the file
        settings=settings.telemetry,
    )
    archive.start()
    try:
        async with keeper.running():
            yield intake
    finally:
        await asyncio.to_thread(archive.stop)
