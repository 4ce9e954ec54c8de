"""Ports for replicas in tests: what runs side by side never gets one port twice.

Two installations may find the same port free before either uses it. So each pytest worker has a
range of its own, and none of them has ports of the defaults (which `tidegate demo` takes), nor of
those that the kernel gives to clients and to whoever asks for a free one.
"""

import os
from typing import Final

FIRST: Final = 10_000
PER_WORKER: Final = 2_400
WORKERS: Final = 4


def replica_ports() -> tuple[int, int]:
    """First and last port of this pytest worker's replicas."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    first = FIRST + PER_WORKER * worker
    return first, first + PER_WORKER - 1
