"""Weight steps of a candidate: how much traffic it may get, and whether it is worse.

Both protons are compared over the same time, from the gateways' own counters, so a slow hour or a
broken backend that both depend on does not count against the candidate.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from controlplane.model.histograms import quantile_s
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.workloads import WeightRule

NOISE_S: Final = 0.005
"""A response time that differs by less than this is not worse: schedulers do that."""


class Verdict(Enum):
    """What a comparison says."""

    TOO_FEW = "too_few"
    """Not enough requests to say anything."""
    FINE = "fine"
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and the numbers that it comes from."""

    verdict: Verdict
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What gateways counted for one proton over some time."""

    requests: int = 0
    failed: int = 0
    response_time: Mapping[int, int] = field(default_factory=dict)
    """Histogram of `controlplane.model.histograms`."""

    @property
    def error_rate(self) -> float:
        """Failed requests as a part of all, 0..1; 0 without any."""
        return self.failed / self.requests if self.requests else 0.0


def capped_share(percent: int, *, candidate_ready: int, active_ready: int) -> int:
    """The candidate's share of the traffic, percent.

    A share beyond its part of the ready replicas would overload it while the active proton's idle,
    so that is the most it gets. At least 1 % where it has any, since a step without traffic says
    nothing.

    Args:
        percent: What the step asks for.
        candidate_ready: The candidate's ready replicas.
        active_ready: The active proton's.
    """
    if not candidate_ready:
        return 0
    part = 100 * candidate_ready / (candidate_ready + active_ready)
    return max(1, min(percent, math.floor(part))) if active_ready else percent


class Tally:
    """What gateways have counted for one proton since a moment.

    A worker that has ended since, or is silent, counts with what it said last: what it saw of a
    candidate stays seen.
    """

    def __init__(self, proton_id: str, reports: Iterable[LoadReport]) -> None:
        self._proton_id = proton_id
        self._since = counters(proton_id, reports)
        self._last = dict(self._since)

    def read(self, reports: Iterable[LoadReport]) -> Reading:
        """All that came since, by what all gateway workers say now."""
        self._last |= counters(self._proton_id, reports)
        return reading(self._last, self._since)


def counters(proton_id: str, reports: Iterable[LoadReport]) -> dict[str, ProtonLoad]:
    """A proton's counters by worker; without the workers that counted nothing for it."""
    return {
        report.worker_id: load
        for report in reports
        if (load := report.protons.get(proton_id)) is not None
    }


def reading(now: Mapping[str, ProtonLoad], since: Mapping[str, ProtonLoad]) -> Reading:
    """What was counted for a proton since a moment.

    Failed is what the replica answered with a 5xx, and what the gateway refused for its sake.
    Aborted requests are the clients' doing and do not count at all.

    Args:
        now: By worker, the proton's counters.
        since: By worker, its counters at that moment; a worker that is not there began later, or
            had counted nothing for the proton.
    """
    requests = failed = 0
    histogram: dict[int, int] = {}
    for worker_id, load in now.items():
        before = since.get(worker_id, _NOTHING)
        ended = {name: n - before.finished.get(name, 0) for name, n in load.finished.items()}
        requests += sum(n for name, n in ended.items() if name != "aborted")
        failed += ended.get("5xx", 0) + ended.get("refused", 0)
        failed -= load.refused_user - before.refused_user
        for bucket, n in load.response_time.items():
            more = n - before.response_time.get(bucket, 0)
            if more:
                histogram[bucket] = histogram.get(bucket, 0) + more
    return Reading(requests=requests, failed=failed, response_time=histogram)


def judge(candidate: Reading, active: Reading, rule: WeightRule) -> Judgement:
    """Whether the candidate is worse than the active proton beyond the rule's margins.

    Response times are compared only where both have enough of them: at 99 % for the candidate the
    active proton may have none.
    """
    if candidate.requests < rule.min_requests:
        return Judgement(
            verdict=Verdict.TOO_FEW,
            note=f"{candidate.requests} of {rule.min_requests} requests that a judgement needs.",
        )
    note = (
        f"{candidate.error_rate:.2%} of {candidate.requests} requests failed, of the active"
        f" proton's {active.requests} {active.error_rate:.2%}"
    )
    if candidate.error_rate > active.error_rate + rule.error_rate_margin:
        margin = f"{rule.error_rate_margin:.2%}"
        return Judgement(
            verdict=Verdict.WORSE, note=f"{note}: more than the margin of {margin} apart."
        )
    if min(_count(candidate), _count(active)) < rule.min_requests:
        return Judgement(verdict=Verdict.FINE, note=f"{note}.")
    mine = quantile_s(candidate.response_time, rule.quantile) or 0.0
    other = quantile_s(active.response_time, rule.quantile) or 0.0
    note += (
        f"; {rule.quantile:.0%} of its responses took up to {mine * 1000:.3g} ms, of the active"
        f" proton's {other * 1000:.3g} ms"
    )
    if mine > max(other * (1 + rule.latency_margin), other + NOISE_S):
        margin = f"{rule.latency_margin:.0%}"
        return Judgement(
            verdict=Verdict.WORSE, note=f"{note}: more than the margin of {margin} apart."
        )
    return Judgement(verdict=Verdict.FINE, note=f"{note}.")


def _count(found: Reading) -> int:
    return sum(found.response_time.values())


_NOTHING: Final = ProtonLoad(workload_id="")
