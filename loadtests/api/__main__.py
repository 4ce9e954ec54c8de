"""`python -m loadtests.api`: what the API's calls cost at 100, 1,000 and 10,000 workloads."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from loadtests.api.bench import Plan, run
from loadtests.api.calls import BY_NAME, CALLS
from loadtests.api.page import as_text, keep, render
from loadtests.overhead.children import BenchError

SIZES: Final = (100, 1_000, 10_000)
QUICK_SECONDS: Final = 0.3
SECONDS: Final = 2.0


def main(argv: list[str] | None = None) -> int:
    """Measure and print. Exit code 0: measured; 1: not valid, and why."""
    parser = _parser()
    options = parser.parse_args(argv)
    sizes = sorted({*(size for size in SIZES if size < options.workloads), options.workloads})
    if options.render and (options.quick or options.calls or sizes != sorted(SIZES)):
        parser.error("--render keeps whole runs: not with --quick, --calls or --workloads")
    plan = Plan(
        sizes=sizes,
        calls=[BY_NAME[name] for name in options.calls] if options.calls else CALLS,
        seconds=options.seconds or (QUICK_SECONDS if options.quick else SECONDS),
    )
    try:
        result = run(plan, say=lambda line: print(line, flush=True))
    except BenchError as error:
        print(f"api: {error}", file=sys.stderr)
        return 1
    print(f"\n{as_text(result)}")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.render:
        keep(result)
        print(f"wrote {render()}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.api", description=__doc__)
    parser.add_argument(
        "--workloads", type=_count, default=SIZES[-1], help="the largest store (10000)"
    )
    parser.add_argument("--seconds", type=float, help="time for each call at each size, s (2)")
    parser.add_argument("--quick", action="store_true", help="0.3 s for each: under a minute")
    parser.add_argument(
        "--calls", type=_names, metavar="A,B", help=f"of: {', '.join(BY_NAME)} (all)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--render", action="store_true", help="keep the result and render loadtests/API.md"
    )
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _names(text: str) -> list[str]:
    found = [name for name in text.split(",") if name]
    for name in found:
        if name not in BY_NAME:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(BY_NAME)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
