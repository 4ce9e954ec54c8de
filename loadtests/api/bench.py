"""Fill stores of several sizes, ask the API of each, and read what it cost from the kernel."""

import contextlib
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.api.calls import Call
from loadtests.api.contents import records, workload_id
from loadtests.overhead import worker
from loadtests.overhead.children import (
    BenchError,
    Child,
    Cores,
    choose_cores,
    free_port,
    status_of,
    wait_until,
)
from loadtests.overhead.machine import machine, our_versions

WARM: Final = 3
"""Calls of each kind before the measured ones: caches, connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure."""

    sizes: Sequence[int]
    calls: Sequence[Call]
    seconds: float
    """Time for each call at each size."""


def run(plan: Plan, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything.

    Raises:
        BenchError: Something did not start, or a request failed.
    """
    cores = choose_cores()
    token = worker.new_token()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="api-")))
        url = stack.enter_context(worker.running_store(directory, core=cores.load))
        sizes = []
        for size in plan.sizes:
            worker.fill(url, records(size, token=token), namespace=f"n{size}")
            sizes.append(_measured(plan, size, url, token, cores, directory, say))
    return {
        "machine": machine(),
        "versions": our_versions(),
        "seconds": plan.seconds,
        "sizes": sizes,
    }


def _measured(  # noqa: PLR0917 - one step of `run`
    plan: Plan,
    size: int,
    store_url: str,
    token: str,
    cores: Cores,
    directory: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    began = time.monotonic()
    with _api(size, store_url, token, cores, directory) as (child, port):
        start_s = time.monotonic() - began
        rss_bytes = child.rss_bytes()
        say(f"{size:,} workloads: first answer after {start_s:.1f} s, {rss_bytes >> 20} MiB")
        client = Client(port, token)
        return {
            "workloads": size,
            "start_s": round(start_s, 2),
            "rss_bytes": rss_bytes,
            "calls": {
                call.name: _call(call, size, client, child, seconds=plan.seconds)
                for call in plan.calls
            },
        }


@contextlib.contextmanager
def _api(
    size: int, store_url: str, token: str, cores: Cores, directory: Path
) -> Iterator[tuple[Child, int]]:
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")} | {
        "TIDEGATE_STORE_URL": store_url,
        "TIDEGATE_STORE_NAMESPACE": f"n{size}",
        "TIDEGATE_API_PORT": str(port),
        "TIDEGATE_UP_DATA_DIR": str(directory),
    }
    command = (sys.executable, "-m", "controlplane.api")
    child = Child(f"api-{size}", command, core=cores.proxy, directory=directory, environ=environ)
    try:
        url = f"http://127.0.0.1:{port}/api/v2/workloads/{workload_id(size)}"
        good = {"Authorization": f"Bearer {token}"}
        wait_until(lambda: status_of(url, good) == 200, child, what="the API answers")
        yield child, port
    finally:
        child.stop()


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, call: Call, size: int, turn: int) -> float:
        """Make one call; returns the seconds to the end of its answer.

        Raises:
            BenchError: It has another status than it must.
        """
        asked = call.ask(size, turn)
        body = None if asked.body is None else json.dumps(asked.body)
        began = time.perf_counter()
        self._connection.request(asked.method, f"/api/v2/{asked.path}", body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        took_s = time.perf_counter() - began
        if answer.status != call.status:
            raise BenchError(f"{asked.method} {asked.path}: {answer.status} {content[:500]!r}")
        return took_s


def _call(
    call: Call, size: int, client: Client, child: Child, *, seconds: float
) -> dict[str, float]:
    for turn in range(WARM):
        client.ask(call, size, turn)
    before = child.cpu()
    until = time.monotonic() + seconds
    took_s: list[float] = []
    while time.monotonic() < until or not took_s:
        took_s.append(client.ask(call, size, WARM + len(took_s)))
    spent_s = child.cpu().since(before).total_s
    took_s.sort()
    return {
        "count": len(took_s),
        "cpu_ms": round(1e3 * spent_s / len(took_s), 3),
        "p50_ms": round(1e3 * took_s[len(took_s) // 2], 3),
        "p99_ms": round(1e3 * took_s[min(len(took_s) - 1, len(took_s) * 99 // 100)], 3),
    }
