"""How well a count followed the load: under- and over-provisioned time, waste, and flaps.

Under- and over-provisioning by time and by amount are the elasticity measures of the SPEC Research
Group (N. Herbst et al., "Ready for Rain? A View from SPEC Research on the Future of Cloud Metrics",
SPEC-RG-2016-01): for which share of the time, and by how much. What is *needed* is the
present load over the target, not a mean of the past: a mean hides just the seconds that hurt.

    measure                    grows by
    -------------------------  ---------------------------------------------------
    under_s                    1 per second in which fewer are ready than needed
    over_s                     1 per second in which more are ready than needed
    missing_replica_s          needed - ready, while that is positive
    wasted_replica_s           ready - needed, while that is positive
    ready_replica_s            ready

Between two looks things count as they were at the first of them. A flap is a change of direction
within a window: up and soon down again, or the reverse. Whoever flaps pays cold starts for nothing.
"""

from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.policy import ceil_ratio


class Provisioning:
    """Adds up one proton's time; `see` at every look."""

    __slots__ = (
        *("_needed", "_ready", "_seen_s", "missing_replica_s", "over_s", "ready_replica_s"),
        *("total_s", "under_s", "wasted_replica_s"),
    )

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._needed = self._ready = 0
        self._seen_s: float | None = None
        self.total_s = 0.0
        """All time between looks."""
        self.under_s = 0.0
        self.over_s = 0.0
        self.missing_replica_s = 0.0
        self.wasted_replica_s = 0.0
        self.ready_replica_s = 0.0

    def see(self, *, needed: int, ready: int, now_s: float) -> None:
        """Count the time since the last look, and remember this one.

        Args:
            needed: Replicas that the present load takes.
            ready: Replicas that serve.
            now_s: Any clock that does not go back.
        """
        if self._seen_s is not None:
            span_s = now_s - self._seen_s
            extra = self._ready - self._needed
            self.total_s += span_s
            self.ready_replica_s += self._ready * span_s
            if extra > 0:
                self.over_s += span_s
                self.wasted_replica_s += extra * span_s
            elif extra < 0:
                self.under_s += span_s
                self.missing_replica_s -= extra * span_s
        self._needed, self._ready, self._seen_s = needed, ready, now_s


class Flaps:
    """Counts one proton's changes of direction."""

    __slots__ = ("_at_s", "_up", "_window_s", "changes", "count")

    def __init__(self, window_s: float) -> None:
        """Begin without a change.

        Args:
            window_s: A change of direction within this long of the last change is a flap.
        """
        self._window_s = window_s
        self._up = False
        self._at_s: float | None = None
        self.count = 0
        self.changes = 0
        """All changes of the count."""

    def change(self, before: int, after: int, *, now_s: float) -> bool:
        """Take a change of the count; returns whether it is a flap."""
        if before == after:
            return False
        up = after > before
        last_s = self._at_s
        flap = last_s is not None and up != self._up and now_s - last_s <= self._window_s
        self._up, self._at_s = up, now_s
        self.changes += 1
        self.count += flap
        return flap

    @property
    def score(self) -> float:
        """Share of the changes that were flaps, 0 to 1; 0 without changes."""
        return self.count / self.changes if self.changes else 0.0


def needed_now(
    observation: Observation,
    scaling: Scaling,
    *,
    wanted: int,
    targets: tuple[float, ...] | None = None,
) -> int:
    """Replicas that the present load takes, within the bounds.

    Args:
        observation: What was seen.
        scaling: Targets and bounds.
        wanted: The count decided on: the best guess where no policy looks at requests in flight,
            and where nothing is known.
        targets: `scaling.load_targets()`, of those who ask often; None: found here.
    """
    load = observation.load
    if targets is None:
        targets = scaling.load_targets()
    if load is None or not targets or scaling.fixed is not None or scaling.stopped:
        return wanted
    count = load.in_flight + load.queued
    needed = ceil_ratio(count, min(targets))
    return min(scaling.max_replicas, max(scaling.min_replicas, needed))
