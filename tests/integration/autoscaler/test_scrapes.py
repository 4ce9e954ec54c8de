"""Metrics pages of replicas that behave, and of replicas that do not, over real sockets."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from autoscaler.collectors import Collector
from autoscaler.core.observation import scaling_of
from autoscaler.core.plan import decide
from autoscaler.scrapes import Scraper
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Replica
from controlplane.store.client import Store
from tests.fakes.reconciler import FakeReconciler
from tests.integration.autoscaler.conftest import ids, make_proton, until

DEPTH = "gpuRequestQueueDepth"
SETTINGS = AutoscalerSettings(scrape_interval_s=0.2, scrape_timeout_s=0.5)
SERVER = Path(__file__).with_name("metrics_page.py")


class Pages:
    """Child processes that serve pages, one per mode."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[str]] = []

    def start(self, proton: Proton, mode: str) -> Replica:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SERVER), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children.append(child)
        assert child.stdout is not None
        return Replica(
            id=ids.new(),
            workload_id=proton.workload_id,
            proton_id=proton.id,
            phase=ReplicaPhase.READY,
            host="127.0.0.1",
            port=int(child.stdout.readline()),
            created_at=time.time(),
        )

    def stop(self) -> None:
        for child in self._children:
            child.communicate()


@pytest.fixture
def pages() -> Iterator[Pages]:
    started = Pages()
    yield started
    started.stop()


@contextlib.asynccontextmanager
async def running(scraper: Scraper) -> AsyncIterator[None]:
    task = asyncio.create_task(scraper.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


BAD = {
    "hangs": "did not send its metrics within 0.5 s",
    "endless": "sent more than 1,048,576 bytes of metrics",
    "broken": "answered 500 when asked for its metrics",
    "cut": "closed the connection before it had sent its metrics",
    "nonsense": "sent something else than HTTP for its metrics",
    "gzip": "sent its metrics compressed, without being asked to",
    "silent": f"does not tell {DEPTH} on its metrics page",
}
GOOD = ("fixed", "chunked", "until-the-end", "nim")


async def test_each_page_counts_or_its_trouble_is_named(pages: Pages):
    proton = make_proton((DEPTH, 5), min_replicas=1)
    scraper = Scraper(SETTINGS, clock=asyncio.get_running_loop().time)
    good = [pages.start(proton, mode) for mode in GOOD]
    bad = {mode: (make_proton((DEPTH, 5)), pages.start(proton, mode)) for mode in BAD}
    gone = pages.start(proton, "fixed")
    nobody = (make_proton((DEPTH, 5)), msgspec.structs.replace(gone, port=1))

    def as_it_should_be() -> bool:
        scraper.want(proton, [DEPTH], good)
        known = scraper.values(proton.id, DEPTH, good) == (12.0,) * len(good)
        return known and all(scraper.trouble(p.id) for p, _ in [*bad.values(), nobody])

    for owner, replica in [*bad.values(), nobody]:
        scraper.want(owner, [DEPTH], [replica])
    async with running(scraper):
        await until(as_it_should_be)
    for mode, (owner, replica) in bad.items():
        assert scraper.values(owner.id, DEPTH, [replica]) == (None,)
        assert scraper.trouble(owner.id) == f"replica {replica.id} {BAD[mode]}"
    assert "cannot be asked for its metrics" in scraper.trouble(nobody[0].id)
    assert scraper.trouble(proton.id) == ""


async def test_a_hundred_replicas_that_hang_do_not_keep_the_others_waiting(pages: Pages):
    proton, other = make_proton((DEPTH, 5)), make_proton((DEPTH, 5))
    hanging = pages.start(proton, "hangs")
    stuck = [msgspec.structs.replace(hanging, id=ids.new()) for _ in range(100)]
    well = [pages.start(other, "fixed")]
    scraper = Scraper(SETTINGS, clock=asyncio.get_running_loop().time)
    scraper.want(proton, [DEPTH], stuck)
    async with running(scraper):
        await until(lambda: scraper.trouble(proton.id) != "")
        scraper.want(other, [DEPTH], well)
        await until(lambda: scraper.values(other.id, DEPTH, well) == (12.0,))
    assert scraper.values(proton.id, DEPTH, stuck) == (None,) * 100


async def test_a_replica_that_stops_answering_becomes_unknown(pages: Pages):
    proton = make_proton((DEPTH, 5), min_replicas=1)
    replica = pages.start(proton, "fixed")
    scraper = Scraper(SETTINGS, clock=asyncio.get_running_loop().time)
    scraper.want(proton, [DEPTH], [replica])
    async with running(scraper):
        await until(lambda: scraper.values(proton.id, DEPTH, [replica]) == (12.0,))
        pages.stop()
        await until(lambda: scraper.values(proton.id, DEPTH, [replica]) == (None,))
    scraper.want(proton, [], [replica])
    assert proton.id not in scraper


async def test_the_depth_of_the_replicas_queues_decides(pages: Pages, store: Store):
    proton = make_proton((DEPTH, 5), min_replicas=1)
    replicas = [pages.start(proton, "fixed"), pages.start(proton, "broken")]

    class Records:
        async def save(self, _: Replica) -> int:
            return 0

        async def forget(self, replica_id: str) -> None:
            pass

    collector = Collector(
        store,
        FakeReconciler(Records(), lambda: None),
        SETTINGS,
        clock=asyncio.get_running_loop().time,
        wall=time.time,
    )
    scaling = scaling_of(proton, SETTINGS)

    def wanted() -> int:
        now_s = asyncio.get_running_loop().time()
        seen = collector.observe(proton, scaling, replicas, woken=False, failure=None, now_s=now_s)
        decision, _ = decide(seen, scaling, None, now_s=now_s)
        return decision.replicas

    assert wanted() == 2
    async with running(collector.scraper):
        # 12 wait in one, the other is unknown and counts as idle: ceil(12 / 5).
        await until(lambda: wanted() == 3)
    collector.forget({})
    assert proton.id not in collector.scraper
