"""What the platform itself knows of a workload, as values of metrics."""

import asyncio
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import psutil

from controlplane.api.services import Services
from controlplane.model.workloads import Replica, Scale, Workload
from controlplane.telemetry.queries import Window
from controlplane.wire.otel import MetricValueFormatted

HOUR_S: Final = 3600
"""How far back requests are counted by the minute."""
_SAMPLE_S: Final = 0.1
"""CPU use is measured over this."""
_HERE: Final = frozenset({"localhost", socket.gethostname()})


async def platform_values(
    services: Services, workload: Workload, window: Window, *, now_s: float
) -> list[MetricValueFormatted]:
    """Requests, load, replicas, CPU and memory, over all protons.

    Args:
        services: The process's.
        workload: Whose.
        window: Requests are counted in it, as far as it is in the last hour.
        now_s: Epoch seconds.
    """
    protons = list(services.protons[workload.id])
    started, minutes = await _requests(services, protons, window, now_s=now_s)
    in_flight, queued = await _load(services, protons)
    replicas = [r for proton in protons for r in services.replicas[proton].values()]
    scales = [s for proton in protons if (s := services.mirror.get(Scale, proton)) is not None]
    ready = sum(scale.ready_replicas for scale in scales)
    wanted = sum(scale.wanted_replicas for scale in scales)
    cores, memory_bytes = await asyncio.to_thread(_usage, _local(replicas))
    return [
        _value("requests.total", "Requests", "count", "sum", started),
        _value("requests.perMinute", "Requests per minute", "count", "average", started / minutes),
        _value("requests.inFlight", "Requests with replicas", "count", "current", in_flight),
        _value("requests.queued", "Requests waiting", "count", "current", queued),
        _value("replicas.ready", "Ready replicas", "count", "current", ready),
        _value("replicas.wanted", "Wanted replicas", "count", "current", wanted),
        _value("cpu.usage", "CPU", "nanocores", "sum", None if cores is None else cores * 1e9),
        _value("memory.usage", "Memory", "bytes", "sum", memory_bytes),
    ]


def _value(
    name: str, shown: str, unit: str, aggregation: str, value: float | None
) -> MetricValueFormatted:
    return MetricValueFormatted(
        otel_name=name,
        display_name=shown,
        aggregation=aggregation,
        unit=unit,
        aggregated_value=value,
        current_value=value,
        buckets=None,
    )


async def _requests(
    services: Services, protons: Iterable[str], window: Window, *, now_s: float
) -> tuple[int, float]:
    """Requests started in the window, and how many minutes of it are known."""
    start_s = max((window.start_ns or 0) / 1e9, now_s - HOUR_S)
    end_s = min((window.end_ns or 0) / 1e9, now_s)
    count = 0
    for proton in protons:
        buckets = await services.store.hourly_buckets(proton, now_s=now_s)
        count += sum(n for minute, n in buckets.items() if start_s - 60 < minute * 60 < end_s)
    return count, max((end_s - start_s) / 60, 1.0)


async def _load(services: Services, protons: Iterable[str]) -> tuple[int, int]:
    """Requests in flight and queued, by the gateways' last reports."""
    in_flight = queued = 0
    for report in await services.store.collect_reports():
        for proton in protons:
            load = report.protons.get(proton)
            if load is not None:
                in_flight += load.in_flight
                queued += load.queued
    return in_flight, queued


def _local(replicas: Iterable[Replica]) -> list[int]:
    return [r.pid for r in replicas if r.pid is not None and r.node in _HERE]


def _usage(pids: list[int]) -> tuple[float | None, float | None]:
    """Cores and bytes in use by processes of this machine; None: none of them is here. Blocks."""
    if not pids:
        return None, None
    processes: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.Error):
            leader = psutil.Process(pid)
            processes += [leader, *leader.children(recursive=True)]
    before, memory_bytes = _sum(processes)
    began_s = time.monotonic()
    time.sleep(_SAMPLE_S)
    after, _ = _sum(processes)
    return max(0.0, after - before) / (time.monotonic() - began_s), float(memory_bytes)


def _sum(processes: list[psutil.Process]) -> tuple[float, int]:
    cpu_s, memory_bytes = 0.0, 0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory_bytes += process.memory_info().rss
    return cpu_s, memory_bytes
