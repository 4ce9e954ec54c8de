"""The conductor: one API process at a time does what has to be done by the clock.

    standing   means                                  its parts
    ---------  -------------------------------------  ------------------------------------------
    standby    another process holds the lease        do not exist
    leading    the lease was renewed in time          step every `tick_s`, and at once on changes
    lost       it could not be renewed, or a commit   are dropped; a new term makes new ones
               was refused because of it

Every commit carries the lease's fencing token, so a process that only believes to lead writes
nothing. Parts run beside each other: one that is slow or fails does not hold up the others.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from controlplane.api.services import Services
from controlplane.conductor.term import Term
from controlplane.model.kinds import Record
from controlplane.store.client import Lease
from controlplane.store.errors import ConflictError, FencedError, StoreError
from controlplane.store.watch import Change

LEASE: Final = "conductor"
_PAUSE_S: Final = 0.02
"""Least time between two steps of a part: a storm of changes becomes a few looks."""

logger = logging.getLogger(__name__)


class Step(Protocol):
    """Something that is done again and again. A new term makes a new one, without memory."""

    async def step(self, now_s: float) -> None:
        """Do what is due.

        Args:
            now_s: Epoch seconds.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the conductor's tasks."""

    name: str
    step: Step
    kinds: frozenset[type[Record]] = frozenset()
    """It steps at once when a record of these changes."""
    every_s: float | None = None
    """Time between steps without a change; None: the conductor's own (`conductor.tick_s`)."""


class Conductor:
    """Takes the lease, keeps it, and runs the parts while it holds it."""

    def __init__(self, services: Services, make_parts: Callable[[Term], Sequence[Part]]) -> None:
        """Prepare; `run` begins.

        Args:
            services: With a mirror that has started.
            make_parts: Makes the parts of a term.
        """
        self._services = services
        self._make_parts = make_parts
        self._holder = services.ids.new()
        self._lease: Lease | None = None
        self._doors: list[tuple[frozenset[type[Record]], asyncio.Event]] = []
        services.mirror.subscribe(self._changed)

    @property
    def leading(self) -> bool:
        """Whether this process has the lease, as far as it knows."""
        return self._lease is not None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run beside what is inside, and give the lease back at the end."""
        task = asyncio.create_task(self.run(), name="conductor")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Stand by, lead, and again, until cancelled."""
        try:
            while True:
                try:
                    await self._serve_a_term()
                except StoreError as exc:
                    logger.info("not conducting", extra={"error": str(exc)})
                except Exception:
                    logger.exception("conducting failed in an unforeseen way")
                self._lease = None
                await asyncio.sleep(self._ttl_s / 3)
        finally:
            await self._resign()

    async def _serve_a_term(self) -> None:
        lease = await self._acquire()
        if lease is None:
            return
        self._lease = lease
        logger.info("conducting", extra={"holder": self._holder, "token": lease.token})
        parts = self._make_parts(Term(self._services, lease))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(lease), name="conductor-lease")
                for part in parts:
                    tasks.create_task(self._repeat(part), name=f"conductor-{part.name}")
        except* FencedError as group:
            raise group.exceptions[0] from None
        finally:
            self._doors.clear()

    async def _keep(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            try:
                renewed = await self._acquire()
            except StoreError as exc:
                logger.debug("cannot renew", extra={"error": str(exc)})
                continue
            if renewed != lease:
                raise FencedError("the conductor's lease was lost")

    async def _repeat(self, part: Part) -> None:
        door = asyncio.Event()
        self._doors.append((part.kinds, door))
        every_s = part.every_s or self._services.settings.conductor.tick_s
        while True:
            door.clear()
            try:
                await part.step.step(self._services.clock())
            except FencedError:
                raise
            except ConflictError as exc:
                logger.debug("somebody was faster", extra={"part": part.name, "error": str(exc)})
            except StoreError as exc:
                logger.info("a step must wait", extra={"part": part.name, "error": str(exc)})
            except Exception:
                logger.exception("a step failed", extra={"part": part.name})
            await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await door.wait()

    def _changed(self, changes: list[Change]) -> None:
        if self._doors:
            kinds = {change.cls for change in changes}
            for wanted, door in self._doors:
                if not wanted.isdisjoint(kinds):
                    door.set()

    @property
    def _ttl_s(self) -> float:
        return self._services.settings.conductor.lease_ttl_s

    async def _acquire(self) -> Lease | None:
        return await self._services.store.acquire(LEASE, self._holder, ttl_s=self._ttl_s)

    async def _resign(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            with contextlib.suppress(StoreError):  # it runs out by itself
                await self._services.store.release(lease)
