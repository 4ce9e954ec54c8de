"""One size measured: rounds of the real decision loop over many busy protons."""

import asyncio
import gc
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import autoscaler.loop
from autoscaler.leadership import Leadership
from autoscaler.loop import DecisionLoop
from autoscaler.news import News
from autoscaler.reconcilers.base import Reconciler
from autoscaler.telemetry import Telemetry
from controlplane.model.sections import AutoscalerSettings
from controlplane.store.client import Store
from controlplane.store.ids import ObjectIds
from controlplane.store.watch import Mirror
from loadtests.overhead.machine import machine, our_versions
from loadtests.tick.world import (
    BenchLeadership,
    BenchMirror,
    BenchReconciler,
    BenchStore,
    Traffic,
    protons,
)

WARM_ROUNDS: Final = 65
"""Until the stable window of 60 s is full, and with it the memory."""
PATIENT_UP_TO: Final = 20_000
"""Of more workloads than this only as many rounds are run as with `quick`: writing the reports of
100,000 takes longer than deciding."""
QUICK_WARM_ROUNDS: Final = 10
ROUNDS: Final = 15
QUICK_ROUNDS: Final = 5

Say = Callable[[str], None]


async def measure(workloads: int, gateways: int, *, quick: bool, say: Say) -> dict[str, Any]:
    """Run rounds and say what one costs.

    Args:
        workloads: How many, each with one proton, all busy.
        gateways: Workers that report on each of them.
        quick: A few rounds only; the windows are not full then, and memory is less.
        say: Where to tell the progress.
    """
    held = protons(workloads)
    traffic = Traffic(workloads, gateways)
    leadership = BenchLeadership()
    settings = AutoscalerSettings()
    began_s, second_s, monotonic = time.monotonic(), 0.0, time.monotonic

    def clock() -> float:
        # The world's seconds, and within one of them real time: it cuts the slices.
        return second_s + min(0.9, monotonic() - began_s)

    loop = DecisionLoop(
        cast(Store, BenchStore(traffic)),
        cast(Mirror, BenchMirror(held)),
        leadership=cast(Leadership, leadership),
        reconciler=cast(Reconciler, BenchReconciler(held)),
        news=News(),
        settings=settings,
        telemetry=Telemetry(flap_window_s=settings.stable_window_s),
        new_id=ObjectIds().new,
        clock=clock,
        wall=lambda: 1_700_000_000.0 + traffic.now_s,
    )
    quick = quick or workloads > PATIENT_UP_TO
    warm, rounds = (QUICK_WARM_ROUNDS, QUICK_ROUNDS) if quick else (WARM_ROUNDS, ROUNDS)
    costs_s: list[float] = []
    entries = 0
    for number in range(warm + rounds):
        traffic.tick()
        second_s = traffic.now_s
        if number == warm:
            gc.collect()
            entries = leadership.entries
        began_s, cpu_s, spent_s = time.monotonic(), time.process_time(), traffic.spent_s
        await loop.round()
        await loop.writer.write_all()
        cost_s = time.process_time() - cpu_s - (traffic.spent_s - spent_s)
        if number >= warm:
            costs_s.append(cost_s)
        if number % 10 == 0:
            say(f"{workloads} x {gateways}: round {number + 1} of {warm + rounds}, {cost_s:.3f} s")
    gc.collect()
    return {
        "workloads": workloads,
        "gateways": gateways,
        "seconds_per_tick": round(statistics.median(costs_s), 5),
        "slowest_s": round(max(costs_s), 5),
        "quickest_s": round(min(costs_s), 5),
        "microseconds_per_workload": round(1e6 * statistics.median(costs_s) / workloads, 2),
        "rss_bytes": _rss_bytes(),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rounds": rounds,
        "warm_rounds": warm,
        "journal_entries_per_round": (leadership.entries - entries) / rounds,
        "compiled": "_native" in str(autoscaler.loop.__file__),
        "machine": machine(),
        "versions": our_versions(),
    }


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def run(workloads: int, gateways: int, *, quick: bool, say: Say) -> dict[str, Any]:
    """`measure`, with an event loop of its own."""
    return asyncio.run(measure(workloads, gateways, quick=quick, say=say))
