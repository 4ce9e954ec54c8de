"""Two worker processes that share a port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.model.sections import GatewaySettings
from controlplane.store.client import Store
from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.rig import DEFAULTS, Rig
from tests.integration.gateway.waiting import until_async


class Pair:
    """A rig whose port two workers listen on: each connection goes to either."""

    def __init__(self, rig: Rig, workers: tuple[ChildGateway, ChildGateway]) -> None:
        self.rig = rig
        self.workers = workers

    async def both(self, condition: Callable[[dict[str, float]], bool]) -> None:
        """Wait until the metrics of both fulfil a condition."""
        for worker in self.workers:

            async def fulfilled(worker: ChildGateway = worker) -> bool:
                return condition(await worker.metrics())

            await until_async(fulfilled)

    async def applied(self, revision: int) -> None:
        """Wait until both know a revision of the records."""
        await self.both(lambda metrics: metrics["gateway_routes_revision"] >= revision)


@asynccontextmanager
async def pair(store: Store, store_url: str, directory: Path) -> AsyncIterator[Pair]:
    """Start both; end them, and all else that the rig opened."""
    rig = Rig(store, store_url, directory)
    # As often as in earnest: the store's disk is what takes its time.
    both = {"worker_count": 2, "report_interval_s": GatewaySettings().report_interval_s}
    first = await rig.start_child(**both)
    (directory / "second").mkdir()
    settings = {**DEFAULTS, **both, "port": first.port, "worker_index": 1}
    second = ChildGateway(settings, store_url, directory / "second")
    try:
        await second.start()
        yield Pair(rig, (first, second))
    finally:
        await second.stop()
        await rig.close()
        await asyncio.sleep(0)
