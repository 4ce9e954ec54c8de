"""The result as text, and as `loadtests/API.md`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from loadtests.api.calls import BY_NAME
from loadtests.overhead.report import Row, markdown_table, number, text_table

HOME: Final = Path(__file__).parents[1]
PAGE: Final = HOME / "API.md"
RESULT: Final = HOME / "results" / "api.json"

_BUDGET_SIZE: Final = 10_000


def keep(result: Mapping[str, Any]) -> None:
    """Keep a whole run for the page."""
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def render() -> str:
    """Write the page from what is kept; returns its name."""
    PAGE.write_text(as_markdown(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")
    return PAGE.name


def as_text(result: Mapping[str, Any]) -> str:
    """Everything, for a terminal."""
    table = "\n".join(text_table(calls_table(result)))
    return f"{table}\n\n{_where(result)}"


def as_markdown(result: Mapping[str, Any]) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# What the API costs with many workloads",
            "",
            "<!-- Rendered by `python -m loadtests.api --render`; edits are lost. -->",
            "",
            "One API process on one core, its store and one client on another; calls one after the"
            " other on one connection. Every workload has an artifact, a repository, a proton and"
            " the autoscaler's record. CPU is the kernel's count for the API process, per call.",
            "",
            *markdown_table(calls_table(result)),
            "",
            "## Start and memory",
            "",
            "From the launch to the first answer; all records are read once into the process.",
            "",
            *markdown_table(start_table(result)),
            "",
            _where(result),
            "",
            "Run it yourself: `python -m loadtests.api` (about two minutes), or"
            " `python -m loadtests.api --quick` (under a minute).",
            "",
        ]
    )


def calls_table(result: Mapping[str, Any]) -> list[Row]:
    """One row per call: CPU by size, latency and budget at the largest; first comes the head."""
    sizes = result["sizes"]
    largest = sizes[-1]
    head: Row = (
        "call",
        *(f"CPU at {size['workloads']:,}, ms" for size in sizes),
        f"p50 at {largest['workloads']:,}, ms",
        "p99, ms",
        f"budget at {_BUDGET_SIZE:,}, CPU ms",
        "",
    )
    return [head, *(_row(name, sizes) for name in largest["calls"])]


def _row(name: str, sizes: list[Mapping[str, Any]]) -> Row:
    call, last = BY_NAME[name], sizes[-1]["calls"][name]
    said = ""
    if sizes[-1]["workloads"] == _BUDGET_SIZE:
        said = "met" if last["cpu_ms"] <= call.budget_ms else "**missed**"
    return (
        call.title,
        *(number(size["calls"][name]["cpu_ms"]) for size in sizes),
        number(last["p50_ms"]),
        number(last["p99_ms"]),
        f"<= {call.budget_ms:g}",
        said,
    )


def start_table(result: Mapping[str, Any]) -> list[Row]:
    """Start and memory by size."""
    return [
        ("workloads", "start, s", "memory, MiB"),
        *(
            (
                f"{size['workloads']:,}",
                f"{size['start_s']:.1f}",
                f"{size['rss_bytes'] / 2**20:.0f}",
            )
            for size in result["sizes"]
        ),
    ]


def _where(result: Mapping[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    stack = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {stack}; this"
        f" interpreter's build does our fixed loop in {machine['python_loop_ms']:.1f} ms."
    )
