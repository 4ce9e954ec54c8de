"""Workers tell each other what they have let through, where workloads have quotas.

Requests never wait for it. The first one is told at once, further ones after a pause that is short
while few callers are busy, so the workers' counts differ by what came in a few milliseconds. While
the store is away each worker counts for itself.
"""

import asyncio
import contextlib

from controlplane.model.reports import UsageNews
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from gateway.net.policies import Policies
from gateway.net.worker import Worker

_PAUSE_S = 0.005
_PAUSE_PER_CALLER_S = 100e-6
"""Telling costs about 1 us for each caller: at most a hundredth of the worker's time."""
_REMIND_S = 2.0
_GONE_S = 3 * _REMIND_S
"""A worker says every 2 s for whom it has requests; what it has not said for 6 s is over."""


class UsageTeller:
    """Tells the others of this worker's usage, and counts theirs."""

    def __init__(self, worker: Worker, policies: Policies, store: Store) -> None:
        self._worker = worker
        self._policies = policies
        self._store = store
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._policies.on_news = self._news.set
        self._tasks = [
            asyncio.create_task(self._tell()),
            asyncio.create_task(self._store.hear_usage(self._heard)),
            asyncio.create_task(self._remind()),
        ]

    async def stop(self) -> None:
        """End, with a last word: what ran here has ended."""
        self._policies.on_news = _nothing
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        if self._store.available:
            await self._tell_once()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            callers = await self._tell_once()
            await asyncio.sleep(_PAUSE_S + callers * _PAUSE_PER_CALLER_S)

    async def _tell_once(self) -> int:
        """Tell what is new; of how many callers."""
        books = {
            workload_id: news
            for workload_id, book in self._policies.books()
            if (news := book.tell())
        }
        if books:
            with contextlib.suppress(StoreError):  # lost: the others count for themselves
                await self._store.tell_usage(UsageNews(self._worker.id, books))
        return sum(len(news) for news in books.values())

    def _heard(self, news: UsageNews) -> None:
        if news.worker_id == self._worker.id:
            return
        now_s = self._worker.monotonic()
        for workload_id, callers in news.books.items():
            book = self._policies.book(workload_id)
            if book is not None:
                book.hear(news.worker_id, callers, now_s)

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(_REMIND_S)
            latest_s = self._worker.monotonic() - _GONE_S
            for _, book in self._policies.books():
                book.remind()
                book.forget(latest_s)


def _nothing() -> None:
    return None
