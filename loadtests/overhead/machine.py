"""Where and with what it was measured."""

import importlib.metadata
import os
import platform
from pathlib import Path


def machine() -> dict[str, object]:
    """Processor, cores, kernel."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.system(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
    }


def python_versions() -> dict[str, str]:
    """The interpreter and the libraries on the gateway's hot path."""
    names = ("uvloop", "httptools", "msgspec")
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: importlib.metadata.version(name) for name in names},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
