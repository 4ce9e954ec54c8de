"""One run of the benchmark: starts everything, measures the chosen cases, stops everything."""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.overhead.cases import BY_NAME, MAIN, Case, fitted
from loadtests.overhead.children import BenchError, Cores, allow_many_files, choose_cores, tool
from loadtests.overhead.load import Aim
from loadtests.overhead.machine import machine, our_versions
from loadtests.overhead.ours import NAME, Installation, deployed
from loadtests.overhead.peers import Peer, start_peer
from loadtests.overhead.rounds import Result, measure, ratios, run_rounds
from loadtests.overhead.target import Job, Target

WARM_UP_S: Final = 1
"""Load before the first round: connections to the application, caches, branch predictors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure."""

    cases: Sequence[Case]
    peers: Sequence[Peer]
    rounds: int
    seconds: int | None = None
    """Of load per proxy and round; None: what each case says."""

    def seconds_of(self, case: Case) -> int:
        """Of load per proxy and round."""
        return self.seconds or case.seconds


def run(plan: Plan, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Start everything, measure, stop everything.

    Raises:
        BenchError: A tool is missing, something did not start, or a request failed.
    """
    if tool("wrk") is None:
        raise BenchError("needs wrk: apt-get install wrk")
    found = {peer.name: path for peer in plan.peers if (path := peer.binary()) is not None}
    files = allow_many_files()
    cases = [fitted(case, files=files) for case in plan.cases]
    cores = choose_cores()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-")))
        ours, job, installation = stack.enter_context(deployed(directory, cores))
        targets = [ours]
        for peer in plan.peers:
            if peer.name in found:
                targets.append(
                    start_peer(peer, found[peer.name], job, core=cores.proxy, directory=directory)
                )
                stack.callback(targets[-1].process.stop)
        for target in targets:
            say(f"ready: {target.name} {target.version}")
        measured = [
            _measure_case(
                case,
                _taking_part(case, targets, plan.peers),
                job=job,
                plan=plan,
                cores=cores,
                say=say,
            )
            for case in cases
        ]
        beside = _beside(installation, ours, job, cores)
        direct = _direct(job, cores)
    main = [case["ratio"] for case in measured if case["name"] == MAIN]
    against = main[0] if main else {}
    return {
        "machine": machine(),
        "versions": our_versions() | {t.name: t.version for t in targets if t.name != NAME},
        "missing": {p.name: p.install for p in plan.peers if p.name not in found},
        "notes": [p.note for p in plan.peers if p.note and p.name in found],
        "rounds": plan.rounds,
        "direct_per_second": direct,
        "beside": beside,
        "cases": measured,
        "ratio": {name: spread["median"] for name, spread in against.items()},
    }


def _taking_part(case: Case, targets: Sequence[Target], peers: Sequence[Peer]) -> Sequence[Target]:
    elsewhere = {peer.name for peer in peers if peer.main_case_only and case.name != MAIN}
    return [target for target in targets if target.name not in elsewhere]


def _measure_case(
    case: Case,
    targets: Sequence[Target],
    *,
    job: Job,
    plan: Plan,
    cores: Cores,
    say: Callable[[str], None],
) -> dict[str, Any]:
    seconds = plan.seconds_of(case)
    say(f"\n{case.name}: {case.title}")
    if case.name == MAIN:
        for target in targets:
            measure(target, case, job, seconds=WARM_UP_S, cores=cores)
    results = run_rounds(
        targets,
        lambda target: measure(target, case, job, seconds=seconds, cores=cores),
        rounds=plan.rounds,
        say=say,
    )
    return case_json(case, results, seconds=seconds)


def case_json(case: Case, results: Sequence[Result], *, seconds: int) -> dict[str, Any]:
    """A measured case as plain values, with our ratios to every peer."""
    return {
        "name": case.name,
        "label": case.label,
        "title": case.title,
        "unit": case.unit,
        "memory": case.memory,
        "seconds": seconds,
        "results": [result.as_json() for result in results],
        "ratio": {name: asdict(spread) for name, spread in ratios(results, ours=NAME).items()},
    }


def _beside(installation: Installation, ours: Target, job: Job, cores: Cores) -> dict[str, float]:
    """What the rest of the installation spends while the worker is under load."""
    before = installation.cpu_beside()
    found = measure(ours, BY_NAME[MAIN], job, seconds=WARM_UP_S, cores=cores)
    spent = installation.cpu_beside().since(before)
    return {
        "cpu_us": round(1e6 * spent.total_s / found.count, 3),
        "rss_bytes": installation.rss_beside_bytes(),
    }


def _direct(job: Job, cores: Cores) -> int:
    """Small requests per second without any proxy."""
    aim = Aim(url=f"http://127.0.0.1:{job.static.port}/predict", token=job.token, core=cores.load)
    with BY_NAME[MAIN].load.ready(aim, seconds=WARM_UP_S) as send:
        return round(send().per_second)
