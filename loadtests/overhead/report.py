"""The result as text for a terminal, and the tables of `loadtests/README.md`."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.overhead.budgets import BUDGETS, verdict

Row = tuple[str, ...]
Json = Mapping[str, Any]

BUDGET_HEAD = ("budget", "bar", "measured", "")

UNDISTURBED_RATIO = 0.8
"""Share of its core that a saturated proxy gets on a machine of its own, at least."""


def head(case: Json) -> Row:
    """Column titles of one case's table."""
    unit = case["unit"]
    columns = [
        "proxy",
        f"CPU per {unit}, us",
        "user + system",
        "lowest..highest",
        "ours is",
        f"{unit}s/s",
        "core busy",
        "p50, ms",
        "p99, ms",
        "memory, MiB",
    ]
    if case["memory"]:
        columns.append("per connection, KiB")
    return tuple(columns)


def rows(case: Json) -> list[Row]:
    """One row of display text per measured proxy."""
    return [_row(case, result) for result in case["results"]]


def _row(case: Json, result: Json) -> Row:
    cpu, ratio = result["cpu_us"], case["ratio"].get(result["name"])
    cells = [
        f"{result['name']} {result['version']}",
        number(cpu["median"]),
        f"{number(result['user_us']['median'])} + {number(result['system_us']['median'])}",
        f"{number(cpu['low'])}..{number(cpu['high'])}",
        f"{ratio['median']:.2f} x" if ratio else "",
        f"{result['per_second']['median']:,.0f}",
        f"{result['busy_ratio']['median']:.0%}",
        f"{result['p50_ms']['median']:.2f}",
        f"{result['p99_ms']['median']:.2f}",
        f"{result['rss_bytes']['median'] / 2**20:.0f}",
    ]
    if case["memory"]:
        growth = result["growth_bytes"]
        cells.append(
            f"{growth['median'] / 1024:.2f} ({growth['low'] / 1024:.2f}"
            f"..{growth['high'] / 1024:.2f})"
        )
    return tuple(cells)


def number(value: float) -> str:
    """Three digits that tell, no more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def text_table(table: Sequence[Row]) -> list[str]:
    """Lines with aligned columns; the first row is the head."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def markdown_table(table: Sequence[Row]) -> list[str]:
    """The same as Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in table]
    return [lines[0], f"|{'---|' * len(table[0])}", *lines[1:]]


def budget_rows(result: Json) -> list[Row]:
    """One row per budget."""
    return [verdict(budget, result) for budget in BUDGETS]


def as_text(result: Json) -> str:
    """Everything, for a terminal."""
    lines: list[str] = []
    for case in result["cases"]:
        lines += [f"{case['name']}: {case['title']}", *text_table([head(case), *rows(case)]), ""]
    table = [BUDGET_HEAD, *(row for row in budget_rows(result) if row[2])]
    return "\n".join([*lines, *text_table(table), "", *remarks(result)])


def remarks(result: Json) -> list[str]:
    """What one has to know to read the tables: one sentence or two each."""
    return [
        *_disturbed(result),
        *(f"Not measured: {name} is not installed ({how})" for name, how in _missing(result)),
        *result["notes"],
        f'{result["rounds"]} interleaved rounds; medians. "Ours is": our CPU time over that '
        "proxy's, within each round. CPU time is the kernel's, of the proxy's process; p50 and "
        "p99 of requests are those of a saturating closed loop: compare them within one table "
        "only. No request failed: a run with an error is not reported. Without any proxy the load "
        f"core does {result['direct_per_second']:,} small requests/s. Beside our worker, store, "
        f"API and autoscaler spent {result['beside']['cpu_us']:.1f} us per request on the other "
        f"core and hold {result['beside']['rss_bytes'] / 2**20:.0f} MiB.",
        _where(result),
    ]


def _missing(result: Json) -> list[tuple[str, str]]:
    return list(result["missing"].items())


def _disturbed(result: Json) -> list[str]:
    """A warning when no proxy could have its core: under full load it should be near 100 %."""
    most = max(
        found["busy_ratio"]["median"] for case in result["cases"] for found in case["results"]
    )
    if most >= UNDISTURBED_RATIO:
        return []
    return [
        f"Others used this machine meanwhile: no proxy got more than {most:.0%} of its core. "
        "Ratios hold roughly, rates and latencies do not."
    ]


def _where(result: Json) -> str:
    machine, versions = result["machine"], result["versions"]
    stack = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {stack}; "
        f"this interpreter's build does our fixed loop in {machine['python_loop_ms']:.1f} ms."
    )
