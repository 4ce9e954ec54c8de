"""`loadtests/README.md`, its chart and the front page's budgets, from the kept results."""

import json
from pathlib import Path
from typing import Any, Final

from loadtests.overhead.chart import chart
from loadtests.overhead.report import (
    BUDGET_HEAD,
    Row,
    budget_rows,
    head,
    markdown_table,
    remarks,
    rows,
)

HOME: Final = Path(__file__).parents[1]
README: Final = HOME / "README.md"
FRONT: Final = HOME.parent / "README.md"
RESULTS: Final = HOME / "results"
CHART: Final = RESULTS / "overhead.svg"

_BEGIN: Final = "<!-- budgets: rendered by `make bench` -->"
_END: Final = "<!-- end of budgets -->"


def keep(name: str, result: dict[str, Any]) -> None:
    """Keep a result for the page."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(without_rounds(result), indent=1)
    (RESULTS / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


def without_rounds(result: dict[str, Any]) -> dict[str, Any]:
    """A result without its single rounds: medians and ranges are what is kept."""
    cases = [
        {
            **case,
            "results": [
                {key: value for key, value in found.items() if key != "rounds"}
                for found in case["results"]
            ],
        }
        for case in result.get("cases", [])
    ]
    return result | ({"cases": cases} if cases else {})


def kept(name: str) -> dict[str, Any] | None:
    """The result kept under this name."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def render() -> str:
    """Write the page and the chart from what is kept; returns the page's name."""
    overhead = kept("overhead")
    if overhead is not None:
        CHART.write_text(chart(overhead), encoding="utf-8")
        README.write_text(as_markdown(overhead, kept("routes")), encoding="utf-8")
        FRONT.write_text(
            with_budgets(FRONT.read_text(encoding="utf-8"), overhead), encoding="utf-8"
        )
    return README.name


def with_budgets(page: str, result: dict[str, Any]) -> str:
    """The project's front page with the table of budgets between its two marks.

    Raises:
        ValueError: The page has lost a mark.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{FRONT.name} needs `{_BEGIN}` and `{_END}` around its table of budgets")
    table = "\n".join(markdown_table([BUDGET_HEAD, *budget_rows(result)]))
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def as_markdown(result: dict[str, Any], routes: dict[str, Any] | None) -> str:
    """The whole page."""
    lines = [
        "# What a request costs",
        "",
        "<!-- Rendered by `make bench`; edits are lost. How and why: method.md. -->",
        "",
        "One proxy at a time on one core; load, applications and everything else on another. "
        "Every proxy checks a token, refuses unknown paths, strips the prefix, keeps the token "
        "from the application and its connections to it open, and writes no access log; ours is "
        "deployed through its API with default settings, and also routes by its own records, "
        "admits, balances, counts exactly and reports.",
        "",
        f"![What every proxy spends, by case]({CHART.relative_to(HOME)})",
        "",
        "## Budgets",
        "",
        *markdown_table([BUDGET_HEAD, *budget_rows(result)]),
        "",
        *[f"* {line}" for line in remarks(result)],
        "",
    ]
    for case in result["cases"]:
        lines += [f"## {case['title']}", "", *markdown_table([head(case), *rows(case)]), ""]
    if routes is not None:
        lines += routes_section(routes)
    lines += [
        "[method.md](method.md) says how it is measured and what was tried. Run it yourself: "
        "`make bench` (about twelve minutes; needs `wrk`), or "
        "`python -m loadtests.overhead --quick` (under a minute). "
        "[LOCUST.md](LOCUST.md) is about load for an installation of your own.",
        "",
    ]
    return "\n".join(lines)


def routes_table(result: dict[str, Any]) -> list[Row]:
    """What the number of workloads costs; the first row is the head."""
    head = ("workloads", "CPU per request, us", "lowest..highest", "start, s", "memory, MiB")
    return [
        head,
        *(
            (
                f"{size['workloads']:,}",
                f"{size['cpu_us']['median']:.1f}",
                f"{size['cpu_us']['low']:.1f}..{size['cpu_us']['high']:.1f}",
                f"{size['start_s']:.1f}",
                f"{size['rss_bytes'] / 2**20:.0f}",
            )
            for size in result["sizes"]
        ),
    ]


def routes_section(result: dict[str, Any]) -> list[str]:
    """The same with what it means."""
    return [
        "## The number of workloads",
        "",
        "One worker on a store with that many workloads; ten of them, spread over the table, are "
        "called in turn on 64 connections. Start: from the worker's launch to its first answer.",
        "",
        *markdown_table(routes_table(result)),
        "",
    ]
