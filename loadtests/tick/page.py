"""The result as text, and as `loadtests/TICK.md`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from loadtests.overhead.report import Row, markdown_table, text_table

HOME: Final = Path(__file__).parents[1]
PAGE: Final = HOME / "TICK.md"
RESULT: Final = HOME / "results" / "tick.json"

BUDGET_WORKLOADS: Final = 10_000
BUDGET_S: Final = 0.5
DAY_BUDGET_S: Final = 2.0

_INTRODUCTION: Final = """\
The autoscaler decides on every busy workload once a second. This is what a round costs in CPU time
on one core when *all* workloads are busy: every one has requests in flight in every gateway, new
requests in every second, three ready replicas and one policy, and its load moves so that counts
change. (Workloads at zero without news are passed over: they cost about 1 µs.)

The rounds run compiled where they were built (`make build`); the last line says which it was.

In the figure: decoding the gateways' numbers (as the store holds them: half a megabyte per gateway
and 10,000 workloads), windows, observation, decision, metrics, the loop in its slices of 5 ms, the
sentences and the encoding of all records and journal entries that are due. Not in it: the network
to the store and the store, the watch on its records, and starting or ending replicas.
"""


_DAYS: Final = """\
## 24 hours in the simulator

What `tidegate simulate` computes for one workload with a policy on concurrency, in CPU time: every
second with load, or with load in the last minute, is a real decision. Reading the trace and writing
pages come on top.
"""


def keep(rounds: Sequence[Mapping[str, Any]], days: Sequence[Mapping[str, Any]]) -> None:
    """Keep whole runs for the page."""
    text = json.dumps({"rounds": rounds, "days": days}, indent=1)
    RESULT.write_text(text + "\n", encoding="utf-8")


def render() -> str:
    """Write the page from what is kept; returns its name."""
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    PAGE.write_text(as_markdown(kept["rounds"], kept["days"]), encoding="utf-8")
    return PAGE.name


def as_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Everything, for a terminal."""
    return "\n".join([*text_table(table(results)), "", _where(results[-1])])


def days_as_text(days: Sequence[Mapping[str, Any]]) -> str:
    """The days, for a terminal."""
    return "\n".join(text_table(days_table(days)))


def as_markdown(results: Sequence[Mapping[str, Any]], days: Sequence[Mapping[str, Any]]) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# What a round of decisions costs",
            "",
            "<!-- Rendered by `python -m loadtests.tick --render`; edits are lost. -->",
            "",
            _INTRODUCTION,
            *markdown_table(table(results)),
            "",
            _where(results[-1]),
            "",
            _even(results),
            "",
            "Run it yourself: `python -m loadtests.tick --workloads 10000 --gateways 4` (about two"
            " minutes), with `--quick` under a minute.",
            "",
            _DAYS,
            *markdown_table(days_table(days)),
            "",
            "Run it yourself: `python -m loadtests.tick --day`.",
            "",
        ]
    )


def table(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One row per size; first comes the head."""
    head: Row = (
        "workloads", "gateways", "s per round", "slowest, s", "µs per workload", "memory, MiB",
        "journal entries per round", "rounds before", "budget",
    )  # fmt: skip
    return [head, *map(_row, results)]


def days_table(days: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One row per kind of day; first comes the head."""
    head: Row = ("day", "requests", "replica-hours", "s per replay (least to most)", "budget")
    return [head, *map(_day_row, days)]


def _day_row(day: Mapping[str, Any]) -> Row:
    met = "met" if day["seconds"] <= DAY_BUDGET_S else "**missed**"
    return (
        day["day"],
        f"{day['requests']:,}",
        f"{day['replica_hours']:.1f}",
        f"{day['seconds']:.2f} ({day['quickest_s']:.2f} to {day['slowest_s']:.2f})",
        f"<= {DAY_BUDGET_S:g} s: {met}",
    )


def _row(result: Mapping[str, Any]) -> Row:
    budget = ""
    if result["workloads"] == BUDGET_WORKLOADS:
        met = "met" if result["seconds_per_tick"] <= BUDGET_S else "**missed**"
        budget = f"<= {BUDGET_S:g} s: {met}"
    return (
        f"{result['workloads']:,}",
        str(result["gateways"]),
        f"{result['seconds_per_tick']:.3f}",
        f"{result['slowest_s']:.3f}",
        f"{result['microseconds_per_workload']:.1f}",
        f"{result['rss_bytes'] / 2**20:,.0f}",
        f"{result['journal_entries_per_round']:,.0f}",
        str(result["warm_rounds"]),
        budget,
    )


def _even(results: Sequence[Mapping[str, Any]]) -> str:
    """How much the machine itself changed from row to row."""
    loops = ", ".join(f"{result['machine']['python_loop_ms']:.1f}" for result in results)
    return f"The fixed loop, row by row: {loops} ms. Rows whose loops differ cannot be compared."


def _where(result: Mapping[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    how = "compiled" if result["compiled"] else "interpreted"
    release = versions["tidegate"].partition(" ")[0]  # what follows is the gateway's
    return (
        f"{machine['cpu']}, Linux {machine['kernel']}; tidegate {release} ({how}), python"
        f" {versions['python']}, msgspec {versions['msgspec']}; this interpreter's build does our"
        f" fixed loop in {machine['python_loop_ms']:.1f} ms. Medians. The windows are full after 60"
        " rounds; until then memory grows by 24 bytes per workload, gateway and round."
    )
