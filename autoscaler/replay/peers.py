"""Models of other autoscalers, ready for the simulator.

    name      algorithm                     metric                                     to zero
    --------  ----------------------------  -----------------------------------------  -------
    knative   `kpa`, every 2 s              load, from reports of one second           yes
    hpa       `hpa`, every 15 s             load over the last 15 s, known 7.5 s later no
    hpa-cpu   `hpa`, every 15 s             CPU over the last 15 s, target 80 %        no
    keda      `keda` over `hpa`             load at the last poll (0.5 s)              yes

All run in our gateway's place: what waits is held and counts as load, as in Knative's activator
and KEDA's interceptor. The target, the bounds and the replica's concurrency are the caller's; all
other settings are the published defaults. Where a model had to be simplified, it gets the better
metric: Knative asks only a sample of its pods and estimates the rest, here it sees the exact load
of all; the HPA has its own adapter for requests, which plain Kubernetes does not bring.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from autoscaler.replay import hpa, keda, kpa
from autoscaler.replay.buckets import Buckets
from autoscaler.replay.scaler import Scaler, Seen

CPU_TARGET_PERCENT: Final = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a peer is told of a workload."""

    target: float
    """Load per replica to aim for (not read by `hpa-cpu`)."""
    concurrency: float
    """Requests that one replica works on at once."""
    min_replicas: int = 0
    max_replicas: int = 100
    down_delay_s: float | None = None
    """Knative's scale-down delay, the HPA's stabilisation window for shrinking (KEDA's HPA, too);
    None: their defaults, 0 and 300 s."""


def mean_load(before: Seen, after: Seen) -> float:
    """Requests at once between two moments, weighted by time, as Knative's proxies count them."""
    span_s = after.now_s - before.now_s
    return (after.load_seconds - before.load_seconds) / span_s if span_s > 0 else 0.0


class Knative:
    """The KPA: reports and scrapes every second, decisions every 2 s, at once from zero."""

    name = "knative"
    wake_pause_s: float | None = kpa.SCRAPE_S
    hears_replicas = False

    def __init__(self, terms: Terms) -> None:
        self.next_s = 0.0
        self._settings = kpa.KpaSettings(
            target=max(kpa.MIN_TARGET, terms.target),
            total=terms.concurrency,
            scale_down_delay_s=terms.down_delay_s or 0.0,
            min_scale=terms.min_replicas,
            max_scale=terms.max_replicas,
        )
        self._stable = Buckets(self._settings.stable_window_s)
        self._panic = Buckets(self._settings.panic_window_s)
        self._state: kpa.KpaState | None = None
        self._zero = kpa.ZeroState()
        self._scale: kpa.KpaScale | None = None
        self._decide_s = 0.0
        self._before: Seen | None = None
        self._told = 0.0
        """Load that a first request's own report has counted before this second's report."""

    def look(self, seen: Seen) -> int:
        """One report, and every other second one decision."""
        if self._state is None:
            self._state = kpa.started(seen.ready, now_s=seen.now_s)
        if seen.now_s >= self.next_s:
            self._report(seen)
            self.next_s += kpa.SCRAPE_S
            if seen.now_s >= self._decide_s:
                self._decide_s += kpa.TICK_S
                self._decide(seen)
        elif seen.woken and seen.wanted == 0 and self._told == 0:
            # The activator reports a revision's first request at once, which pokes the tick.
            self._record(seen.now_s, 1.0)
            self._told = 1.0
            self._decide(seen)
        if self._scale is None:
            return seen.wanted
        count, self._zero = kpa.toward_zero(
            self._settings,
            self._zero,
            scale=self._scale,
            ready=seen.ready,
            current=seen.wanted,
            now_s=seen.now_s,
        )
        return count

    def _report(self, seen: Seen) -> None:
        if self._before is not None:
            load = mean_load(self._before, seen)
            self._record(seen.now_s, max(0.0, load - self._told))
        self._before, self._told = seen, 0.0

    def _record(self, at_s: float, load: float) -> None:
        self._stable.record(at_s, load)
        self._panic.record(at_s, load)

    def _decide(self, seen: Seen) -> None:
        if self._state is None or self._stable.empty(seen.now_s):
            return
        self._scale, self._state = kpa.scale(
            self._settings,
            self._state,
            ready=seen.ready,
            stable=self._stable.average(seen.now_s),
            panic=self._panic.average(seen.now_s),
            now_s=seen.now_s,
        )


class _Synced:
    """What both uses of the HPA alone share: a metrics pipeline, and a sync between its samples."""

    wake_pause_s: float | None = None
    hears_replicas = False

    def __init__(self, terms: Terms) -> None:
        self.next_s = 0.0
        self._terms = terms
        self._settings = hpa.HpaSettings(
            target=terms.target,
            min_replicas=max(1, terms.min_replicas),
            max_replicas=terms.max_replicas,
            down_stabilisation_s=hpa.delay_of(terms.down_delay_s),
        )
        self._state = hpa.HpaState()
        self._before: Seen | None = None
        self._syncing = False

    def look(self, seen: Seen) -> int:
        """By turns: sample the metric, and half an interval later use it."""
        self.next_s += hpa.SYNC_S / 2
        current = max(seen.wanted, self._settings.min_replicas)
        if not self._syncing:
            self._sample(self._before, seen)
            self._before = seen
        else:
            wanted = self._wanted(current, seen)
            current, self._state = hpa.settle(
                self._settings, self._state, current=current, wanted=wanted, now_s=seen.now_s
            )
        self._syncing = not self._syncing
        return current

    def _sample(self, before: Seen | None, seen: Seen) -> None:
        raise NotImplementedError

    def _wanted(self, current: int, seen: Seen) -> int:
        raise NotImplementedError


class Hpa(_Synced):
    """The HPA with the load as an external metric, `AverageValue`."""

    name = "hpa"
    _load: float | None = None

    def _sample(self, before: Seen | None, seen: Seen) -> None:
        if before is not None:
            self._load = mean_load(before, seen)

    def _wanted(self, current: int, seen: Seen) -> int:
        if self._load is None:
            return current
        return hpa.external_replicas(current, self._load, self._settings.target)


class HpaCpu(_Synced):
    """The HPA by CPU: a replica that works on all the requests it can uses all its CPU."""

    name = "hpa-cpu"
    _percent: float | None = None

    def _sample(self, before: Seen | None, seen: Seen) -> None:
        if before is None or seen.ready_seconds <= before.ready_seconds:
            self._percent = None
            return
        worked = seen.working_seconds - before.working_seconds
        could = (seen.ready_seconds - before.ready_seconds) * self._terms.concurrency
        self._percent = 100.0 * worked / could

    def _wanted(self, current: int, seen: Seen) -> int:
        if self._percent is None or seen.ready == 0:
            return current
        usage = [self._percent] * seen.ready
        return hpa.resource_replicas(
            current, usage, CPU_TARGET_PERCENT, request=100.0, unready=seen.starting
        )


class Keda:
    """KEDA with its HTTP add-on, scaling by concurrency."""

    name = "keda"
    wake_pause_s: float | None = None
    hears_replicas = False

    def __init__(self, terms: Terms) -> None:
        self.next_s = 0.0
        self._settings = keda.KedaSettings(
            target_concurrency=terms.target,
            min_replicas=terms.min_replicas,
            max_replicas=terms.max_replicas,
            down_stabilisation_s=hpa.delay_of(terms.down_delay_s),
        )
        self._state = keda.KedaState(active_at_s=0.0)
        self._polled = keda.Polled()
        self._poll = 0
        self._sync_s = hpa.SYNC_S

    def look(self, seen: Seen) -> int:
        """Poll, push and sync, whichever are due."""
        now_s, current = seen.now_s, seen.wanted
        if now_s >= self._poll * keda.POLL_S:
            self._polled.poll(concurrency=seen.load, count=seen.started, now_s=now_s)
            self._poll = math.floor(now_s / keda.POLL_S + 1e-9) + 1
        active = self._polled.active(self._settings, now_s=now_s)
        push = round(now_s / keda.STREAM_S)
        if current > 0 or math.isclose(now_s, push * keda.STREAM_S, abs_tol=1e-6):
            current, self._state = keda.activate(
                self._settings, self._state, active=active, current=current, now_s=now_s
            )
        if now_s >= self._sync_s:
            self._sync_s += hpa.SYNC_S
            current, self._state = keda.sync(
                self._settings, self._state, self._polled, current=current, now_s=now_s
            )
        # Pushes between two polls matter only while they can wake: else they are at the polls.
        due_s = [self._poll * keda.POLL_S, self._sync_s]
        if active and current == 0:
            due_s.append((math.floor(now_s / keda.STREAM_S + 1e-6) + 1) * keda.STREAM_S)
        self.next_s = min(due_s)
        return current


PEERS: Final[Mapping[str, Callable[[Terms], Scaler]]] = {
    "knative": Knative,
    "hpa": Hpa,
    "hpa-cpu": HpaCpu,
    "keda": Keda,
}
"""By name, as `--against` takes them."""
