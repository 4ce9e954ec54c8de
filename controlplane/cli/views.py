"""What every workload does now, from the store's records and the gateways' cumulative reports.

`tidegate top` and `tidegate demo` show the same numbers, so they share this arithmetic. Pure, but
for `Sampler`, which reads the store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.states import Desired, ProtonRole, ProtonState, ReplicaPhase, proton_state
from controlplane.model.workloads import Proton, Replica, Scale, Workload
from controlplane.store.client import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView:
    """One workload at one moment."""

    id: str
    name: str
    state: ProtonState
    rate_per_s: float | None
    """Requests started per second since the previous sample; None without one."""
    started: int
    """Requests started since the gateway workers that live now started."""
    finished: int
    in_flight: int
    queued: int
    wanted: int | None
    """The autoscaler's last decision; None before the first."""
    ready: int
    replicas: int
    """All that exist, starting and leaving ones included."""
    reason: str
    message: str
    """What its owner should do; empty when all is well."""

    @property
    def load(self) -> int:
        """In flight and queued."""
        return self.in_flight + self.queued


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the store held at one moment."""

    workloads: Sequence[Workload]
    protons: Sequence[Proton]
    scales: Sequence[Scale]
    replicas: Sequence[Replica]
    reports: Sequence[LoadReport]


class Sampler:
    """Reads samples, and remembers the previous one for the rates."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._previous: Sample | None = None

    async def views(self) -> list[WorkloadView]:
        """All workloads now, by name."""
        sample = Sample(
            workloads=[entry.record for entry in await self._store.list(Workload)],
            protons=[entry.record for entry in await self._store.list(Proton)],
            scales=[entry.record for entry in await self._store.list(Scale)],
            replicas=[entry.record for entry in await self._store.list(Replica)],
            reports=await self._store.collect_reports(),
        )
        previous, self._previous = self._previous, sample
        return make_views(sample, previous)


def make_views(sample: Sample, previous: Sample | None) -> list[WorkloadView]:
    """Views of all workloads that are not deleted, sorted by name.

    Args:
        sample: Now.
        previous: Earlier, for the rates.
    """
    scales = {scale.id: scale for scale in sample.scales}
    protons = {proton.id: proton for proton in sample.protons}
    present = [workload for workload in sample.workloads if workload.deleted_at is None]
    return sorted(
        (
            _view(
                workload,
                proton=protons.get(workload.active_proton_id or ""),
                scale=scales.get(workload.active_proton_id or ""),
                replicas=[r for r in sample.replicas if r.workload_id == workload.id],
                loads=loads_of(sample.reports, workload.id),
                rate=rate_per_s(sample.reports, previous.reports, workload.id)
                if previous
                else None,
            )
            for workload in present
        ),
        key=lambda view: (view.name, view.id),
    )


def loads_of(reports: Iterable[LoadReport], workload_id: str) -> list[ProtonLoad]:
    """Counters of a workload over all workers and protons."""
    return [
        load
        for report in reports
        for load in report.protons.values()
        if load.workload_id == workload_id
    ]


def rate_per_s(
    now: Iterable[LoadReport], before: Iterable[LoadReport], workload_id: str
) -> float | None:
    """Requests started per second between two collections of reports.

    A worker's rate is a difference of its own cumulative counts over a difference of its own
    clock, so late and repeated reports do not distort it.

    Returns:
        The sum over all workers; None when no worker sent anything new in between.
    """
    earlier = {report.worker_id: report for report in before}
    rates = []
    for report in now:
        old = earlier.get(report.worker_id)
        if old is None or report.clock_s <= old.clock_s:
            continue
        started = sum(load.started for load in loads_of([report], workload_id))
        started -= sum(load.started for load in loads_of([old], workload_id))
        rates.append(started / (report.clock_s - old.clock_s))
    return sum(rates) if rates else None


def _view(
    workload: Workload,
    *,
    proton: Proton | None,
    scale: Scale | None,
    replicas: Sequence[Replica],
    loads: Sequence[ProtonLoad],
    rate: float | None,
) -> WorkloadView:
    own = [r for r in replicas if proton is not None and r.proton_id == proton.id]
    wanted = None if scale is None else scale.wanted_replicas
    return WorkloadView(
        id=workload.id,
        name=workload.name,
        state=proton_state(
            desired=proton.desired if proton else Desired.STOPPED,
            wanted_replicas=wanted,
            phases=[replica.shown_phase() for replica in own],
            errored=scale is not None and scale.errored,
            interrupted=scale is not None and scale.interrupted,
            role=proton.role if proton else ProtonRole.ACTIVE,
        ),
        rate_per_s=rate,
        started=sum(load.started for load in loads),
        finished=sum(sum(load.finished.values()) for load in loads),
        in_flight=sum(load.in_flight for load in loads),
        queued=sum(load.queued for load in loads),
        wanted=wanted,
        ready=sum(replica.phase is ReplicaPhase.READY for replica in replicas),
        replicas=len(replicas),
        reason="" if scale is None else scale.reason,
        message="" if scale is None else scale.message,
    )
