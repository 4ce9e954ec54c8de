"""Our gateway as the cases meet it: a worker process, one workload and one replica per case."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from controlplane.model.sections import StoreSettings
from controlplane.store.client import Put, Store
from controlplane.store.embedded import EmbeddedValkey
from tests.conformance.script import expand
from tests.integration.gateway import records
from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.waiting import until_async

SETTINGS = {"port": 0, "admin_port": 0, "access_log": "off"}
"""Near-default, like the others."""

_AT_ONCE = 500
"""Records per commit; the store takes at most 1,000."""

Way = tuple[tuple[str, int], Callable[[bytes], bytes]]
"""Where to connect for a case, and what its placeholders stand for."""


@contextlib.asynccontextmanager
async def gateway(origin_ports: list[int]) -> AsyncIterator[list[Way]]:
    """Run a gateway in front of these origins.

    Yields:
        One way per origin, in order.
    """
    with tempfile.TemporaryDirectory(prefix="tidegate-conformance-") as name:
        directory = Path(name)
        valkey = EmbeddedValkey(directory)
        await valkey.start()
        worker: ChildGateway | None = None
        try:
            settings = StoreSettings(url=valkey.url)
            async with await Store.connect(settings, client_name="conformance") as store:
                wanted = records.world()
                for n, port in enumerate(origin_ports):
                    wanted += _lane(n, port)
                for at in range(0, len(wanted), _AT_ONCE):
                    part = wanted[at : at + _AT_ONCE]
                    revision = await store.commit([Put(record) for record in part])
                worker = ChildGateway(SETTINGS, valkey.url, directory)
                await worker.start()

                async def known() -> bool:
                    assert worker is not None
                    return (await worker.metrics())["gateway_routes_revision"] >= revision

                await until_async(known)
                yield [_way(n, worker.port) for n in range(len(origin_ports))]
        finally:
            if worker is not None:
                await worker.stop()
            await valkey.stop()


def _lane(n: int, port: int) -> list[object]:
    workload_id, proton_id = _id("f2", n), _id("d2", n)
    return [
        records.workload(workload_id, active_proton_id=proton_id),
        records.proton(proton_id, workload_id=workload_id),
        records.replica(_id("e2", n), port, workload_id=workload_id, proton_id=proton_id),
    ]


def _id(kind: str, n: int) -> str:
    return f"65f0000000000000{n:06x}{kind}"


def _way(n: int, port: int) -> Way:
    prefix = f"/api/v2/endpoints/workloads/{_id('f2', n)}".encode()
    lines = f"Authorization: Bearer {records.TOKEN}\r\n".encode()
    return ("127.0.0.1", port), partial(expand, prefix=prefix, lines=lines)
