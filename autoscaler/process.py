"""The autoscaler as a process: stand by, lead for a term, stop in order.

SIGTERM or SIGINT   decide no more, end the replicas (`stop_replicas_on_exit`) or leave them to
                    the next start, give the lease back, end
a second one        wait for the replicas only `HURRIED_STOP_S` longer; the next start ends
                    those that are left
the lease is lost   leave the replicas to the new leader, stand by again
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, TypeVar

from autoscaler.admin import AdminServer
from autoscaler.errors import LeadershipLostError
from autoscaler.inventory import LOOK_EVERY_S, NO_MACHINES, Inventory, follow
from autoscaler.leadership import Leadership
from autoscaler.loop import DecisionLoop
from autoscaler.news import News
from autoscaler.nodes import tell_nodes
from autoscaler.reconcilers.base import Reconciler, ReplicaWriter, Secrets
from autoscaler.records import StoreReplicaWriter
from autoscaler.secrets import RECORDS, StoreSecrets
from autoscaler.telemetry import Telemetry
from controlplane.model.nodes import Node
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.sealing import KeyFile
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from controlplane.store.watch import Change, Mirror

STUCK_TICKS: Final = 10.0
"""Without a finished round for this many ticks, and 30 s, the process is not ready."""
_STUCK_S: Final = 30.0
_LAST_WRITES_S: Final = 2.0
HURRIED_STOP_S: Final = 1.5
"""Shorter than the time after which a supervisor in a hurry kills us."""

T = TypeVar("T")

MakeReconciler = Callable[[ReplicaWriter, Secrets, Callable[[], None]], Reconciler]
"""From a writer of replica records, what opens secrets, and a callback for changes to a
reconciler, one per term."""

logger = logging.getLogger(__name__)


class Autoscaler:
    """One autoscaler process."""

    def __init__(
        self,
        store: Store,
        settings: AutoscalerSettings,
        make_reconciler: MakeReconciler,
        *,
        keys: KeyFile,
        api_url: str,
        new_id: Callable[[], str],
        clock: Callable[[], float],
        wall: Callable[[], float],
        inventory: Inventory = NO_MACHINES,
        find_inventory: Callable[[], Inventory] | None = None,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Prepare; `run` does everything.

        Args:
            store: Connected.
            settings: The autoscaler's section.
            make_reconciler: Called once per term.
            keys: What opens credentials.
            api_url: Base of the API as replicas reach it, without a slash at its end.
            new_id: Makes 24-hex ids.
            clock: Monotonic seconds, the event loop's.
            wall: Epoch seconds.
            inventory: What replicas share.
            find_inventory: Looks at it again, blocking; None: it never changes.
            look_every_s: How often.
        """
        self._inventory = inventory
        self._find_inventory = find_inventory
        self._look_every_s = look_every_s
        self._store = store
        self._settings = settings
        self._make_reconciler = make_reconciler
        self._keys = keys
        self._api_url = api_url
        self._new_id = new_id
        self._clock = clock
        self._wall = wall
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._loop: DecisionLoop | None = None
        self._news: News | None = None
        self._mirror = Mirror(store, [Proton, Replica, Scale, Node, *RECORDS])
        self._mirror.subscribe(self._on_records)
        self._telemetry = Telemetry(flap_window_s=settings.stable_window_s)
        self._leadership = Leadership(
            store, holder=new_id(), ttl_s=settings.lease_ttl_s, clock=clock
        )
        self._admin = AdminServer(self._telemetry, self.checks)
        self.admin_port: int | None = None
        """The admin port once it listens."""

    def stop(self) -> None:
        """End in order; a second call hurries."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    @property
    def leading(self) -> bool:
        """Whether this process decides now."""
        return self._leadership.leading

    def checks(self) -> Mapping[str, bool]:
        """What readiness means: somebody is known to lead, and a leader's rounds end."""
        loop = self._loop
        checks = {"running": not self._stopping.is_set(), "leader_known": self._leadership.polled}
        if loop is not None:
            ticked_s, limit_s = loop.ticked_at_s, max(_STUCK_S, STUCK_TICKS * self._settings.tick_s)
            checks["decides"] = ticked_s is not None and self._clock() - ticked_s < limit_s
        return checks

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            OSError: The admin port is taken.
            StoreUnavailableError: The store went away before the first look.
        """
        self.admin_port = await self._admin.start(
            self._settings.admin_host, self._settings.admin_port
        )
        logger.info("serving", extra={"admin_port": self.admin_port})
        try:
            await self._mirror.start()
            while not self._stopping.is_set():
                if await self._unless_stopped(self._leadership.campaign()):
                    await self._term()
        finally:
            await self._mirror.stop()
            await self._admin.stop()

    async def _term(self) -> None:
        news = self._news = News()
        secrets = StoreSecrets(
            self._store, self._mirror, self._leadership, self._keys, api_url=self._api_url
        )
        reconciler = self._make_reconciler(
            StoreReplicaWriter(self._leadership), secrets, news.on_replicas
        )
        loop = DecisionLoop(
            self._store,
            self._mirror,
            leadership=self._leadership,
            reconciler=reconciler,
            news=news,
            settings=self._settings,
            telemetry=self._telemetry,
            new_id=self._new_id,
            clock=self._clock,
            wall=self._wall,
            inventory=self._inventory,
        )
        keeper = asyncio.create_task(self._leadership.keep(), name="lease")
        deciding = asyncio.create_task(loop.run(), name="decisions")
        telling = asyncio.create_task(self._follow_inventory(loop, reconciler), name="nodes")
        self._loop = loop
        self._telemetry.leading.set(1)
        try:
            await self._until_over(keeper, deciding)
            end_replicas = self._settings.stop_replicas_on_exit and self._stopping.is_set()
            if self._stopping.is_set():
                logger.info("stopping", extra={"end_replicas": end_replicas})
            await self._stop_reconciler(reconciler, end_replicas=end_replicas)
            if self._leadership.in_term:
                await self._write_last(loop)
        finally:
            self._loop = self._news = None
            self._telemetry.leading.set(0)
            await _cancel(telling)
            await _cancel(deciding)
            await _cancel(keeper)
            await self._leadership.resign()
        if not deciding.cancelled():
            deciding.result()  # a fault of ours: the supervisor starts us anew
        if not keeper.cancelled():
            try:
                keeper.result()
            except LeadershipLostError as exc:
                logger.warning("not leading any more", extra={"error": str(exc)})

    async def _follow_inventory(self, loop: DecisionLoop, reconciler: Reconciler) -> None:
        """Tell of the nodes that there are, now and whenever there are others."""

        async def use(inventory: Inventory) -> None:
            if inventory is not self._inventory:
                reconciler.renew(inventory)
                loop.renew(inventory)
                self._inventory = inventory  # only now: what has failed is done again
            await tell_nodes(self._leadership, inventory, lambda: self._mirror.all(Node))

        await follow(
            self._inventory,
            self._find_inventory,
            use,
            failed=self._telemetry.inventory_faults.inc,
            every_s=self._look_every_s,
        )

    async def _until_over(self, keeper: asyncio.Task[None], deciding: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({keeper, deciding, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(stopping)
            await _cancel(deciding)

    async def _stop_reconciler(self, reconciler: Reconciler, *, end_replicas: bool) -> None:
        ending = asyncio.create_task(reconciler.stop(end_replicas=end_replicas), name="ending")
        hurrying = asyncio.create_task(self._hurrying.wait(), name="hurrying")
        try:
            await asyncio.wait({ending, hurrying}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await asyncio.wait({ending}, timeout=HURRIED_STOP_S)
            if ending.done():
                ending.result()
            else:
                logger.warning("hurried: replicas that still run are left to the next start")
        finally:
            await _cancel(hurrying)
            await _cancel(ending)

    async def _write_last(self, loop: DecisionLoop) -> None:
        try:
            async with asyncio.timeout(_LAST_WRITES_S):
                await loop.writer.write_all()
        except (StoreError, LeadershipLostError, TimeoutError) as exc:
            logger.warning("the last decisions were not written", extra={"error": str(exc)})

    async def _unless_stopped(self, work: Coroutine[object, object, None]) -> bool:
        """Run `work` to its end, or drop it when the process stops; returns whether it ended."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            return task.done()
        finally:
            await _cancel(stopping)
            await _cancel(task)

    def _on_records(self, changes: list[Change]) -> None:
        if self._news is not None:
            self._news.on_records(changes)


async def _cancel(task: asyncio.Task[T]) -> None:
    """Cancel and wait for the end; how it ended is for whoever asks the task."""
    task.cancel()
    await asyncio.wait({task})
