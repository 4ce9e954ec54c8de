"""`python -m loadtests.overhead.routes`: what the number of workloads costs a gateway worker.

One store, a namespace for each size, one worker each; every round loads each of them. A request
must cost the same however many workloads there are; start-up and memory may grow with their number.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from controlplane.model.kinds import Record
from loadtests.overhead import applications, worker
from loadtests.overhead.cases import Case
from loadtests.overhead.children import BenchError, Cores, choose_cores, tool
from loadtests.overhead.load import Wrk
from loadtests.overhead.machine import machine, our_versions
from loadtests.overhead.page import keep, render, routes_table
from loadtests.overhead.report import text_table
from loadtests.overhead.rounds import Result, measure, run_rounds
from loadtests.overhead.target import Job, Route, Target

SIZES: Final = (10, 10_000, 100_000)
CALLED: Final = 10
"""Workloads that are called, in turn; only these have a replica: it is the table that is
measured, not the connections to as many applications."""
CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A worker's start."""

    target: Target
    start_s: float
    """From its launch to its first answer."""
    rss_bytes: int
    """Then."""


def called(size: int) -> list[int]:
    """Numbers of the called workloads, spread over the whole table."""
    return [1 + index * size // CALLED for index in range(CALLED)]


def main(argv: list[str] | None = None) -> int:
    """Measure and print. Exit code 0: measured; 1: not valid, and why."""
    options = _parser().parse_args(argv)
    try:
        result = run(options.sizes, rounds=options.rounds, seconds=options.seconds)
    except BenchError as error:
        print(f"routes: {error}", file=sys.stderr)
        return 1
    print("\n".join(["", *text_table(routes_table(result))]))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.render:
        keep("routes", result)
        print(f"wrote {render()}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overhead.routes", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all sizes (5)")
    parser.add_argument("--seconds", type=int, default=2, help="load per size and round, s (2)")
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, metavar="N,M", help="workloads (10,10000,100000)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--render", action="store_true", help="keep the result and render loadtests/README.md"
    )
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(word) for word in text.split(","))
    if min(sizes) < CALLED:
        raise argparse.ArgumentTypeError(f"at least {CALLED} each")
    return sizes


def run(sizes: Sequence[int], *, rounds: int, seconds: int) -> dict[str, Any]:
    """Fill stores, start workers, measure, stop everything.

    Raises:
        BenchError: A tool is missing, something did not start, or a request failed.
    """
    if tool("wrk") is None:
        raise BenchError("needs wrk: apt-get install wrk")
    cores = choose_cores()
    token = worker.new_token()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="routes-")))
        port = stack.enter_context(
            applications.running("static", core=cores.load, directory=directory)
        )
        url = stack.enter_context(worker.running_store(directory, core=cores.load))
        starts = {}
        for size in sizes:
            worker.fill(url, records(size, token=token, port=port), namespace=f"n{size}")
            starts[size] = _start(stack, size, url, token=token, cores=cores, directory=directory)
            print(f"{size:,} workloads: first answer after {starts[size].start_s:.1f} s")
        results = _measure(starts, token=token, port=port, rounds=rounds, seconds=seconds)
        return {
            "machine": machine(),
            "versions": our_versions(),
            "rounds": rounds,
            "seconds": seconds,
            "sizes": [
                {
                    "workloads": size,
                    "start_s": round(start.start_s, 3),
                    "rss_bytes": start.rss_bytes,
                    **{field: asdict(result.spread(field)) for field in _FIELDS},
                }
                for (size, start), result in zip(starts.items(), results, strict=True)
            ],
        }


_FIELDS: Final = ("cpu_us", "user_us", "system_us", "per_second", "busy_ratio")


def records(size: int, *, token: str, port: int) -> list[Record]:
    """So many workloads, and who may call them."""
    with_replica = frozenset(called(size))
    found = worker.people(token)
    for number in range(1, size + 1):
        found += worker.workload(number, port=port if number in with_replica else None)
    return found


def _start(
    stack: contextlib.ExitStack,
    size: int,
    url: str,
    *,
    token: str,
    cores: Cores,
    directory: Path,
) -> Start:
    begin_s = time.monotonic()
    target = stack.enter_context(
        worker.running_worker(
            url,
            token=token,
            core=cores.proxy,
            directory=directory,
            name=f"{size} workloads",
            settings={"TIDEGATE_STORE_NAMESPACE": f"n{size}"},
        )
    )
    start_s = time.monotonic() - begin_s
    return Start(target=target, start_s=start_s, rss_bytes=target.process.rss_bytes())


def _measure(
    starts: dict[int, Start], *, token: str, port: int, rounds: int, seconds: int
) -> list[Result]:
    route = Route(prefix=worker.prefix(1), port=port)
    job = Job(token=token, static=route, streams=route)
    cores = choose_cores()
    cases = {
        start.target.name: Case(
            name="routes",
            label="workloads",
            title="Workloads in turn",
            load=Wrk(
                connections=CONNECTIONS,
                paths=tuple(f"{worker.prefix(number)}/predict" for number in called(size)),
            ),
        )
        for size, start in starts.items()
    }
    targets = [start.target for start in starts.values()]
    for target in targets:  # connections, caches
        measure(target, cases[target.name], job, seconds=1, cores=cores)
    return run_rounds(
        targets,
        lambda target: measure(target, cases[target.name], job, seconds=seconds, cores=cores),
        rounds=rounds,
        say=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    sys.exit(main())
