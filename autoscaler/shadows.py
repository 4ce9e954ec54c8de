"""Decisions that nobody acts on: a proton's shadow policies, and its forecast.

`core.shadow` decides and keeps the accounts; this module knows which protons have a shadow, what
each of them sees, and when its journal gets an entry.

    forecast is  the real decision      its shadow
    -----------  ---------------------  -------------------------------
    shadow       without the forecast   with it: what it would have done
    act          with it                without: what it is worth

What fails in any of this ends in it: see `trials`.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from autoscaler.collectors import Collector
from autoscaler.core.forecast import Expected
from autoscaler.core.observation import Observation, Scaling, shadow_scaling_of
from autoscaler.core.schedules import lead_of
from autoscaler.core.shadow import Now, ShadowState, begin, need_of, step
from autoscaler.forecasts import Forecasts
from autoscaler.trials import Trials
from controlplane.model.decisions import Decision
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.shadows import ShadowEntry, ShadowKind, journal_name
from controlplane.model.workloads import Proton

ENTRY_EVERY_S: Final = 60.0
KEPT: Final = 1500
"""Entries of one journal: a day at one a minute."""

ACT: Final = "act"

Entry = tuple[str, bytes, int]
"""Journal name, entry, how many to keep."""


@dataclass(slots=True)
class _Run:
    """One shadow of one proton."""

    scaling: Scaling
    state: ShadowState
    written_s: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Real:
    """What acts, and what it saw."""

    scaling: Scaling
    observation: Observation
    decision: Decision
    start_s: float
    now_s: float


class Shadows:
    """All shadows of one term; they begin anew with the term, and when what they try changes."""

    def __init__(
        self,
        collector: Collector,
        forecasts: Forecasts,
        settings: AutoscalerSettings,
        *,
        new_id: Callable[[], str],
        trials: Trials,
    ) -> None:
        """Begin without any.

        Args:
            collector: Knows the schedules' bounds.
            forecasts: Know what is expected.
            settings: The platform's.
            new_id: Makes 24-hex ids.
            trials: What fails here ends there.
        """
        self._trials = trials
        self._collector = collector
        self._forecasts = forecasts
        self._settings = settings
        self._new_id = new_id
        self._runs: dict[tuple[str, ShadowKind], _Run] = {}
        self._expected: dict[str, Expected] = {}
        self._policies: dict[str, tuple[Proton, Scaling | None]] = {}

    def shadows(self, proton: Proton, scaling: Scaling) -> bool:
        """Whether the proton has a shadow, so that it is never at rest."""
        return bool(scaling.forecast) or self._policy(proton) is not None

    def seen(
        self, scaling: Scaling, observation: Observation, cold_starts_s: Sequence[float]
    ) -> Observation:
        """What the real decision sees: with the forecast where it acts.

        Args:
            scaling: What acts.
            observation: Without any forecast.
            cold_starts_s: How long the proton's last replicas took to be ready.
        """
        if not scaling.forecast:
            return observation
        found = None
        with self._trials.alone(ShadowKind.FORECAST, scaling.proton_id):
            found = self._forecasts.expected(scaling, observation, cold_starts_s)
        if found is None:
            self._expected.pop(scaling.proton_id, None)
            return observation
        self._expected[scaling.proton_id] = found
        if scaling.forecast != ACT:
            return observation
        return msgspec.structs.replace(observation, expected=found)

    def step(
        self,
        proton: Proton,
        scaling: Scaling,
        observation: Observation,
        decision: Decision,
        *,
        cold_starts_s: Sequence[float],
        now_s: float,
    ) -> list[Entry]:
        """Let the proton's shadows decide too; returns what their journals get.

        Args:
            proton: The proton.
            scaling: What acts.
            observation: What the real decision saw.
            decision: The real one.
            cold_starts_s: How long the proton's last replicas took to be ready.
            now_s: Monotonic clock.
        """
        start_s = lead_of(cold_starts_s, guess_s=self._settings.schedule_lead_s)
        real = _Real(scaling, observation, decision, start_s, now_s)
        entries: list[Entry] = []
        policy = self._policy(proton)
        if policy is not None:
            with self._trials.alone(ShadowKind.POLICY, proton.id):
                scheduled = (
                    self._collector.scheduled(policy, observation.at) if policy.schedules else None
                )
                own = msgspec.structs.replace(observation, scheduled=scheduled, expected=None)
                entries += self._stepped(ShadowKind.POLICY, policy, own, real)
        if scaling.forecast:
            with self._trials.alone(ShadowKind.FORECAST, proton.id):
                expected = self._expected.get(proton.id) if scaling.forecast != ACT else None
                own = msgspec.structs.replace(observation, expected=expected)
                entries += self._stepped(ShadowKind.FORECAST, scaling, own, real)
        return entries

    def retain(self, proton_ids: Container[str]) -> None:
        """Forget all protons but these."""
        self._forecasts.retain(proton_ids)
        for key in [key for key in self._runs if key[0] not in proton_ids]:
            del self._runs[key]
        for known in (self._expected, self._policies):
            for proton_id in [p for p in known if p not in proton_ids]:
                del known[proton_id]

    def _policy(self, proton: Proton) -> Scaling | None:
        known = self._policies.get(proton.id)
        if known is None or known[0] is not proton:
            scaling = None
            with self._trials.alone(ShadowKind.POLICY, proton.id):
                scaling = shadow_scaling_of(proton, self._settings)
            known = self._policies[proton.id] = (proton, scaling)
        return known[1]

    def _stepped(
        self, kind: ShadowKind, shadow: Scaling, own: Observation, real: "_Real"
    ) -> list[Entry]:
        key = (real.scaling.proton_id, kind)
        run = self._runs.get(key)
        acting, now_s = real.decision.replicas, real.now_s
        if run is None or run.scaling != shadow:
            state = begin(real.observation, real.scaling, acting=acting, now_s=now_s)
            run = self._runs[key] = _Run(shadow, state)
        now = Now(need=need_of(own, real.scaling), acting=acting, start_s=real.start_s, now_s=now_s)
        before = run.state
        found, run.state = step(before, own, shadow, now)
        moved = found.replicas != found.previous_replicas
        if not moved and now_s - run.written_s < ENTRY_EVERY_S:
            return []
        run.written_s = now_s
        told, _ = step(before, own, shadow, now, told=True)
        entry = ShadowEntry(
            kind=kind,
            decision=msgspec.structs.replace(told, id=self._new_id()),
            acting=acting,
            forecast_acts=kind is ShadowKind.FORECAST and shadow.forecast == ACT,
            seconds=now_s - run.state.began_s,
            acted=run.state.acted,
            shadowed=run.state.shadowed,
        )
        return [(journal_name(kind, real.scaling.proton_id), msgspec.json.encode(entry), KEPT)]
