"""Where and with what it was measured."""

import importlib.metadata
import os
import platform
import timeit
from pathlib import Path

import controlplane
from gateway import native


def machine() -> dict[str, object]:
    """Processor, cores, kernel."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.system(),
        "python_loop_ms": interpreter_ms(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
    }


def our_versions() -> dict[str, str]:
    """Ours, the interpreter, and the libraries on the gateway's hot path."""
    names = ("uvloop", "httptools", "msgspec")
    return {
        "tidegate": f"{controlplane.__version__} ({_how_built()})",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: importlib.metadata.version(name) for name in names},
    }


def _how_built() -> str:
    """Whether the gateway's hot path runs as compiled code."""
    return "compiled" if (native.home() / "complete").exists() else "interpreted"


def interpreter_ms() -> float:
    """Best of many runs of a fixed loop of dict, bytes and int work.

    Builds of one Python version differ up to twofold (profile-guided or not), and our user time
    with them: without this number results of two machines cannot be compared.
    """
    return round(1e3 * min(timeit.repeat(_fixed_loop, number=1, repeat=30)), 2)


def _fixed_loop() -> int:
    seen: dict[bytes, int] = {}
    total = 0
    for index in range(20_000):
        key = b"x%d" % (index & 63)
        seen[key] = seen.get(key, 0) + 1
        total += len(key) - key.startswith(b"x1")
    return total


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
