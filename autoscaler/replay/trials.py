"""Many runs over one trace, on all cores: for `tune`, and for comparisons.

A trial is plain data, so that it can go to another process; its result is the summary of
`report`. Every run has processes, service times and start-up times of the same seeds, so the
results do not depend on how many processes there are, or which one ran what.
"""

import os
import pickle
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from autoscaler.replay.chance import Service, parse_draw
from autoscaler.replay.contestants import ours
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.peers import PEERS, Terms
from autoscaler.replay.policy_file import policy_of
from autoscaler.replay.report import summary
from autoscaler.replay.scaler import Scaler
from autoscaler.replay.simulate import run
from autoscaler.replay.traces import Trace, with_service
from autoscaler.replay.world import World
from controlplane.model.sections import Settings

OURS: Final = "tidegate"

Result = dict[str, Any]
"""A run's `report.summary`, and `failed`, `wait_seconds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A trace that was read once, and what is around every scaler that meets it."""

    name: str
    at_s: "array[float]"
    service_s: "array[float]"
    duration_s: float | None = None
    tail_s: float = 0.0
    began_at: float = 0.0
    seed: int = 1
    workers: int = 1
    concurrency: int | None = None
    start_up: str = "5"
    """As `chance.parse_draw` reads it."""
    initial: int | None = None
    """Replicas ready at the beginning; None: the policy's minimum."""
    gpus: float = 0.0
    price_per_hour: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: a policy of ours, or a peer."""

    scaler: str
    policy: Mapping[str, Any] | None = None
    """Content of a policy file, for `OURS`."""
    terms: Terms | None = None
    """For a peer; its replicas take `terms.concurrency` requests at most."""


def read_bench(trace: Trace, service: Service, *, seed: int, **around: Any) -> Bench:  # noqa: ANN401
    """Read a trace into memory: 16 bytes per request.

    Args:
        trace: Read once.
        service: How long requests take.
        seed: Of all that is drawn.
        around: The other fields of `Bench`.

    Raises:
        ReplayError: The trace is wrong, or a service time is not known.
    """
    at_s, service_s = array("d"), array("d")
    for moment, took in with_service(trace.read(), service, seed=seed, name=trace.name):
        at_s.append(moment)
        service_s.append(took)
    return Bench(
        name=trace.name,
        at_s=at_s,
        service_s=service_s,
        duration_s=trace.duration_s,
        began_at=trace.began_at or 0.0,
        seed=seed,
        **around,
    )


def carry_out(bench: Bench, trial: Trial) -> Result:
    """One run.

    Raises:
        ReplayError: The policy is wrong, or looks at what a trace does not tell.
    """
    scaler, world = prepared(bench, trial)
    outcome = run(
        zip(bench.at_s, bench.service_s, strict=True),
        world,
        scaler,
        seed=bench.seed + 1,
        duration_s=bench.duration_s,
        tail_s=bench.tail_s,
    )
    found = summary(outcome, world)
    return found | {"failed": outcome.failed, "wait_seconds": outcome.wait_seconds}


def prepared(bench: Bench, trial: Trial) -> tuple[Scaler, World]:
    """The scaler of a trial, and the world it meets.

    Raises:
        ReplayError: The policy is wrong.
    """
    around: dict[str, Any] = {
        "workers": bench.workers,
        "concurrency": bench.concurrency,
        "start_up": parse_draw(bench.start_up, name="--start-up"),
        "gpus": bench.gpus,
        "price_per_hour": bench.price_per_hour,
    }
    scaler: Scaler
    if trial.terms is not None:
        settings = Settings()
        scaler = PEERS[trial.scaler](trial.terms)
        least, limit = trial.terms.min_replicas, max(1, round(trial.terms.concurrency))
    else:
        policy = policy_of(trial.policy, name="policy")
        settings = policy.settings
        scaler = ours(policy, began_at=bench.began_at, concurrency=bench.concurrency)
        least, limit = policy.autoscaling.min_replicas, policy.replica_limit
    return scaler, World(
        replica_limit=limit,
        queue_limit=settings.gateway.queue_limit,
        hold_timeout_s=settings.gateway.cold_start_timeout_s,
        drain_timeout_s=settings.autoscaler.drain_timeout_s,
        initial=least if bench.initial is None else bench.initial,
        **around,
    )


def carry_out_all(
    bench: Bench,
    trials: Sequence[Trial],
    *,
    jobs: int | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> list[Result]:
    """All runs, in the order of the trials.

    Args:
        bench: The trace and its world; goes to every process once.
        trials: What to run.
        jobs: Processes at a time; None: one per core; 1: all in this process.
        on_done: Called after each run.

    Raises:
        ReplayError: A policy is wrong, or a process died.
    """
    jobs = min(len(trials), jobs or len(os.sched_getaffinity(0)))
    if jobs <= 1:
        results = []
        for trial in trials:
            results.append(carry_out(bench, trial))
            on_done()
        return results
    with TemporaryDirectory(prefix="tidegate-trials-") as directory:
        # By a file: a process that dies at its start would never read it from a pipe, and we would
        # wait for that for ever.
        path = Path(directory, "bench")
        path.write_bytes(pickle.dumps(bench))
        return _spread(path, trials, jobs, on_done)


def _spread(
    path: Path, trials: Sequence[Trial], jobs: int, on_done: Callable[[], None]
) -> list[Result]:
    # Not forked: a progress bar draws in a thread of its own.
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(path,)
    ) as pool:
        futures = [pool.submit(_carry_out, trial) for trial in trials]
        try:
            for future in as_completed(futures):
                future.result()
                on_done()
        except BrokenProcessPool as exc:
            raise ReplayError("a process that carries out runs has died") from exc
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


_bench: Bench | None = None
"""Of a process that carries out trials."""


def _begin(path: Path) -> None:
    global _bench  # noqa: PLW0603 - how `ProcessPoolExecutor` hands over what all runs need
    _bench = pickle.loads(path.read_bytes())  # noqa: S301 - our own, just written


def _carry_out(trial: Trial) -> Result:
    assert _bench is not None  # noqa: S101 - `_begin` ran first
    return carry_out(_bench, trial)
