"""Real gateway workers and API processes that are killed: every request is counted once."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from controlplane import accounts
from controlplane.store.statistics import Statistics
from tests.integration.api.test_api_process import Process
from tests.integration.gateway import records
from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.rig import DEFAULTS, Rig, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until_async

pytestmark = [uvloop_only, pytest.mark.timeout(300)]

STATS = f"/api/v2/workloads/{records.WORKLOAD_ID}/stats"
ROUND = 7
"""Requests between two deaths."""


class Installation:
    """Gateways and API processes, one of each at a time."""

    def __init__(self, rig: Rig, token: str) -> None:
        self.rig = rig
        self._token = token
        self._api: Process | None = None
        self._client: httpx2.AsyncClient | None = None
        self._gateways: list[ChildGateway] = []

    async def start_api(self) -> None:
        """Another API process; it becomes the recorder when the lease of the last one is over."""
        self._api = await Process.start(
            TIDEGATE_STORE_URL=self.rig.store_url,
            TIDEGATE_API_PORT="0",
            TIDEGATE_CONDUCTOR_LEASE_TTL_S="1",
        )
        line = await self._api.line("listening")
        headers = {"Authorization": f"Bearer {self._token}"}
        self._client = httpx2.AsyncClient(base_url=line["url"], headers=headers, timeout=30)

    async def kill_api(self) -> None:
        """SIGKILL, wherever it is in recording."""
        assert self._client is not None
        await self._client.aclose()
        assert self._api is not None
        await self._api.end(signal.SIGKILL)

    async def start_gateway(self, directory) -> None:
        """Another gateway worker, with the records of the first."""
        settings = {**DEFAULTS, "report_ttl_s": 0.5}
        gateway = ChildGateway(settings, self.rig.store_url, directory)
        await gateway.start()
        self._gateways.append(gateway)
        self.rig._gateway = gateway
        await self.rig.applied(await self.rig.store.commit([]))

    async def serve(self, requests: int) -> None:
        """Have requests answered, and wait until the worker has said so."""
        before = await self.reported()
        for _ in range(requests):
            assert (await self.rig.ask()).status == 200

        async def said() -> bool:
            return await self.reported() >= before + requests

        await until_async(said)

    async def kill_gateway(self) -> None:
        """SIGKILL; it is gone when its report has expired."""
        process = self._gateways[-1].process
        process.kill()
        process.wait()

        async def gone() -> bool:
            return not await self.rig.store.collect_reports()

        await until_async(gone)

    async def reported(self) -> int:
        """Requests that all workers, living or dead, have told of and that are not forgotten."""
        statistics = Statistics(self.rig.store)
        loads = [
            statistics.load_of(one.report, proton_id)
            for one in await statistics.reports()
            for proton_id in one.report.protons
        ]
        return sum(load.started for load in loads if load is not None)

    async def counted(self) -> int:
        """What the API says."""
        assert self._client is not None
        answer = await self._client.get(STATS)
        assert answer.status_code == 200, answer.text
        return answer.json()["metrics"]["totalRequests"]

    async def recorded(self) -> None:
        """Wait until the recorder has counted and forgotten whoever is gone."""

        async def nothing_left() -> bool:
            found = await Statistics(self.rig.store).reports()
            return all(one.lives for one in found)

        await until_async(nothing_left)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        if self._api is not None and self._api.process.returncode is None:
            await self._api.end(signal.SIGKILL)
        for gateway in self._gateways:
            if gateway.process.poll() is None:
                gateway.process.kill()
                gateway.process.wait()
        self.rig._gateway = None


@asynccontextmanager
async def installation(rig: Rig) -> AsyncIterator[Installation]:
    token = await accounts.ensure_owner(rig.store)
    assert token is not None
    await rig.commit(*records.world())
    await rig.replica(answering(*[OK] * 1000))
    found = Installation(rig, token)
    try:
        yield found
    finally:
        await found.close()


async def test_requests_are_counted_once_whoever_is_killed(rig, tmp_path):
    async with installation(rig) as all_of_it:
        served = 0
        await all_of_it.start_gateway(tmp_path)
        await all_of_it.start_api()
        for _ in range(3):
            # the recorder dies while requests are served, and another takes over
            await all_of_it.serve(ROUND)
            await all_of_it.kill_api()
            await all_of_it.serve(ROUND)
            # the worker dies with nobody there to record it
            await all_of_it.kill_gateway()
            await all_of_it.start_api()
            await all_of_it.start_gateway(tmp_path)
            served += 2 * ROUND
            assert await all_of_it.counted() == served
        await all_of_it.recorded()
        assert await all_of_it.counted() == served
        await all_of_it.serve(ROUND)
        assert await all_of_it.counted() == served + ROUND


async def test_a_worker_that_drains_tells_its_last_requests(rig, tmp_path):
    async with installation(rig) as all_of_it:
        await all_of_it.start_gateway(tmp_path)
        for _ in range(ROUND):
            assert (await rig.ask()).status == 200
        gateway = all_of_it._gateways[-1]
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
        await all_of_it.start_api()
        assert await all_of_it.counted() == ROUND
        await all_of_it.recorded()
        assert await all_of_it.counted() == ROUND
