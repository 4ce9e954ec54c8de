"""The demo itself: start an installation, deploy, send traffic, watch, collect."""

import asyncio
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from controlplane.cli.client import Api, Json
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError
from controlplane.cli.private_up import PrivateUp
from controlplane.cli.specs import ContainerOptions, ScalingOptions, artifact_body, runtime_body
from controlplane.cli.stores import open_store
from controlplane.cli.views import Sampler, WorkloadView, loads_of
from controlplane.cli.waiting import wait_for
from controlplane.demo.client import OpenLoopClient, Outcome
from controlplane.demo.report import Row, Story, milliseconds, quantile
from controlplane.demo.traffic import MAX_SECONDS, Phase, phases, plan, tuning
from controlplane.model.decisions import Decision
from controlplane.model.explain import change
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store

WORKLOAD: Final = "sample"
CONCURRENCY: Final = 4.0
MAX_REPLICAS: Final = 6
STARTUP_S: Final = 1.0
SERVICE_S: Final = 0.15
SAMPLE_EVERY_S: Final = 0.25
_RECENT_S: Final = 3.0
_AT_ZERO_S: Final = 2.0
"""How long nothing must have run before the demo believes it."""
_ALL: Final = 100_000
_COUNT_WAIT_S: Final = 5.0
_STOP_RESERVE_S: Final = 4.0


class DemoRun:
    """One run of the demo.

    Args:
        seconds: How long it should take in all.
        data_dir: Where the installation lives.
        workers: Gateway workers.
        watch: Called with every sample, for the live table.
        note: Called with a line about anything unusual.
    """

    def __init__(
        self,
        *,
        seconds: float,
        data_dir: Path,
        workers: int,
        watch: Callable[[Row], None],
        note: Callable[[str], None],
    ) -> None:
        self._began_s = time.monotonic()
        self._data_dir = data_dir
        self._workers = workers
        self._watch = watch
        self._note_line = note
        self._recent: deque[Outcome] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._seconds = seconds
        self.story = Story(seconds=0.0, phases=phases(seconds), began_at=0.0)

    async def run(self) -> Story:
        """Run the demo from nothing to nothing.

        Raises:
            CliError: It could not even start or deploy.
        """
        up = PrivateUp(
            self._data_dir,
            workers=self._workers,
            assignments=tuning(self._seconds).assignments(),
            on_event=self._on_event,
        )
        async with up:
            info = up.info
            credentials = Credentials(url=info["api_url"], token=info["token"])
            async with open_store(StoreSettings(), url=info["store_url"]) as store:
                with Api(credentials) as api:
                    workload = await asyncio.to_thread(_deploy, api)
                    await self._drive(store, workload, credentials.token)
                await self._collect(store, workload["id"], workload["protonId"])
        self.story.exit_code = up.exit_code
        self.story.seconds = time.monotonic() - self._began_s
        return self.story

    async def _drive(self, store: Store, workload: Json, token: str) -> None:
        """Send the traffic and sample, until nothing runs any more or time is up."""
        loop = asyncio.get_running_loop()
        base = urlsplit(workload["endpoint"])
        assert base.hostname is not None  # noqa: S101 - the API answers absolute URLs
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "tidegate-demo"}
        start_s = loop.time()
        self.story.began_at = time.time()
        self.story.clock_start_s = start_s
        async with OpenLoopClient(
            base.hostname, base.port or 80, prefix=base.path, headers=headers
        ) as client:
            sampling = asyncio.create_task(
                self._sample(store, workload["id"], workload["protonId"], start_s)
            )
            try:
                await self._send(client, start_s)
                await self._await_answers()
                await self._quiet(loop, start_s)
            finally:
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)
        if not sampling.cancelled() and (error := sampling.exception()):
            raise error

    async def _send(self, client: OpenLoopClient, start_s: float) -> None:
        loop = asyncio.get_running_loop()
        for planned in plan(self._seconds):
            due_s = start_s + planned.at_s
            if (delay_s := due_s - loop.time()) > 0:
                await asyncio.sleep(delay_s)
            self.story.sent += 1
            # The intended moment, not this one: being late here counts as waiting.
            sending = client.request(
                method=planned.method,
                path=planned.path,
                body=planned.body,
                phase=planned.phase,
                at_s=due_s,
            )
            task = asyncio.create_task(self._finish(sending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _await_answers(self) -> None:
        """Wait for what is still open, but not beyond the limit of the whole demo."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=self._limit_s() - time.monotonic())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _limit_s(self) -> float:
        """When the demo must begin to stop; the event loop's clock is the same one."""
        return self._began_s + MAX_SECONDS - _STOP_RESERVE_S

    async def _finish(self, sending: Coroutine[Any, Any, Outcome]) -> None:
        outcome = await sending
        self.story.outcomes.append(outcome)
        self._recent.append(outcome)

    async def _quiet(self, loop: asyncio.AbstractEventLoop, start_s: float) -> None:
        """Wait until no replica has existed for a moment; longer than planned where allowed."""
        planned_s = start_s + self.story.phases[-1].end_s
        limit_s = self._limit_s()
        while loop.time() < max(planned_s, min(planned_s + self._seconds / 2, limit_s)):
            recent = [r for r in self.story.rows if r.at_s > loop.time() - start_s - _AT_ZERO_S]
            quiet_s = self.story.phases[-1].start_s + _AT_ZERO_S
            if recent and recent[-1].at_s > quiet_s and not any(r.replicas for r in recent):
                return
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _sample(self, store: Store, workload_id: str, proton_id: str, start_s: float) -> None:
        loop = asyncio.get_running_loop()
        sampler = Sampler(store)
        while True:
            view = next((v for v in await sampler.views() if v.id == workload_id), None)
            if view is not None:
                newest = await _decisions(store, proton_id, limit=1)
                row = self._row(view, newest, loop.time() - start_s, loop.time())
                self.story.rows.append(row)
                self._watch(row)
            await asyncio.sleep(SAMPLE_EVERY_S)

    def _row(
        self, view: WorkloadView, newest: Sequence[Decision], at_s: float, now_s: float
    ) -> Row:
        while self._recent and self._recent[0].at_s + self._recent[0].seconds < now_s - _RECENT_S:
            self._recent.popleft()
        seconds = [outcome.seconds for outcome in self._recent if not outcome.failed]
        return Row(
            at_s=at_s,
            phase=_phase_at(self.story.phases, at_s),
            sent=self.story.sent,
            failed=sum(outcome.failed for outcome in self.story.outcomes),
            rate_per_s=view.rate_per_s or 0.0,
            in_flight=view.in_flight,
            queued=view.queued,
            wanted=view.wanted or 0,
            ready=view.ready,
            replicas=view.replicas,
            decision=change(newest[0]) if newest else "",
            reason=view.reason,
            p50_ms=milliseconds(quantile(seconds, 0.5)),
            p95_ms=milliseconds(quantile(seconds, 0.95)),
        )

    async def _collect(self, store: Store, workload_id: str, proton_id: str) -> None:
        """The gateways' own counts, once they have reported all, and every decision."""
        deadline_s = time.monotonic() + _COUNT_WAIT_S
        while True:
            loads = loads_of(await store.collect_reports(), workload_id)
            self.story.started = sum(load.started for load in loads)
            self.story.finished = sum(sum(load.finished.values()) for load in loads)
            self.story.cold_starts = sum(load.cold_starts for load in loads)
            if self.story.finished >= self.story.sent or time.monotonic() > deadline_s:
                break
            await asyncio.sleep(0.1)
        decisions = await _decisions(store, proton_id, limit=_ALL)
        self.story.decisions = list(reversed(decisions))

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event["event"] in {"died", "failed", "error", "killed", "warning", "output"}:
            self.story.notes.append(str(event["message"]))
            self._note_line(str(event["message"]))


async def _decisions(store: Store, proton_id: str, *, limit: int) -> list[Decision]:
    """The newest decisions about a proton, newest first."""
    entries, _ = await store.read_journal(f"decisions:{proton_id}", limit=limit)
    return [msgspec.json.decode(entry, type=Decision) for entry in entries]


def _deploy(api: Api) -> Json:
    """Create the sample workload through the REST API, and wait until it is settled at zero."""
    command = [sys.executable, "-P", "-m", "controlplane.demo.service"]
    container = ContainerOptions(
        entrypoint=shlex.join(command),
        port=8080,
        image=None,
        env=(
            f"SAMPLE_STARTUP_S={STARTUP_S}",
            f"SAMPLE_SERVICE_S={SERVICE_S}",
        ),
        readiness="/healthz",
    )
    scaling = ScalingOptions(min_replicas=0, max_replicas=MAX_REPLICAS, concurrency=CONCURRENCY)
    body = {
        "name": WORKLOAD,
        "artifact": artifact_body(WORKLOAD, container),
        "runtime": runtime_body(container, scaling),
    }
    created = api.call("POST", "workloads", body=body)
    settled = wait_for(api, created["id"], "suspended", timeout_s=20.0)
    if settled is None:
        raise CliError("the sample workload vanished")
    return settled


def _phase_at(found: Sequence[Phase], at_s: float) -> str:
    return next((phase.name for phase in found if at_s < phase.end_s), "quiet")
