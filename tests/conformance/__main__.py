"""Sends the conformance cases to every proxy: `python -m tests.conformance --help`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from tests.conformance import page, runner
from tests.conformance.cases.catalogue import CASES
from tests.conformance.peers import PEERS
from tests.conformance.runner import OURS, Result
from tests.conformance.script import Grade

NAMES = (*(peer.name for peer in PEERS), OURS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 when a case of ours fails."""
    options = _options(arguments)
    wanted = [case for case in CASES if not options.case or case.id in options.case]
    names = _names(options)
    missing = runner.missing()
    results = {}
    for name in names:
        if name in missing:
            sys.stdout.write(f"{name:10} is missing: {missing[name]}\n")
            continue
        results[name] = asyncio.run(runner.run(name, wanted, deadline_s=options.deadline_s))
        _tell(name, results[name], verbose=options.verbose)
    if options.render:
        if options.case or set(results) != set(NAMES):
            sys.stderr.write("the page needs every case and every proxy\n")
            return 2
        page.write(page.record(results, runner.versions()))
    ours = results.get(OURS, [])
    return int(any(result.verdict.grade is not Grade.PASS for result in ours))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--peer", action="append", help="only this proxy; may be repeated")
    parser.add_argument("--only", choices=["ours"], help="the same as --peer Tidegate")
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--render", action="store_true", help=f"write {page.PAGE}")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the bytes")
    parser.add_argument(
        "--deadline-s",
        type=float,
        default=runner.DEADLINE_S,
        help="most seconds for a case (default %(default)s)",
    )
    return parser.parse_args(arguments)


def _names(options: argparse.Namespace) -> list[str]:
    if options.only:
        return [OURS]
    asked = {name.lower() for name in options.peer or NAMES}
    return [name for name in NAMES if name.lower() in asked]


def _tell(name: str, results: list[Result], *, verbose: bool) -> None:
    grades = [result.verdict.grade for result in results]
    sys.stdout.write(f"{name:10} " + " ".join(f"{g}={grades.count(g)}" for g in Grade) + "\n")
    for result in results:
        verdict = result.verdict
        if verdict.grade is not Grade.PASS:
            sys.stdout.write(f"  {verdict.grade:8} {result.case_id:32} {verdict.reason}\n")
        if verbose:
            seen = result.transcript
            for stream in seen.origin:
                sys.stdout.write(f"      origin  {stream[:2000]!r}\n")
            sys.stdout.write(f"      client  {seen.client[:2000]!r} [{seen.client_end}]\n")


if __name__ == "__main__":
    sys.exit(main())
