"""Where requests may go: workloads, protons and endpoints, kept fresh by the store."""

from collections.abc import Callable

from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.states import INVOKING_ROLES, ROUTABLE, Desired, effective_roles
from controlplane.model.workloads import Deployment, Proton, Replica, Scale, Workload
from controlplane.store.watch import Change, Mirror
from gateway.core.answers import ERRORED, NO_ROUTE, STOPPED
from gateway.core.balancing import replica_limit, share_of_limit
from gateway.core.open_paths import open_paths
from gateway.core.overload import allowed
from gateway.net.callers import PEOPLE, Callers
from gateway.net.endpoints import Endpoint, ProtonRoute, WorkloadRoute, close_idle
from gateway.net.policies import Policies
from gateway.net.worker import Worker

KINDS: tuple[type[Record], ...] = (User, Token, Workload, Deployment, Proton, Replica, Scale)
"""What a gateway watches."""

_MAX_RETIRED = 1_000


class Routes:
    """All routes of one worker, built from the watched records.

    Cost of a change: the workload it belongs to, however many there are. `on_progress` is called
    for every proton that may now send or must now refuse what waits.
    """

    def __init__(self, worker: Worker, mirror: Mirror) -> None:
        self._worker = worker
        self._mirror = mirror
        self.workloads: dict[bytes, WorkloadRoute] = {}
        self.deployments: dict[bytes, bytes] = {}
        self.callers = Callers(worker, mirror)
        self.protons: dict[str, ProtonRoute] = {}
        self.retired: dict[str, ProtonRoute] = {}
        """Protons whose record is gone: their totals stay in the reports."""
        self._protons_of: dict[str, set[str]] = {}
        self._proton_of_replica: dict[str, str] = {}
        self.policies = Policies(worker.settings)
        self._gone: list[ProtonRoute] = []
        """Protons whose record is gone since the last refresh."""
        self._early: dict[str, dict[str, Replica]] = {}
        """Replicas that became known before their proton."""
        self.on_progress: Callable[[ProtonRoute], None] = _nothing

    @property
    def revision(self) -> int:
        """The store revision that these routes reflect."""
        return self._mirror.revision

    def load(self) -> None:
        """Build everything from the mirror, once at the start, then follow its changes."""
        changes = [
            Change(kind, record.id, record)
            for kind in KINDS
            for record in self._mirror.all(kind).values()
        ]
        self.apply(changes)
        self._mirror.subscribe(self.apply)

    def apply(self, changes: list[Change]) -> None:
        """Take a batch of changes over."""
        workloads: set[str] = set()
        protons: set[str] = set()
        for change in changes:
            cls, record = change.cls, change.record
            if cls is Workload:
                workloads.add(change.id)
            elif cls is Proton:
                workloads |= self._proton_changed(change.id, record)
                protons.add(change.id)
            elif cls is Replica:
                protons |= self._replica_changed(change.id, record)
            elif cls is Scale:
                protons.add(change.id)
            elif cls is Deployment:
                self._deployment_changed(change.id, record)
        if any(change.cls in PEOPLE for change in changes):
            self.callers.refresh()
        self._refresh(workloads, protons)

    def _refresh(self, workloads: set[str], protons: set[str]) -> None:
        for proton_id in protons:
            self._refresh_proton(proton_id)
        for workload_id in workloads:
            self._refresh_workload(workload_id)
        gone, self._gone = self._gone, []
        for proton in gone:
            self.on_progress(proton)
        for proton_id in protons:
            found = self.protons.get(proton_id)
            if found is not None:
                self.on_progress(found)

    def _deployment_changed(self, deployment_id: str, record: Record | None) -> None:
        key = deployment_id.encode()
        if isinstance(record, Deployment) and record.deleted_at is None:
            self.deployments[key] = record.workload_id.encode()
        else:
            self.deployments.pop(key, None)

    def _proton_changed(self, proton_id: str, record: Record | None) -> set[str]:
        known = self.protons.get(proton_id)
        if isinstance(record, Proton):
            if known is None:
                self.protons[proton_id] = ProtonRoute(
                    proton_id, record.workload_id, now_s=self._worker.monotonic()
                )
                self._protons_of.setdefault(record.workload_id, set()).add(proton_id)
                for replica in self._early.pop(proton_id, {}).values():
                    self._replica_changed(replica.id, replica)
            return {record.workload_id}
        if known is None:
            return set()
        # The record is gone; the counters stay while requests of it are under way.
        siblings = self._protons_of.get(known.workload_id, set())
        siblings.discard(proton_id)
        if not siblings:
            self._protons_of.pop(known.workload_id, None)
        known.refusal = NO_ROUTE
        known.weight = 0
        self._gone.append(known)
        del self.protons[proton_id]
        self._retire(known)
        for endpoint in known.endpoints.values():
            endpoint.routable = False  # connections in use are not kept after their exchange
            close_idle(endpoint)
        return {known.workload_id}

    def _retire(self, proton: ProtonRoute) -> None:
        self.retired[proton.id] = proton
        if len(self.retired) > _MAX_RETIRED:
            idle = (p.id for p in self.retired.values() if not p.meter.in_flight)
            oldest = next(idle, None)
            if oldest is not None:
                del self.retired[oldest]

    def _replica_gone(self, replica_id: str) -> set[str]:
        proton_id = self._proton_of_replica.pop(replica_id, None)
        if proton_id is None:
            return set()
        early = self._early.get(proton_id, {})
        early.pop(replica_id, None)
        if not early:
            self._early.pop(proton_id, None)
        proton = self.protons.get(proton_id)
        if proton is None or (endpoint := proton.endpoints.pop(replica_id, None)) is None:
            return set()
        endpoint.routable = False
        close_idle(endpoint)
        return {proton_id}

    def _replica_changed(self, replica_id: str, record: Record | None) -> set[str]:
        if not isinstance(record, Replica):
            return self._replica_gone(replica_id)
        self._proton_of_replica[replica_id] = record.proton_id
        proton = self.protons.get(record.proton_id)
        if proton is None:
            self._early.setdefault(record.proton_id, {})[replica_id] = record
            return set()
        if record.host is None or record.port is None:
            return set()
        endpoint = proton.endpoints.get(replica_id)
        if endpoint is None or (endpoint.host, endpoint.port) != (record.host, record.port):
            if endpoint is not None:
                endpoint.routable = False  # nobody may wait for an address that is gone
                close_idle(endpoint)
            endpoint = Endpoint(replica_id, record.host, record.port, limit=1, proton=proton)
            proton.endpoints[replica_id] = endpoint
        routable = record.phase in ROUTABLE
        if routable and not endpoint.routable:
            endpoint.forgive()
        endpoint.routable = routable
        if not routable:
            close_idle(endpoint)
        return {proton.id}

    def _refresh_proton(self, proton_id: str) -> None:
        proton = self.protons.get(proton_id)
        record = self._mirror.get(Proton, proton_id)
        if proton is None or record is None:
            return
        scale = self._mirror.get(Scale, proton_id)
        proton.share = record.weight
        proton.tls = record.spec.speaks_tls()
        proton.cold_start_p90_s = scale.cold_start_p90_s if scale is not None else None
        if record.desired is Desired.STOPPED:
            proton.refusal = STOPPED
        elif scale is not None and scale.errored:
            proton.refusal = ERRORED
        else:
            proton.refusal = None
        proton.weight = 0 if proton.refusal is not None else record.weight
        settings = self._worker.settings
        proton.exchanges_allowed = allowed(self._worker.max_exchanges, record.importance)
        proton.queued_bytes_allowed = allowed(settings.max_queued_bytes, record.importance)
        limit = share_of_limit(
            replica_limit(record.runtime.group(), default=settings.concurrency_limit),
            settings.worker_count,
        )
        for endpoint in proton.endpoints.values():
            endpoint.capacity = limit
            endpoint.settle()
        proton.refresh()

    def _refresh_workload(self, workload_id: str) -> None:
        key = workload_id.encode()
        record = self._mirror.get(Workload, workload_id)
        if record is None or record.deleted_at is not None:
            self.workloads.pop(key, None)
            self.policies.drop(workload_id)
            return
        protons = tuple(
            self.protons[proton_id] for proton_id in sorted(self._protons_of.get(workload_id, ()))
        )
        self.policies.apply(workload_id, record.traffic, protons)
        roles = effective_roles(record.roles, record.creator_id)
        invokers = frozenset(user for user, role in roles.items() if role in INVOKING_ROLES)
        self.workloads[key] = WorkloadRoute(
            workload_id, protons, invokers, open_paths([self._paths(p.id) for p in protons])
        )

    def _paths(self, proton_id: str) -> tuple[dict[str, str], ...]:
        """What a proton's primary container says of its paths."""
        record = self._mirror.get(Proton, proton_id)
        primary = None if record is None else record.spec.primary()
        return () if primary is None else primary.routes or ()


def _nothing(_proton: ProtonRoute) -> None:
    return None
