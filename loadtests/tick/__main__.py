"""`python -m loadtests.tick`: CPU time of a round of decisions over busy workloads, or of a day."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from autoscaler import native
from loadtests.tick.page import as_text, days_as_text, keep, render

INTERPRETED: Final = "--interpreted"
SIZES: Final = (1_000, 10_000, 100_000)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; exit code 0."""
    from loadtests.tick import day  # noqa: PLC0415 - compiled or not: decided below
    from loadtests.tick.bench import run  # noqa: PLC0415

    parser = _parser()
    options = parser.parse_args(argv)
    if options.render:
        if options.quick:
            parser.error("--render keeps whole runs: not with --quick")
        if options.day:
            parser.error("--render measures days, too: not with --day")
        results = [_apart(size, options.gateways) for size in SIZES]
        keep(results, [day.measure(name) for name in day.DAYS])
        print(f"wrote {render()}")
    elif options.day:
        results = [day.measure(name) for name in day.DAYS]
    else:
        results = [run(options.workloads, options.gateways, quick=options.quick, say=_say)]
    print(days_as_text(results) if options.day else as_text(results))
    if options.json:
        kept: Any = results[0] if len(results) == 1 else results
        Path(options.json).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _apart(workloads: int, gateways: int) -> dict[str, Any]:
    """In a process of its own, so that no size's memory is another's."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "result.json")
        command = [sys.executable, "-m", "loadtests.tick", "--json", str(file)]
        command += ["--workloads", str(workloads), "--gateways", str(gateways)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.tick", description=__doc__)
    parser.add_argument("--workloads", type=_count, default=10_000, help="all busy (10000)")
    parser.add_argument(
        "--gateways", type=_count, default=4, help="workers that report each of them (4)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rounds: under a minute for 10,000"
    )
    parser.add_argument(
        INTERPRETED,
        action="store_true",
        help="leave the compiled modules out (`make build` makes them; without a build of the"
        " present sources nothing else runs)",
    )
    parser.add_argument(
        "--day", action="store_true", help="replay 24 hours of one workload instead, two kinds"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--render",
        action="store_true",
        help="measure 1,000, 10,000 and 100,000 and the days, keep the results and render"
        " loadtests/TICK.md",
    )
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


if __name__ == "__main__":
    if INTERPRETED not in sys.argv:
        native.activate()
    sys.exit(main())
