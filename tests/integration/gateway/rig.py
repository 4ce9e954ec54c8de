"""A real gateway between scripted replicas and raw clients, over a real store."""

import asyncio
import socket
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from controlplane.model.kinds import Record
from controlplane.model.reports import LoadReport, ProtonLoad, WorkerNumbers
from controlplane.model.sections import GatewaySettings, Settings, StoreSettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica
from controlplane.store.client import Put, Store
from tests.integration.gateway import records
from tests.integration.gateway.gateways import ChildGateway, Gateway, InProcess
from tests.integration.gateway.scripted import Script, ScriptedReplica
from tests.integration.gateway.waiting import until_async
from tests.integration.gateway.wire import DEADLINE_S, Message, Wire

DEFAULTS: dict[str, Any] = {
    "port": 0,
    "admin_port": 0,
    "access_log": "off",
    "report_interval_s": 0.02,
    "drain_timeout_s": 5.0,
}


uvloop_only = pytest.mark.asyncio(loop_factories=["uvloop"])


def request(
    method: str = "GET",
    path: str = "/",
    *lines: str,
    body: bytes = b"",
    token: str | None = records.TOKEN,
    workload: str = records.WORKLOAD_ID,
    version: str = "1.1",
) -> bytes:
    """A request's bytes. A body gets its Content-Length."""
    all_lines = [f"{method} /api/v2/endpoints/workloads/{workload}{path} HTTP/{version}", "Host: h"]
    if token is not None:
        all_lines.append(f"Authorization: Bearer {token}")
    all_lines += lines
    if body:
        all_lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(all_lines) + "\r\n\r\n").encode("latin-1") + body


class Rig:
    """What one test plays with. Everything that it opens is closed with it."""

    def __init__(self, store: Store, store_url: str, directory: Path) -> None:
        self.store = store
        self.store_url = store_url
        self._directory = directory
        self._wires: list[Wire] = []
        self._replicas: list[ScriptedReplica] = []
        self._ids = (f"65f00000000000000000e{n:03x}" for n in count(1))
        self._gateway: Gateway | None = None

    @property
    def gateway(self) -> Gateway:
        assert self._gateway is not None, "start it first"
        return self._gateway

    # ---- set-up

    async def start(self, *, limit: int | None = None, **settings: Any) -> InProcess:
        """Start a gateway in this process, over one workload without a replica."""
        await self.commit(*records.world(limit=limit))
        gateway = InProcess(
            Settings(
                store=StoreSettings(url=self.store_url),
                gateway=GatewaySettings(**{**DEFAULTS, **settings}),
            )
        )
        self._gateway = gateway
        await gateway.start()
        return gateway

    async def start_child(self, *, limit: int | None = None, **settings: Any) -> ChildGateway:
        """Start `python -m gateway`, over one workload without a replica."""
        await self.commit(*records.world(limit=limit))
        gateway = ChildGateway({**DEFAULTS, **settings}, self.store_url, self._directory)
        self._gateway = gateway
        await gateway.start()
        return gateway

    async def close(self) -> None:
        for wire in self._wires:
            wire.abort()
        if self._gateway is not None:
            await self._gateway.stop()
        for replica in self._replicas:
            await replica.stop()
        for _ in range(3):
            await asyncio.sleep(0)

    # ---- records

    async def commit(self, *wanted: Record) -> None:
        """Write records, and wait until the gateway knows them."""
        revision = await self.store.commit([Put(record) for record in wanted])
        await self.applied(revision)

    async def delete(self, cls: type[Record], record_id: str) -> None:
        await self.applied(await self.store.delete(cls, record_id))

    async def applied(self, revision: int) -> None:
        """Wait until the gateway's routes reflect a revision."""
        if self._gateway is None:
            return

        async def there() -> bool:
            return (await self.gateway.metrics())["gateway_routes_revision"] >= revision

        await until_async(there)

    # ---- the two sides

    async def listen(
        self, script: Script | None = None, *, receive_bytes: int | None = None
    ) -> ScriptedReplica:
        """A replica that listens; the gateway does not know it yet.

        Args:
            script: What it does with a connection; None: the test takes them.
            receive_bytes: A small window: a replica that does not read holds senders up early.
        """
        replica = ScriptedReplica(script)
        replica.id = next(self._ids)
        self._replicas.append(replica)
        await replica.start(receive_bytes=receive_bytes)
        return replica

    async def announce(self, replica: ScriptedReplica, **fields: Any) -> None:
        """Write the replica's record."""
        await self.commit(records.replica(replica.id, replica.port, **fields))

    async def phase(self, replica: ScriptedReplica, phase: ReplicaPhase, **fields: Any) -> None:
        await self.announce(replica, phase=phase, **fields)

    async def gone(self, replica: ScriptedReplica) -> None:
        await self.delete(Replica, replica.id)

    async def replica(self, script: Script | None = None, **fields: Any) -> ScriptedReplica:
        """A replica that listens and is ready."""
        replica = await self.listen(script)
        await self.announce(replica, **fields)
        return replica

    async def client(self, *, receive_bytes: int | None = None) -> Wire:
        """A connection to the gateway.

        Args:
            receive_bytes: A small window: whoever does not read holds the sender up early.
        """
        sock = socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.gateway.port))
        limit = receive_bytes or 1024 * 1024
        return self.own(Wire(*await asyncio.open_connection(sock=sock, limit=limit)))

    def own(self, wire: Wire) -> Wire:
        """Close a connection with the rig."""
        self._wires.append(wire)
        return wire

    async def ask(self, *args: Any, **kwargs: Any) -> Message:
        """One request on a connection of its own."""
        client = await self.client()
        client.send(request(*args, **kwargs))
        try:
            return await client.answer(args[0] if args else "GET")
        finally:
            client.close()

    async def asked(self) -> tuple[Wire, Wire]:
        """Start a gateway, and send a request that its one replica has heard.

        Returns:
            The client's connection and the replica's.
        """
        await self.start()
        replica = await self.replica()
        client = await self.client()
        client.send(request())
        wire = await replica.accepted()
        await wire.request()
        return client, wire

    # ---- what the gateway counts

    async def report(self) -> LoadReport:
        """The newest report of the one worker; waits for its first."""
        await until_async(self.store.collect_reports)
        (report,) = await self.store.collect_reports()
        return report

    async def numbers(self) -> WorkerNumbers:
        """What decisions see of it; waits for its first."""
        await until_async(self.store.collect_numbers)
        (numbers,) = await self.store.collect_numbers()
        return numbers

    async def load(self, proton_id: str = records.PROTON_ID) -> ProtonLoad:
        """The newest report on a proton; all zeros before the first request."""
        reports = await self.store.collect_reports()
        for report in reports:
            if proton_id in report.protons:
                return report.protons[proton_id]
        return ProtonLoad(workload_id=records.WORKLOAD_ID)

    async def counted(self, **wanted: Any) -> ProtonLoad:
        """Wait for counters, `finished` given by class: `counted(started=1, finished={"2xx": 1})`.

        Whatever is seen on the way must add up.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    load = await self.load()
                    assert (
                        load.started == sum(load.finished.values()) + load.in_flight + load.queued
                    )
                    if all(getattr(load, name) == value for name, value in wanted.items()):
                        return load
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"wanted {wanted}, last seen {load}") from None
