"""`python -m loadtests.overhead`: what a request costs us and others, in one run."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from loadtests.overhead.bench import Plan, run
from loadtests.overhead.cases import BY_NAME, CASES, MAIN
from loadtests.overhead.children import BenchError
from loadtests.overhead.page import keep, render
from loadtests.overhead.peers import PEERS
from loadtests.overhead.report import as_text

QUICK_PEERS: Final = ("nginx", "haproxy", "caddy")
QUICK_ROUNDS: Final = 3


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark. Exit code 0: measured; 1: not valid, and why."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.render and (options.quick or options.cases or options.peers):
        parser.error("--render keeps whole runs: not with --quick, --cases or --peers")
    try:
        result = run(_plan(options), say=lambda line: print(line, flush=True))
    except BenchError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return 1
    print(f"\n{as_text(result)}")
    if options.json:
        _write_json(Path(options.json), result)
    if options.render:
        keep("overhead", result)
        print(f"wrote {render()}")
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    names = options.cases or ([MAIN] if options.quick else list(BY_NAME))
    wanted = options.peers
    if wanted is None:
        wanted = QUICK_PEERS if options.quick else [peer.name for peer in PEERS]
    return Plan(
        cases=[case for case in CASES if case.name in names],
        peers=[peer for peer in PEERS if peer.name in wanted],
        rounds=options.rounds or (QUICK_ROUNDS if options.quick else 5),
        seconds=options.seconds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.overhead", description=__doc__)
    parser.add_argument("--rounds", type=_count, help="rounds over all proxies (5; with --quick 3)")
    parser.add_argument(
        "--seconds", type=_count, help="load per proxy and round, s (1; the main case 2)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{MAIN} against {', '.join(QUICK_PEERS)} only: under 50 s",
    )
    parser.add_argument(
        "--cases", type=_names(list(BY_NAME)), metavar="A,B", help=f"of: {', '.join(BY_NAME)} (all)"
    )
    peers = [peer.name for peer in PEERS]
    parser.add_argument(
        "--peers", type=_names(peers), metavar="A,B", help=f"of: {', '.join(peers)} (all)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--render",
        action="store_true",
        help="keep the (whole) result and render loadtests/README.md",
    )
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads a list of known names, separated by commas."""

    def names(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return found

    return names


def _write_json(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
