"""Interleaved rounds over all proxies, and what they come to.

A shared machine drifts; every round therefore measures every proxy, each time another one first,
and only medians of the rounds are compared.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from loadtests.overhead.cases import Case
from loadtests.overhead.children import BenchError, Cores
from loadtests.overhead.load import Aim
from loadtests.overhead.target import Job, Target, wait_ready


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
    """One proxy in one round. "One" is what the case counts: a request, an event, ..."""

    count: int
    per_second: float
    cpu_us: float
    """CPU time of the proxy for one, user and system, microseconds."""
    user_us: float
    system_us: float
    busy_ratio: float
    """Share of its core that the proxy used; near 1 it was the bottleneck."""
    p50_ms: float
    p99_ms: float
    rss_bytes: int
    """Resident memory of the proxy at the end of the load, its connections still open."""
    growth_bytes: float
    """How much more that is for one than before the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One proxy over all rounds of one case."""

    name: str
    version: str
    rounds: tuple[Round, ...]

    def spread(self, field: str) -> Spread:
        """Median and range of one field of the rounds."""
        return Spread.of([getattr(r, field) for r in self.rounds])

    def as_json(self) -> dict[str, object]:
        """Summaries and the rounds themselves, as plain values."""
        return {
            "name": self.name,
            "version": self.version,
            "count": sum(r.count for r in self.rounds),
            **{field: asdict(self.spread(field)) for field in SUMMARISED},
            "rounds": [{k: round(v, 3) for k, v in asdict(r).items()} for r in self.rounds],
        }


SUMMARISED: Final = (
    *("cpu_us", "user_us", "system_us", "busy_ratio"),
    *("per_second", "p50_ms", "p99_ms", "rss_bytes", "growth_bytes"),
)


def measure(target: Target, case: Case, job: Job, *, seconds: int, cores: Cores) -> Round:
    """One run of load against one proxy, with its CPU time from the kernel's accounting.

    Raises:
        BenchError: The proxy ended, or anything was not answered well.
    """
    if case.fresh:
        target.process.restart()
        wait_ready(target, job)
    route = getattr(job, case.route)
    aim = Aim(url=target.url(route, case.path), token=job.token, core=cores.load)
    process = target.process
    with case.load.ready(aim, seconds=seconds) as send:
        rss_before, before = process.rss_bytes(), process.cpu()
        load = send()
        spent, rss_after = process.cpu().since(before), process.rss_bytes()
    process.check()
    return Round(
        count=load.count,
        per_second=load.per_second,
        cpu_us=1e6 * spent.total_s / load.count,
        user_us=1e6 * spent.user_s / load.count,
        system_us=1e6 * spent.system_s / load.count,
        busy_ratio=spent.total_s / load.duration_s,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        rss_bytes=rss_after,
        growth_bytes=(rss_after - rss_before) / load.count,
    )


def run_rounds(
    targets: Sequence[Target],
    measure_one: Callable[[Target], Round],
    *,
    rounds: int,
    say: Callable[[str], None],
) -> list[Result]:
    """Measure every target once per round, starting with another one each time."""
    found: dict[str, list[Round]] = {target.name: [] for target in targets}
    for index in range(rounds):
        first = index % len(targets)
        for target in [*targets[first:], *targets[:first]]:
            result = measure_one(target)
            found[target.name].append(result)
            say(
                f"round {index + 1}/{rounds}  {target.name:<11} {result.cpu_us:6.1f} us "
                f"({result.user_us:.1f} user + {result.system_us:.1f} system)  "
                f"{result.per_second:,.0f} per second  core {result.busy_ratio:.0%} busy"
            )
    return [Result(name=t.name, version=t.version, rounds=tuple(found[t.name])) for t in targets]


def ratios(results: Sequence[Result], *, ours: str, field: str = "cpu_us") -> dict[str, Spread]:
    """What one costs us over what it costs each peer.

    Taken within each round, where both met the same neighbours on the machine; then the median
    of the rounds.

    Raises:
        BenchError: Ours was not measured.
    """
    mine = next((result for result in results if result.name == ours), None)
    if mine is None:
        raise BenchError(f"{ours} was not measured")
    return {
        result.name: Spread.of(
            [
                getattr(a, field) / getattr(b, field)
                for a, b in zip(mine.rounds, result.rounds, strict=True)
            ]
        )
        for result in results
        if result.name != ours
    }
