"""What the traffic settings of one workload mean in this worker; lives as long as they say it."""

from typing import TYPE_CHECKING

from controlplane.model.sections import GatewaySettings
from controlplane.model.traffic import Traffic
from gateway.core.quotas import QuotaBook
from gateway.net.sessions import Sessions

if TYPE_CHECKING:
    from gateway.net.routes import ProtonRoute


class Policy:
    """Quotas and sessions of one workload. Most workloads have neither, and no policy."""

    __slots__ = ("book", "protons", "sessions")

    def __init__(self) -> None:
        self.book: QuotaBook | None = None
        """Usage by caller; None: no quota."""
        self.sessions: Sessions | None = None
        """None: no affinity."""
        self.protons: tuple[ProtonRoute, ...] = ()
        """All of the workload."""

    def change(self, traffic: Traffic, *, workers: int) -> bool:
        """Take settings over. Usage and sessions are kept where they still mean something.

        Returns:
            Whether any policy is left.
        """
        quota = traffic.quota
        if quota is None:
            self.book = None
        elif self.book is None:
            self.book = QuotaBook(quota, workers=workers)
        else:
            self.book.change(quota, workers=workers)
        rule = traffic.affinity
        if rule is None:
            self.sessions = None
        elif self.sessions is None or self.sessions.rule != rule:
            self.sessions = Sessions(rule)
        return self.book is not None or self.sessions is not None


class Policies:
    """Policies of all workloads that have one."""

    __slots__ = ("_policies", "_settings")

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._policies: dict[str, Policy] = {}

    def apply(self, workload_id: str, traffic: Traffic, protons: "tuple[ProtonRoute, ...]") -> None:
        """Traffic settings as they are now, from the next request on."""
        settings = self._settings
        policy: Policy | None = self._policies.get(workload_id)
        made = Policy() if policy is None else policy
        if made.change(traffic, workers=settings.worker_count):
            policy = self._policies[workload_id] = made
            policy.protons = protons
        else:
            policy = None
            self.drop(workload_id)
        for proton in protons:
            proton.policy = policy
            proton.max_body_bytes = traffic.max_body_bytes or settings.max_body_bytes
            proton.request_timeout_s = traffic.request_timeout_s or settings.request_timeout_s

    def drop(self, workload_id: str) -> None:
        """The workload is gone, or has no policy any more."""
        self._policies.pop(workload_id, None)
