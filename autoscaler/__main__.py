"""`python -m autoscaler`: decides how many replicas run, and has them run."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop

from autoscaler.inventory import InventoryError, inventory_of
from autoscaler.otlp import api_url, otlp_for
from autoscaler.process import Autoscaler
from autoscaler.reconcilers.base import Reconciler, ReplicaWriter, Secrets
from autoscaler.reconcilers.processes import ProcessReconciler
from controlplane.model.sections import Settings
from controlplane.model.settings import SettingsError
from controlplane.model.workloads import Replica
from controlplane.process import read_settings, setup_logging
from controlplane.sealing import KeyFile, key_path
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from controlplane.store.ids import ObjectIds
from controlplane.telemetry import keys

logger = logging.getLogger("autoscaler")


async def serve(settings: Settings, data_dir: Path) -> None:
    """Run one autoscaler until SIGTERM or SIGINT.

    Args:
        settings: All sections.
        data_dir: Where replicas' files live.

    Raises:
        StoreError: The store cannot be reached or used.
        OSError: The admin port is taken.
        InventoryError: The inventory file cannot be used.
    """
    inventory = await asyncio.to_thread(inventory_of, settings.autoscaler)
    loop = asyncio.get_running_loop()
    ids = ObjectIds()
    otlp: Callable[[Replica], Mapping[str, str]] | None = None

    def make_reconciler(
        writer: ReplicaWriter, secrets: Secrets, on_change: Callable[[], None]
    ) -> Reconciler:
        return ProcessReconciler(
            settings.autoscaler,
            data_dir=data_dir,
            writer=writer,
            secrets=secrets,
            on_change=on_change,
            new_id=ids.new,
            environ=os.environ,
            otlp=otlp,
            inventory=inventory,
        )

    async with await Store.connect(
        settings.store, client_name="autoscaler", data_dir=data_dir
    ) as store:
        if settings.telemetry.max_bytes:
            otlp = otlp_for(settings, await store.secret(keys.SECRET))
        autoscaler = Autoscaler(
            store,
            settings.autoscaler,
            make_reconciler,
            keys=KeyFile(key_path(settings)),
            api_url=(settings.api.public_url or api_url(settings.api)).rstrip("/"),
            new_id=ids.new,
            clock=loop.time,
            wall=time.time,
            inventory=inventory,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, autoscaler.stop)
        await autoscaler.run()


def main() -> int:
    """Entry point; returns the exit code."""
    try:
        settings, _ = read_settings()
        setup_logging("autoscaler", settings.log)
    except SettingsError as exc:
        sys.stderr.write(f"autoscaler: {exc}\n")
        return 2
    try:
        uvloop.run(serve(settings, Path(settings.up.data_dir).expanduser()))
    except (StoreError, OSError, InventoryError) as exc:
        logger.error("cannot serve: %s", exc)  # noqa: TRY400 - the sentence says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
