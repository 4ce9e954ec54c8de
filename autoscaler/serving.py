"""Puts one autoscaler process together, once it is decided whether its rounds are compiled."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from autoscaler.inventory import inventory_of
from autoscaler.otlp import api_url, otlp_for
from autoscaler.process import Autoscaler
from autoscaler.reconcilers.base import Reconciler, ReplicaWriter, Secrets
from autoscaler.reconcilers.processes import ProcessReconciler
from controlplane.model.sections import Settings
from controlplane.model.workloads import Replica
from controlplane.sealing import KeyFile, key_path
from controlplane.store.client import Store
from controlplane.store.ids import ObjectIds
from controlplane.telemetry import keys


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
            find_inventory=lambda: inventory_of(settings.autoscaler, again=True),
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, autoscaler.stop)
        await autoscaler.run()
