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

_INTRODUCTION: Final = """\
The autoscaler decides on every busy workload once a second. This is what a round costs in CPU time
on one core when *all* workloads are busy: every one has requests in flight in every gateway, new
requests in every second, three ready replicas and one policy, and its load moves so that counts
change. (Workloads at zero without news are passed over: they cost about 1 µs.)

The rounds run compiled where they were built (`make build`); the last line says which it was.

In the figure: decoding the gateways' reports (with histograms and sixty minutes of counts each, as
the store holds them), windows, observation, decision, metrics, the loop in its slices of 5 ms, the
sentences and the encoding of all records and journal entries that are due. Not in it: the network
to the store and the store, the watch on its records, and starting or ending replicas.
"""


def keep(results: Sequence[Mapping[str, Any]]) -> None:
    """Keep whole runs for the page."""
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def render() -> str:
    """Write the page from what is kept; returns its name."""
    PAGE.write_text(as_markdown(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")
    return PAGE.name


def as_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Everything, for a terminal."""
    return "\n".join([*text_table(table(results)), "", _where(results[-1])])


def as_markdown(results: Sequence[Mapping[str, Any]]) -> str:
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
            "Run it yourself: `python -m loadtests.tick --workloads 10000 --gateways 4` (about two"
            " minutes), with `--quick` under a minute.",
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
