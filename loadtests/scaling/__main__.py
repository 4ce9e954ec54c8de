"""`python -m loadtests.scaling`: our autoscaler against models of others, on the same traffic."""

import argparse
import json
import sys
from pathlib import Path

from loadtests.scaling.bench import Plan, run
from loadtests.scaling.contenders import CONTENDERS
from loadtests.scaling.page import Json, as_text, keep, kept, render
from loadtests.scaling.scenarios import BY_NAME, SCENARIOS

SEEDS = (4, 5)
"""Held out: with seeds 1 to 3 our defaults were chosen."""
QUICK = ("azure-code", "bursty", "pauses")
QUICK_PART = 0.25
"""Of each scenario's time."""
QUICK_EVERY = 3
"""Every third target."""


def main(argv: list[str] | None = None) -> int:
    """Compare and print. Exit code 0."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.render and (options.quick or options.scenarios):
        parser.error("--render keeps whole runs: not with --quick or --scenarios")
    if options.step_only and _more_than_the_step(options):
        parser.error("--step-only runs no comparison: give it alone, or with --render")
    if options.step_only:
        return _measure_step()
    names = options.scenarios or (QUICK if options.quick else tuple(BY_NAME))
    plan = Plan(
        scenarios=[scenario for scenario in SCENARIOS if scenario.name in names],
        contenders=CONTENDERS,
        seeds=options.seeds or (SEEDS[:1] if options.quick else SEEDS),
        part=QUICK_PART if options.quick else 1.0,
        every=QUICK_EVERY if options.quick else 1,
        jobs=options.jobs,
    )
    result = run(plan, say=lambda line: print(line, flush=True))
    if options.render if options.step is None else options.step:
        result["step"] = _step()
    print(f"\n{as_text(result)}")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.render:
        keep(result)
        print(f"wrote {render()}")
    return 0


def _step() -> Json:
    from loadtests.scaling.step import measure  # noqa: PLC0415 - starts whole installations

    return measure(say=lambda line: print(line, flush=True))


def _measure_step() -> int:
    keep({**kept(), "step": _step()})
    print(f"wrote {render()}")
    return 0


def _more_than_the_step(options: argparse.Namespace) -> bool:
    asked = (options.quick, options.json, options.scenarios, options.seeds, options.jobs)
    return any(asked) or options.step is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.scaling", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a quarter of {', '.join(QUICK)}, every third target: under a minute",
    )
    parser.add_argument(
        "--scenarios", type=_names, metavar="A,B", help=f"of: {', '.join(BY_NAME)} (all)"
    )
    parser.add_argument("--seeds", type=_numbers, metavar="N,M", help="seeds (4,5; --quick 4)")
    parser.add_argument("--jobs", type=int, help="runs at a time (one per core)")
    parser.add_argument(
        "--step",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="also measure a step on running installations: some minutes (only with --render)",
    )
    parser.add_argument(
        "--step-only",
        action="store_true",
        help="measure nothing but the step, and render the page with the rest as it is kept",
    )
    parser.add_argument("--json", metavar="FILE", help="write all runs as JSON")
    parser.add_argument(
        "--render", action="store_true", help="keep the result and render loadtests/SCALING.md"
    )
    return parser


def _names(text: str) -> list[str]:
    found = [name for name in text.split(",") if name]
    for name in found:
        if name not in BY_NAME:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(BY_NAME)}")
    return found


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    sys.exit(main())
