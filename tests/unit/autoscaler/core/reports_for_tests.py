"""Short ways to write load reports and views in tests."""

from autoscaler.core.steps import LoadView
from controlplane.model.reports import ProtonNumbers, WorkerNumbers

P = "a" * 24
"""The proton of most tests."""


def load(
    seconds: float = 0.0,
    *,
    in_flight: int = 0,
    queued: int = 0,
    queued_seconds: float = 0.0,
    started: int | None = None,
    finished: dict[str, int] | None = None,
) -> ProtonNumbers:
    """Cumulative counters; `started` is what it must be unless given."""
    done = finished or {}
    return ProtonNumbers(
        started=sum(done.values()) + in_flight + queued if started is None else started,
        refused=done.get("refused", 0),
        in_flight=in_flight,
        queued=queued,
        load_seconds=seconds,
        queued_seconds=queued_seconds,
    )


def report(
    clock_s: float,
    protons: dict[str, ProtonNumbers] | None = None,
    *,
    worker: str = "w1",
    revision: int = 1,
    draining: bool = False,
    endpoints: dict[str, int] | None = None,
) -> WorkerNumbers:
    """One worker's report."""
    return WorkerNumbers(
        worker_id=worker,
        clock_s=clock_s,
        revision=revision,
        draining=draining,
        protons=protons or {},
        endpoints=endpoints or {},
    )


def steady(mean: float, *, queued: int = 0, **changes: float) -> LoadView:
    """A view of a load that has been the same for long; the queue came just now."""
    fields: dict[str, float] = {
        "in_flight": round(mean) - queued,
        "queued": queued,
        "mean_stable": mean,
        "mean_panic": mean,
        "demand_stable": mean,
        "demand_panic": mean,
        "demand_now": mean,
        **changes,
    }
    return LoadView(**fields)  # type: ignore[arg-type]
