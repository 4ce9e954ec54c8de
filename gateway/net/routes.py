"""Where requests may go: workloads, protons and endpoints, kept fresh by the store.

A request reads one `WorkloadRoute`, which is never changed but replaced as a whole. What lives
longer than a route (an endpoint's slots and idle connections, a proton's queue and counters) are
objects that successive routes share.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.states import INVOKING_ROLES, ROUTABLE, Desired
from controlplane.model.workloads import Deployment, Proton, Replica, Scale, Workload
from controlplane.store.watch import Change, Mirror
from gateway.core.affinity import token_of
from gateway.core.answers import ERRORED, NO_ROUTE, STOPPED, Answer
from gateway.core.balancing import replica_limit, share_of_limit
from gateway.core.fairness import WaitingRoom
from gateway.core.health import Health
from gateway.core.load import LoadMeter
from gateway.core.overload import UNLIMITED, allowed
from gateway.core.retries import RetryBudget
from gateway.net.callers import PEOPLE, Callers
from gateway.net.policies import Policies, Policy
from gateway.net.worker import Worker

if TYPE_CHECKING:
    from gateway.net.flow import Exchange
    from gateway.net.upstream import UpstreamProtocol

KINDS: tuple[type[Record], ...] = (User, Token, Workload, Deployment, Proton, Replica, Scale)
"""What a gateway watches."""

_MAX_RETIRED = 1_000


class Endpoint:
    """A replica's address, its slots and its idle connections, in this worker."""

    __slots__ = (
        "capacity",
        "failures",
        "health",
        "host",
        "idle",
        "in_flight",
        "limit",
        "port",
        "proton",
        "replica_id",
        "routable",
        "strikes",
        "token",
        "troubled",
    )

    def __init__(
        self, replica_id: str, host: str, port: int, *, limit: int, proton: "ProtonRoute"
    ) -> None:
        self.replica_id = replica_id
        self.token = token_of(replica_id)
        """What stands for it in session cookies and headers."""
        self.proton = proton
        self.host = host
        self.port = port
        self.capacity = limit
        """Most requests at once when it is well."""
        self.limit = limit
        """Most requests at once now."""
        self.in_flight = 0
        self.routable = False
        self.health = Health.READY
        self.failures = 0
        """Ejections since it last answered."""
        self.strikes = 0
        self.troubled = False
        """Not well, or with strikes: its next answer is news."""
        self.idle: list[UpstreamProtocol] = []

    def settle(self) -> None:
        """Recompute `limit`: on probation one request at a time tells enough."""
        self.limit = min(1, self.capacity) if self.health is Health.PROBATION else self.capacity

    def forgive(self) -> None:
        """It is another life of the replica: what was held against it does not count."""
        self.health = Health.READY
        self.failures = 0
        self.strikes = 0
        self.troubled = False
        self.settle()


class ProtonRoute:
    """One proton: its ready endpoints, its queue, its counters."""

    __slots__ = (
        "budget",
        "by_token",
        "cold_start_p90_s",
        "endpoints",
        "exchanges_allowed",
        "id",
        "max_body_bytes",
        "meter",
        "policy",
        "queued_bytes_allowed",
        "ready",
        "refusal",
        "request_timeout_s",
        "room",
        "tls",
        "weight",
        "workload_id",
    )

    def __init__(self, proton_id: str, workload_id: str, *, now_s: float) -> None:
        self.id = proton_id
        self.workload_id = workload_id
        self.weight = 0
        self.endpoints: dict[str, Endpoint] = {}
        self.ready: tuple[Endpoint, ...] = ()
        """Routable and not ejected."""
        self.by_token: dict[bytes, Endpoint] = {}
        """The same, by what sessions call them."""
        self.room: WaitingRoom[Exchange, Endpoint] = WaitingRoom()
        """Those that wait for a slot; callers take turns."""
        self.meter = LoadMeter(workload_id, now_s=now_s)
        self.budget: RetryBudget | None = None
        """How many repeats its traffic may cause; made with the first."""
        self.refusal: Answer | None = None
        """Why requests are refused at once: stopped or errored."""
        self.cold_start_p90_s: float | None = None
        self.tls = False
        """Its replicas' port speaks TLS."""
        self.policy: Policy | None = None
        """Quotas and affinity of the workload; most have neither."""
        self.max_body_bytes = 0
        """Largest request body; 0: no limit."""
        self.request_timeout_s = 0.0
        """Longest time of a request, not of a tunnel; 0: no limit."""
        self.exchanges_allowed = UNLIMITED
        """With more live exchanges than this in the worker, requests of this importance go."""
        self.queued_bytes_allowed = UNLIMITED
        """The same for the memory of requests that wait."""

    def refresh(self) -> None:
        """Recompute `ready` from the endpoints."""
        self.ready = tuple(
            e for e in self.endpoints.values() if e.routable and e.health is not Health.EJECTED
        )
        self.by_token = {endpoint.token: endpoint for endpoint in self.ready}


class WorkloadRoute:
    """One workload as requests see it. Immutable: changes make a new one."""

    __slots__ = ("by_id", "id", "invokers", "protons")

    def __init__(
        self, workload_id: str, protons: tuple[ProtonRoute, ...], invokers: frozenset[str]
    ) -> None:
        self.id = workload_id
        self.protons = protons
        self.by_id = {proton.id.encode(): proton for proton in protons}
        self.invokers = invokers


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
        for proton_id in protons:
            proton = self.protons.get(proton_id)
            if proton is not None:
                self.on_progress(proton)

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
        self.on_progress(known)
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
        proton.weight = record.weight
        proton.tls = record.spec.speaks_tls()
        proton.cold_start_p90_s = scale.cold_start_p90_s if scale is not None else None
        if record.desired is Desired.STOPPED:
            proton.refusal = STOPPED
        elif scale is not None and scale.errored:
            proton.refusal = ERRORED
        else:
            proton.refusal = None
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
        invokers = {user for user, role in record.roles.items() if role in INVOKING_ROLES}
        self.workloads[key] = WorkloadRoute(
            workload_id, protons, frozenset(invokers | {record.creator_id})
        )


def close_idle(endpoint: Endpoint) -> None:
    """Close an endpoint's idle connections."""
    for upstream in endpoint.idle:
        upstream.abort()
    endpoint.idle.clear()


def _nothing(_proton: ProtonRoute) -> None:
    return None
