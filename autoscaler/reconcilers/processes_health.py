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
            if kind in self._tries:
                continue
            moment_s = due_s(self._plan, self.health, kind)
            if moment_s is None:
                continue
            if moment_s <= now_s:
                self._tries[kind] = asyncio.create_task(self._try(kind, now_s))
            else:
                upcoming.append(moment_s)
        return min(upcoming, default=None)

    async def close(self) -> None:
        """Stop all tries."""
        tasks = [*self._tries.values()] + ([self._look] if self._look else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, kind: ProbeKind, asked_s: float) -> None:
        try:
            answer, own_port = await self._ask(kind)
        finally:
            del self._tries[kind]
        success = answer.outcome is Outcome.SUCCESS
        self.health = observe(self._plan, self.health, kind, success=success, asked_s=asked_s)
        self._explain(kind, answer, own_port=own_port, now_s=asyncio.get_running_loop().time())
        self._nudge()

    async def _ask(self, kind: ProbeKind) -> tuple[Answer, bool]:
        """One try, and whether it went to the replica's own port."""
        probe = self._plan.probe(kind)
        assert probe is not None  # noqa: S101 - `due_s` names only probes of the plan
        if kind is ProbeKind.READINESS and self._plan.readiness is None:
            limit_s = probe.timeout_s
            return await self._prober.accepts(host=HOST, port=self._port, limit_s=limit_s), True
        port = probe_port(probe, container_port=self._container_port, port=self._port)
        answer = await self._prober.ask(probe, host=HOST, port=port)
        return answer, port == self._port and probe.host is None

    def _explain(self, kind: ProbeKind, answer: Answer, *, own_port: bool, now_s: float) -> None:
        if answer.outcome is Outcome.SUCCESS:
            if self.health.verdict is Verdict.READY:
                self.why = ""
            return
        elapsed_s = now_s - self.health.started_s
        if elapsed_s < QUIET_S:
            return
        if answer.outcome is Outcome.REFUSED and own_port:
            if self._look is None and self._may_look(now_s):
                self._looked_s = now_s
                self._look = asyncio.create_task(self._look_around(elapsed_s))
            return
        probe = self._plan.probe(kind)
        if probe is not None and self._plan.readiness is not None or kind is not ProbeKind.READINESS:
            assert probe is not None  # noqa: S101 - it has just been tried
            self.why = probe_failed(kind, probe, answer)

    def _may_look(self, now_s: float) -> bool:
        return self._looked_s is None or now_s - self._looked_s >= LOOK_AGAIN_S

    async def _look_around(self, elapsed_s: float) -> None:
        try:
            found = await asyncio.to_thread(self._listening, self._pid)
        finally:
            self._look = None
        self.why = not_listening(found, port=self._port, elapsed_s=elapsed_s)
        self._nudge()
