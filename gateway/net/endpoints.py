"""What routes are made of: a replica's address, a proton, a workload.

A request reads one `WorkloadRoute`, which is never changed but replaced as a whole. What lives
longer than a route (an endpoint's slots and idle connections, a proton's queue and counters) are
objects that successive routes share.
"""

from typing import TYPE_CHECKING

from controlplane.model.states import EVERYBODY
from gateway.core.affinity import token_of
from gateway.core.answers import FORBIDDEN, FORBIDDEN_TOKEN, Answer
from gateway.core.fairness import WaitingRoom
from gateway.core.health import Health
from gateway.core.load import LoadMeter
from gateway.core.open_paths import REQUIRED, OpenPaths
from gateway.core.overload import UNLIMITED
from gateway.core.retries import RetryBudget
from gateway.net.callers import Identity
from gateway.net.policies import Policy

if TYPE_CHECKING:
    from gateway.net.flow import Exchange
    from gateway.net.upstream import UpstreamProtocol


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
        "share",
        "tls",
        "weight",
        "workload_id",
    )

    def __init__(self, proton_id: str, workload_id: str, *, now_s: float) -> None:
        self.id = proton_id
        self.workload_id = workload_id
        self.share = 0
        """Its weight as recorded."""
        self.weight = 0
        """The same, but 0 while it refuses: others of the workload serve in its place."""
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

    __slots__ = ("by_id", "id", "invokers", "open_paths", "protons")

    def __init__(
        self,
        workload_id: str,
        protons: tuple[ProtonRoute, ...],
        invokers: frozenset[str],
        open_paths: OpenPaths | None = None,
    ) -> None:
        self.id = workload_id
        self.protons = protons
        self.by_id = {proton.id.encode(): proton for proton in protons}
        self.invokers = invokers
        """Users, and perhaps `EVERYBODY`."""
        self.open_paths = open_paths
        """Which paths need no token; None: all need one."""

    def refusal(self, identity: Identity) -> Answer | None:
        """Why somebody may not invoke who is not simply among the invokers; None: they may."""
        if identity.limited and self.id not in identity.workload_ids:
            return FORBIDDEN_TOKEN
        invokers = self.invokers
        if identity.rules or identity.user_id in invokers or EVERYBODY in invokers:
            return None
        return FORBIDDEN

    def auth(self, path: bytes) -> str:
        """Whether a path needs a token: `core.open_paths`."""
        return REQUIRED if self.open_paths is None else self.open_paths.auth(path)


def close_idle(endpoint: Endpoint) -> None:
    """Close an endpoint's idle connections."""
    for upstream in endpoint.idle:
        upstream.abort()
    endpoint.idle.clear()
