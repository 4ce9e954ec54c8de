"""Interleaved rounds over all proxies, and what they come to.

A shared machine drifts; every round therefore measures every proxy, each time another one first,
and only medians of the rounds are compared.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from loadtests.overhead.children import BenchError, Cores
from loadtests.overhead.load import run_wrk
from loadtests.overhead.peers import Target

CONNECTIONS = 64
"""Keep-alive connections; also the most requests in flight (closed loop)."""

WARM_UP_S = 1
"""Load before the first round: connections to the application, caches, branch predictors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median and the range that it is the middle of."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise the rounds' values."""
        return cls(
            median=round(statistics.median(values), 3),
            low=round(min(values), 3),
            high=round(max(values), 3),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One proxy in one round."""

    requests: int
    per_second: float
    cpu_us: float
    """CPU time of the proxy per request, user and system, microseconds."""
    user_us: float
    system_us: float
    busy_ratio: float
    """Share of its core that the proxy used; near 1 it was the bottleneck."""
    p50_ms: float
    p99_ms: float
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One proxy over all rounds."""

    name: str
    version: str
    rounds: tuple[Round, ...]

    def spread(self, field: str) -> Spread:
        """Median and range of one field of the rounds."""
        return Spread.of([getattr(r, field) for r in self.rounds])

    def as_json(self) -> dict[str, object]:
        """Summaries and the rounds themselves, as plain values."""
        summaries = {field: asdict(self.spread(field)) for field in SUMMARISED}
        return {
            "name": self.name,
            "version": self.version,
            "requests": sum(r.requests for r in self.rounds),
            "rss_bytes": max(r.rss_bytes for r in self.rounds),
            **summaries,
            "rounds": [asdict(r) for r in self.rounds],
        }


SUMMARISED: Final = (
    *("cpu_us", "user_us", "system_us", "busy_ratio"),
    *("per_second", "p50_ms", "p99_ms"),
)


def measure(
    target: Target, *, wrk: str, token: str, seconds: int, cores: Cores, varied: bool = False
) -> Round:
    """One run of load against one proxy, with its CPU time from the kernel's accounting.

    Raises:
        BenchError: The proxy ended, or anything was not answered well.
    """
    before = target.child.cpu()
    load = run_wrk(
        wrk,
        target.url,
        token=token,
        connections=CONNECTIONS,
        varied=varied,
        seconds=seconds,
        core=cores.load,
    )
    spent = target.child.cpu().since(before)
    return Round(
        requests=load.requests,
        per_second=load.per_second,
        cpu_us=1e6 * spent.total_s / load.requests,
        user_us=1e6 * spent.user_s / load.requests,
        system_us=1e6 * spent.system_s / load.requests,
        busy_ratio=spent.total_s / load.duration_s,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        rss_bytes=target.child.rss_bytes(),
    )


def run_rounds(
    targets: Sequence[Target],
    measure_one: Callable[[Target], Round],
    *,
    rounds: int,
    say: Callable[[str], None],
) -> list[CaseResult]:
    """Measure every target once per round, starting with another one each time."""
    found: dict[str, list[Round]] = {target.name: [] for target in targets}
    for index in range(rounds):
        first = index % len(targets)
        for target in [*targets[first:], *targets[:first]]:
            result = measure_one(target)
            found[target.name].append(result)
            say(
                f"round {index + 1}/{rounds}  {target.name:<11} {result.cpu_us:6.1f} us/request "
                f"({result.user_us:.1f} user + {result.system_us:.1f} system)  "
                f"{result.per_second:,.0f} requests/s  core {result.busy_ratio:.0%} busy"
            )
    return [
        CaseResult(name=t.name, version=t.version, rounds=tuple(found[t.name])) for t in targets
    ]


def ratios(cases: Sequence[CaseResult], *, ours: str) -> dict[str, Spread]:
    """CPU time per request of ours over each peer's.

    Taken within each round, where both met the same neighbours on the machine; then the median
    of the rounds.

    Raises:
        BenchError: Ours was not measured.
    """
    mine = next((case for case in cases if case.name == ours), None)
    if mine is None:
        raise BenchError(f"{ours} was not measured")
    return {
        case.name: Spread.of(
            [a.cpu_us / b.cpu_us for a, b in zip(mine.rounds, case.rounds, strict=True)]
        )
        for case in cases
        if case.name != ours
    }
