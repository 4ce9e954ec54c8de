"""The result as text, and as `loadtests/SCALING.md`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from loadtests.overhead.report import Row, markdown_table, text_table
from loadtests.scaling.chart import chart
from loadtests.scaling.contenders import BY_NAME, CONTENDERS, TARGET_RATIOS, USUAL_RATIO
from loadtests.scaling.scenarios import SCENARIOS
from loadtests.scaling.verdicts import Verdict, compare, points

HOME: Final = Path(__file__).parents[1]
PAGE: Final = HOME / "SCALING.md"
RESULT: Final = HOME / "results" / "scaling.json"
PICTURE: Final = HOME / "results" / "scaling.svg"

OURS: Final = "tidegate"
CHOSEN_ON: Final = (1, 2, 3)
"""The seeds whose runs decided on our defaults."""

LOSSES: Final = (
    "Why ours loses where it does:",
    "",
    "- Against the HPA on CPU, which has one point only: it never looks at what waits. Where it is"
    " cheap many of its requests wait (two of five on `azure-code`), and at that price our queue"
    " asks for replicas that come too late to help.",
    "- Steady traffic for few replicas (`diurnal`; `spikes` of a seed without one in its hour): a"
    " request that waits by chance is answered at once by as many replicas as the target says for"
    " the present demand, and would have been served before they are ready. Looking every 15 s"
    " overlooks such moments, which is cheaper there.",
    "- Short peaks in a calm, and traffic in stretches (`spikes`, `pauses`) against Knative: what a"
    " minute brought leaves slowly, at most a sixth in five minutes. `scaleDownDelaySeconds: 0` and"
    " `maxScaleDownRate: 2`, Knative's defaults, can be cheaper there; `tidegate tune` finds out.",
    "",
)

Json = Mapping[str, Any]


def keep(result: Json) -> None:
    """Keep a whole run for the page."""
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def kept() -> Json:
    """What was kept last."""
    found: Json = json.loads(RESULT.read_text(encoding="utf-8"))
    return found


def render() -> str:
    """Write page and picture from what is kept; returns the page's name."""
    result = kept()
    PICTURE.write_text(chart(result), encoding="utf-8")
    PAGE.write_text(as_markdown(result), encoding="utf-8")
    return PAGE.name


def verdicts(result: Json) -> list[tuple[str, str, str, Verdict]]:
    """Scenario, seed, peer and verdict of every comparison."""
    found = []
    for scenario, seeds in result["scenarios"].items():
        for seed, runs in seeds.items():
            mine = points(runs[OURS])
            found += [
                (scenario, seed, peer.name, compare(mine, points(runs[peer.name])))
                for peer in CONTENDERS
                if not peer.ours and peer.name in runs
            ]
    return found


def as_text(result: Json) -> str:
    """Everything, for a terminal."""
    return "\n".join(
        [
            *text_table(verdict_table(result)),
            "",
            *_summary(result),
            *_missing(result),
        ]
    )


def verdict_table(result: Json) -> list[Row]:
    """One line per scenario, seed and peer."""
    head = (
        "scenario",
        "seed",
        "ours against",
        "replica-hours in common",
        "delayed, ours per peer's",
        "best .. worst",
        "replica-hours at equal delay",
        "ours is",
    )
    rows: list[Row] = [head]
    rows += [
        (scenario, seed, peer, *_cells(verdict))
        for scenario, seed, peer, verdict in verdicts(result)
    ]
    return rows


def _cells(verdict: Verdict) -> tuple[str, str, str, str, str]:
    reach = "none"
    if verdict.reach is not None:
        low, high = verdict.reach
        reach = f"{low:.2f}" if high - low < 0.005 else f"{low:.2f} .. {high:.2f}"
    return (
        reach,
        "-" if verdict.ratio is None else f"{verdict.ratio:.2f}",
        "-" if verdict.least is None else f"{verdict.least:.2f} .. {verdict.most:.2f}",
        "-" if verdict.hours_ratio is None else f"{verdict.hours_ratio:.2f}",
        verdict.word,
    )


def usual_table(scenario: str, runs: Mapping[str, Sequence[Json]]) -> list[Row]:
    """What each contender did with the target that people begin with."""
    rows: list[Row] = [
        (
            scenario,
            "replica-hours",
            "delayed",
            "delayed %",
            "mean wait, s",
            "p95, s",
            "p99, s",
            "cold",
            "failed",
            "starts",
        )
    ]
    for name, of in runs.items():
        one = min(of, key=lambda run: abs(run["target_ratio"] - USUAL_RATIO))
        rows.append(
            (
                BY_NAME[name].title,
                f"{one['replica_hours']:.2f}",
                f"{one['delayed']:,}",
                f"{100 * one['delayed'] / one['requests']:.1f}",
                *(_seconds(one[key]) for key in ("wait_mean_s", "wait_p95_s", "wait_p99_s")),
                f"{one['cold']:,}",
                f"{one['failed']:,}",
                f"{one['starts']:,}",
            )
        )
    return rows


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _summary(result: Json) -> list[str]:
    counts = dict.fromkeys(("better", "even", "worse", "apart"), 0)
    lost = []
    for scenario, seed, peer, verdict in verdicts(result):
        counts[verdict.word] += 1
        if verdict.word == "worse":
            lost.append(f"{scenario} (seed {seed}) against {peer}")
    said = ", ".join(f"{word} in {n}" for word, n in counts.items() if n)
    return [
        f"Ours is {said} of {sum(counts.values())} comparisons.",
        *(f"  worse: {one}" for one in lost),
    ]


def _missing(result: Json) -> list[str]:
    return [f"Left out, its trace was not at hand: {name}." for name in result["missing"]]


def as_markdown(result: Json) -> str:
    """The whole page."""
    seeds = ", ".join(map(str, result["seeds"]))
    low, high = TARGET_RATIOS[0], TARGET_RATIOS[-1]
    lines = [
        "# Scaling: ours against Knative, the HPA and KEDA",
        "",
        "<!-- Rendered by `python -m loadtests.scaling --render`; edits are lost. -->",
        "",
        "The same requests, replicas and chance for everybody, in the simulator"
        " (`tidegate simulate`): ours is the code that runs live, the others are models of their"
        " published algorithms with their published defaults (`autoscaler/replay/kpa.py`, `hpa.py`,"
        " `keda.py` name the sources; the projects' own test tables pass through them)."
        " *Delayed* is a request that waited longer than 100 ms for a replica, or in vain.",
        "",
        "A low target buys short waiting with many replicas, so single runs cannot be compared:"
        f" every contender runs with {len(TARGET_RATIOS)} targets from {low:g} to {high:g} of what"
        " a replica works on at a time, and the fronts are compared at equal replica-hours, between"
        " the points by straight lines. All wait in the same gateway; where a model had to be"
        " simplified it gets the better metric (Knative sees the exact load of all pods, the HPA"
        " has an adapter that tells it the load).",
        "",
        "Ours runs with the platform's defaults. They were chosen on seeds"
        f" {', '.join(map(str, CHOSEN_ON))}; this page shows what nobody looked at before they"
        f" stood: seeds {seeds}."
        " (Of `azure-code` the arrivals are the same for every seed, start-up times and balancing"
        " are not.) Knative also runs with a scale-down delay of 300 s, which is the HPA's and"
        " KEDA's default and not its own.",
        "",
        "![fronts](results/scaling.svg)",
        "",
        "## Verdicts",
        "",
        "Below 1 is better for us: delayed requests at equal replica-hours, and replica-hours at"
        " equally many delayed requests (geometric means over what both fronts reach). Where they"
        " have no replica-hours in common, the second number decides.",
        "",
        *markdown_table(verdict_table(result)),
        "",
        *_summary_markdown(result),
        "",
        *LOSSES,
        "## With the target that people begin with",
        "",
        f"A target of {USUAL_RATIO:g} of what a replica works on at a time; seed"
        f" {result['seeds'][0]}.",
        "",
    ]
    for name, by_seed in result["scenarios"].items():
        runs = by_seed[str(result["seeds"][0])]
        lines += [*markdown_table(usual_table(name, runs)), ""]
    lines += ["## Scenarios", "", *markdown_table(_scenario_table(result)), ""]
    lines += [*_missing(result), *_steps(result)]
    lines += [
        "## Again",
        "",
        f"`python -m loadtests.scaling --render` makes this page (seeds {seeds}); `--quick` takes"
        " under a minute; `--json FILE` writes every run. One run by hand:"
        " `tidegate generate ... > trace.csv` as above, and `tidegate simulate --trace trace.csv"
        " --policy FILE --against knative,hpa,keda`.",
        "",
    ]
    return "\n".join(lines)


def _summary_markdown(result: Json) -> list[str]:
    return [f"- {line.removeprefix('  ')}" for line in _summary(result)]


def _scenario_table(result: Json) -> list[Row]:
    head: Row = ("name", "traffic", "replicas", "trace")
    return [
        head,
        *(
            (
                scenario.name,
                scenario.title,
                f"{scenario.concurrency} at a time, start-up {scenario.start_up} s, service"
                f" {scenario.service}, at least {scenario.min_replicas}",
                f"`{scenario.command()}`",
            )
            for scenario in SCENARIOS
            if scenario.name in result["scenarios"]
        ),
    ]


def _steps(result: Json) -> list[str]:
    step = result.get("step")
    if step is None:
        return []
    rows: list[Row] = [
        (
            "who",
            "most replicas wanted",
            "at least the right count wanted after, s (median)",
            "from, s",
            "to, s",
        )
    ]
    rows += [
        (
            one["name"],
            str(one["wanted"]),
            *(
                "never" if one[key] is None else f"{one[key]:.2f}"
                for key in ("after_s", "quickest_s", "slowest_s")
            ),
        )
        for one in step["answers"]
    ]
    return [
        "## A step on the running system",
        "",
        f"`tidegate up` on this machine with one workload, target {step['target']:g}; from one"
        f" moment to the next so many requests of {step['service_s']:g} s that {step['load']} are"
        f" in flight, for which {step['right']} replicas are right. Ours is measured from the"
        f" step's first request to the first decision in the journal for at least that many, in"
        f" {step['runs']} installations one after the other. The models meet the same step in the"
        f" simulator at {step['phases']} moments of their own clocks.",
        "",
        *markdown_table(rows),
        "",
    ]
