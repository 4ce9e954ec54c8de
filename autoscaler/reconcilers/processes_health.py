"""Runs the probes of one process when they are due, and finds words for what they find."""

import asyncio
from collections.abc import Callable
from typing import Final

from autoscaler.core.replica_probes import (
    Health,
    ProbeKind,
    ProbePlan,
    Verdict,
    due_s,
    observe,
    probe_port,
)
from autoscaler.core.replica_sentences import Answer, Outcome, not_listening, probe_failed
from autoscaler.reconcilers.processes_context import HOST, ListeningScan, Prober
from controlplane.model.artifacts import Probe

QUIET_S: Final = 1.0
"""A start that takes no longer than this needs no explanation."""

LOOK_AGAIN_S: Final = 5.0
"""Time between two looks at where a replica listens: each walks the kernel's socket tables."""


class HealthWatch:
    """The probes of one process, from its start to its end.

    Owned by its runner, which calls `step` whenever it is nudged or a moment that `step` named
    has come. At most one try of each probe is open at a time; each ends with a nudge.
    """

    def __init__(
        self,
        *,
        plan: ProbePlan,
        health: Health,
        pid: int,
        port: int,
        container_port: int | None,
        prober: Prober,
        listening: ListeningScan,
        nudge: Callable[[], None],
    ) -> None:
        self.health = health
        self.why = ""
        """One sentence about what is wrong at present; empty while nothing is known to be."""
        self._plan = plan
        self._pid = pid
        self._port = port
        self._container_port = container_port
        self._prober = prober
        self._listening = listening
        self._nudge = nudge
        self._tries: dict[ProbeKind, asyncio.Task[None]] = {}
        self._look: asyncio.Task[None] | None = None
        self._looked_s: float | None = None

    def step(self, now_s: float) -> float | None:
        """Begin all tries that are due.

        Returns:
            When the next one will be due; None: nothing is before a nudge.
        """
        upcoming: list[float] = []
        for kind in ProbeKind:
            probe = self._plan.probe(kind)
            moment_s = due_s(self._plan, self.health, kind)
            if probe is None or moment_s is None or kind in self._tries:
                continue
            if moment_s <= now_s:
                self._tries[kind] = asyncio.create_task(self._try(kind, probe, now_s))
            else:
                upcoming.append(moment_s)
        return min(upcoming, default=None)

    async def close(self) -> None:
        """Stop all tries."""
        tasks = [*self._tries.values()] + ([self._look] if self._look else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, kind: ProbeKind, probe: Probe, asked_s: float) -> None:
        port = probe_port(probe, container_port=self._container_port, port=self._port)
        own_port = port == self._port and probe.host is None
        try:
            if kind is ProbeKind.READINESS and self._plan.readiness is None:
                limit_s = probe.timeout_s
                answer = await self._prober.accepts(host=HOST, port=port, limit_s=limit_s)
            else:
                answer = await self._prober.ask(probe, host=HOST, port=port)
        finally:
            del self._tries[kind]
        success = answer.outcome is Outcome.SUCCESS
        self.health = observe(self._plan, self.health, kind, success=success, asked_s=asked_s)
        self._explain(kind, probe, answer, own_port=own_port)
        self._nudge()

    def _explain(self, kind: ProbeKind, probe: Probe, answer: Answer, *, own_port: bool) -> None:
        if answer.outcome is Outcome.SUCCESS:
            if self.health.verdict is Verdict.READY:
                self.why = ""
            return
        now_s = asyncio.get_running_loop().time()
        elapsed_s = now_s - self.health.started_s
        if elapsed_s < QUIET_S:
            return
        if answer.outcome is not Outcome.REFUSED or not own_port:
            self.why = probe_failed(kind, probe, answer)
        elif self._look is None and self._may_look(now_s):
            self._looked_s = now_s
            self._look = asyncio.create_task(self._look_around(elapsed_s))

    def _may_look(self, now_s: float) -> bool:
        return self._looked_s is None or now_s - self._looked_s >= LOOK_AGAIN_S

    async def _look_around(self, elapsed_s: float) -> None:
        try:
            found = await asyncio.to_thread(self._listening, self._pid)
        finally:
            self._look = None
        if self.health.verdict is not Verdict.READY:
            self.why = not_listening(found, port=self._port, elapsed_s=elapsed_s)
            self._nudge()
