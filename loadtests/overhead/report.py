"""The result as text for a terminal and as Markdown for `loadtests/README.md`."""

from collections.abc import Mapping
from typing import Any

HEAD = (
    "proxy",
    "CPU per request, us",
    "user + system",
    "lowest..highest",
    "requests/s",
    "core busy",
    "p50, ms",
    "p99, ms",
    "memory, MiB",
)


UNDISTURBED_RATIO = 0.8
"""Share of its core that a saturated proxy gets on a machine of its own, at least."""


def rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row of display text per measured proxy."""
    return [
        (
            f"{case['name']} {case['version']}",
            f"{case['cpu_us']['median']:.1f}",
            f"{case['user_us']['median']:.1f} + {case['system_us']['median']:.1f}",
            f"{case['cpu_us']['low']:.1f}..{case['cpu_us']['high']:.1f}",
            f"{case['per_second']['median']:,.0f}",
            f"{case['busy_ratio']['median']:.0%}",
            f"{case['p50_ms']['median']:.2f}",
            f"{case['p99_ms']['median']:.2f}",
            f"{case['rss_bytes'] / 2**20:.0f}",
        )
        for case in result["cases"]
    ]


def as_text(result: Mapping[str, Any]) -> str:
    """A plain table, the ratios, and what was not there."""
    table = [HEAD, *rows(result)]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(
        [
            *lines,
            "",
            *_ratio_lines(result),
            *_neighbour_lines(result),
            *_missing_lines(result),
            _where(result),
        ]
    )


def as_markdown(result: Mapping[str, Any]) -> str:
    """The whole of `loadtests/README.md`."""
    head = f"| {' | '.join(HEAD)} |"
    rule = f"|{'---|' * len(HEAD)}"
    body = [f"| {' | '.join(row)} |" for row in rows(result)]
    parts = [
        "# What a request costs",
        "",
        "<!-- Rendered by `make bench`; edits are lost. How and why: method.md. -->",
        "",
        f"{result['title']}. One proxy at a time on one core; load, application and store on "
        "another. Every proxy checks a token, refuses unknown paths, strips the prefix and keeps "
        "connections to the application open; ours also routes by its own records, admits, "
        "balances, counts exactly and reports.",
        "",
        head,
        rule,
        *body,
        "",
        *[f"* {line}" for line in _ratio_lines(result)],
        *[f"* {line}" for line in (*_neighbour_lines(result), *_missing_lines(result))],
        f"* {_rounds(result)}",
        f"* {_where(result)}",
        "",
        "[method.md](method.md) says how it is measured and what was tried. "
        "Run it yourself: `make bench` (about two minutes; needs `wrk`, uses `haproxy` if there).",
        "",
    ]
    return "\n".join(parts)


def _ratio_lines(result: Mapping[str, Any]) -> list[str]:
    return [
        f"CPU per request against {name}: {value:.2f} times "
        f"({result['ratio_spread'][name][0]:.2f}..{result['ratio_spread'][name][1]:.2f} by round)"
        for name, value in result["ratio"].items()
    ]


def _neighbour_lines(result: Mapping[str, Any]) -> list[str]:
    """A warning when no proxy could have its core: under full load it should be near 100 %."""
    most = max(case["busy_ratio"]["median"] for case in result["cases"])
    if most >= UNDISTURBED_RATIO:
        return []
    return [
        f"Others used this machine meanwhile: no proxy got more than {most:.0%} of its core. "
        "Ratios hold roughly, rates and latencies do not."
    ]


def _missing_lines(result: Mapping[str, Any]) -> list[str]:
    return [f"Not measured: {text}" for text in result["missing"]]


def _rounds(result: Mapping[str, Any]) -> str:
    return (
        f"{result['rounds']} interleaved rounds of {result['seconds']} s; medians. CPU time is the "
        "kernel's (`/proc/PID/stat`); p50 and p99 are those of a saturating closed loop: compare "
        "them within this table only. No request failed: a run with an error is not reported. "
        f"Without any proxy the load core does {result['direct_per_second']:,.0f} requests/s. "
        f"Our store spent {result['store_cpu_us']:.2f} us of CPU per request beside us."
    )


def _where(result: Mapping[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    stack = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {stack}; "
        f"this interpreter's build does our fixed loop in {machine['python_loop_ms']:.1f} ms."
    )
