"""What the traffic settings of one workload mean in this worker; lives as long as they say it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from controlplane.model.sections import GatewaySettings
from controlplane.model.traffic import Traffic
from gateway.core.quotas import QuotaBook
from gateway.net.sessions import Sessions

if TYPE_CHECKING:
    from gateway.net.endpoints import ProtonRoute


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

    def change(self, traffic: Traffic, *, on_news: Callable[[], None]) -> bool:
        """Take settings over. Usage and sessions are kept where they still mean something.

        Returns:
            Whether any policy is left.
        """
        quota = traffic.quota
        if quota is None:
            self.book = None
        elif self.book is None:
            self.book = QuotaBook(quota, on_news=on_news)
        else:
            self.book.quota = quota
        rule = traffic.affinity
        if rule is None:
            self.sessions = None
        elif self.sessions is None or self.sessions.rule != rule:
            self.sessions = Sessions(rule)
        return self.book is not None or self.sessions is not None


class Policies:
    """Policies of all workloads that have one."""

    __slots__ = ("_policies", "_settings", "on_news")

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._policies: dict[str, Policy] = {}
        self.on_news: Callable[[], None] = _nothing
        """Called when other workers are to be told of usage."""

    def books(self) -> Iterator[tuple[str, QuotaBook]]:
        """Usage of all workloads with a quota, by workload id."""
        for workload_id, policy in self._policies.items():
            if policy.book is not None:
                yield workload_id, policy.book

    def book(self, workload_id: str) -> QuotaBook | None:
        """Usage of one workload; None where it has no quota."""
        policy = self._policies.get(workload_id)
        return None if policy is None else policy.book

    def _news(self) -> None:
        self.on_news()

    def apply(self, workload_id: str, traffic: Traffic, protons: "tuple[ProtonRoute, ...]") -> None:
        """Traffic settings as they are now, from the next request on."""
        settings = self._settings
        policy: Policy | None = self._policies.get(workload_id)
        made = Policy() if policy is None else policy
        if made.change(traffic, on_news=self._news):
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


def _nothing() -> None:
    return None
