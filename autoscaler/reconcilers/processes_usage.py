"""What replicas use: CPU time and memory of each, measured for all of them in one sweep.

A replica is everything in its session, so that pre-forked workers count, and children that have
ended count through their parent. Asking psutil for the children of each replica would walk the
whole process table once per replica; one walk with `getsid` costs half a microsecond per process.
"""

import os
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

CPU_WINDOW_S: Final = 15.0
"""CPU use is averaged over this (the metrics server of Kubernetes: 15 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one replica used up to one moment."""

    at_s: float
    """Monotonic."""
    cpu_s: float
    """CPU time, user and system, since its start."""
    memory_bytes: int
    """Resident memory; pages that its processes share count once per process, unless that sum
    was over the limit: then each page counts once."""


def measure(limits: Mapping[int, int | None]) -> dict[int, Usage]:
    """Measure replicas. Blocks some 50 microseconds per process: call it in a thread.

    Args:
        limits: Main process id of each replica to its memory limit in bytes (None: no limit).

    Returns:
        Main process id to its usage; replicas that have ended are left out.
    """
    members: dict[int, list[psutil.Process]] = {}
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            session = os.getsid(pid)
            if session in limits:
                members.setdefault(session, []).append(psutil.Process(pid))
    now_s = time.monotonic()
    return {
        session: _usage(processes, limit_bytes=limits[session], now_s=now_s)
        for session, processes in members.items()
    }


def _usage(processes: Iterable[psutil.Process], *, limit_bytes: int | None, now_s: float) -> Usage:
    cpu_s = 0.0
    memory_bytes = 0
    present = []
    for process in processes:
        with suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            memory_bytes += process.memory_info().rss
            cpu_s += times.user + times.system + times.children_user + times.children_system
            present.append(process)
    if limit_bytes is not None and memory_bytes > limit_bytes and len(present) > 1:
        memory_bytes = _proportional(present, memory_bytes)
    return Usage(at_s=now_s, cpu_s=cpu_s, memory_bytes=memory_bytes)


def _proportional(processes: Iterable[psutil.Process], resident_bytes: int) -> int:
    """Memory with shared pages counted once, where the system tells; expensive, so rarely asked."""
    total_bytes = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            try:
                info = process.memory_full_info()
            except psutil.AccessDenied:
                return resident_bytes
            total_bytes += getattr(info, "pss", info.rss)
    return total_bytes


class CpuHistory:
    """CPU use of one replica over the last `CPU_WINDOW_S`."""

    def __init__(self, cores: float | None) -> None:
        """Percentages are of `cores`; None: of one core."""
        self._cores = cores or 1.0
        self._samples: deque[Usage] = deque()

    def add(self, usage: Usage) -> None:
        """Take in a measurement."""
        self._samples.append(usage)
        while usage.at_s - self._samples[0].at_s > CPU_WINDOW_S:
            self._samples.popleft()

    def clear(self) -> None:
        """Another process takes the replica's place: its CPU time begins at zero."""
        self._samples.clear()

    def percent(self) -> float | None:
        """Mean use in percent; None before the second measurement."""
        if len(self._samples) < 2:  # noqa: PLR2004 - a difference needs two
            return None
        first, last = self._samples[0], self._samples[-1]
        elapsed_s = last.at_s - first.at_s
        if elapsed_s <= 0:
            return None
        # A worker that vanished uncollected takes its time along: never below zero.
        return max(0.0, (last.cpu_s - first.cpu_s) / elapsed_s / self._cores * 100.0)
