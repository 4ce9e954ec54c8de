"""Load tests of any invoke URL with locust: `locust -f loadtests/locustfile.py --headless ...`.

LOCUST.md beside this file says how; `python -m loadtests.options` lists the options.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from locust import LoadTestShape, events
from locust.env import Environment
from locust.exception import CatchResponseError
from locust.runners import LocalRunner, Runner

# locust makes this file's directory importable, not the one above it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.answers import lost_code
from loadtests.arrivals import TraceError
from loadtests.options import add_options, own_parser
from loadtests.plan import OptionError, read_plan
from loadtests.report import State
from loadtests.run import Run
from loadtests.shapes import users_at
from loadtests.target import find_target
from loadtests.users import GatewayUser, JsonUser, MixedUser, StreamUser, WebSocketUser

__all__ = ["GatewayShape", "JsonUser", "MixedUser", "StreamUser", "WebSocketUser"]

_log = logging.getLogger("tidegate")
_SECRETS = {"token", "header"}
_LOCUST_OPTIONS = {"num_users", "spawn_rate", "run_time", "user_classes", "stop_timeout"}
_STOP_S = 10.0
"""How long requests that are under way may take when the run ends, unless --stop-timeout says."""
_PAGE_EVERY = 5
"""Seconds between two writings of the page while the run goes on."""


class GatewayShape(LoadTestShape):
    """Asks the plan how many users there are now."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate; None ends the run."""
        run = GatewayUser.run_of_all
        if run.is_open:
            # The last answers are waited for: each is within --timeout, or has failed.
            over = run.exhausted and run.recorder.ended_count == run.claimed
            users: int | None = None if over else run.plan.course.users
        else:
            users = users_at(run.plan.course, self.get_run_time())  # type: ignore[no-untyped-call]
        if users is None:
            run.state = State.FINISHED
            return None
        # In one step: locust spreads steps over seconds otherwise, and trips over the next one.
        return users, float(run.plan.course.users)


def on_parser(parser: argparse.ArgumentParser, **_: object) -> None:
    """Add our options to locust's."""
    add_options(parser)


def on_init(environment: Environment, runner: Runner, **_: object) -> None:
    """Read the options, find the target, and set up what users share."""
    options = environment.parsed_options
    if options is None or not isinstance(runner, LocalRunner):
        _refuse("one process only: without --master, --worker and --processes")
    values: dict[str, Any] = vars(options)
    try:
        plan = read_plan(values)
        target = find_target(
            host=environment.host,
            workload=values["workload"],
            token=values["token"],
            api_url=values["api_url"],
            environ=os.environ,
        )
        GatewayUser.run_of_all = Run(plan, target, _shown(values))
    except (OptionError, TraceError) as exc:
        _refuse(str(exc))
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # three lines for every look
    if target.token is None:
        _log.warning("No token: --token, TIDEGATE_TOKEN or `tidegate login` give one.")
    environment.host = target.url
    if not options.user_classes:
        environment.user_classes = [MixedUser]
    environment.stop_timeout = environment.stop_timeout or _STOP_S
    if plan.results is not None:
        plan.results.mkdir(parents=True, exist_ok=True)  # fails now, not after an hour
    runner.greenlet.spawn(_watch, runner)


def on_start(**_: object) -> None:
    """A closed loop begins with its first user; in the web page a test can be started again."""
    run = GatewayUser.run_of_all
    if run.began_s is not None:
        GatewayUser.run_of_all = run = Run(run.plan, run.target, run.options)
    if not run.is_open:
        run.begin()


def on_spawned(**_: object) -> None:
    """An open loop begins when all of its users are there."""
    GatewayUser.run_of_all.begin()


def on_request(
    request_type: str,
    name: str,
    response_time: float,
    exception: BaseException | None,
    **_: object,
) -> None:
    """Record what became of a request, or of a part of one."""
    run = GatewayUser.run_of_all
    error = None
    if exception is not None:
        ours = isinstance(exception, CatchResponseError)
        error = str(exception) if ours else lost_code(exception)
    run.recorder.ended(run.now_s(), (request_type, name), response_time, error)


def on_quitting(**_: object) -> None:
    """Write the page, whatever the end was."""
    run = getattr(GatewayUser, "run_of_all", None)
    if run is None:
        return
    if run.state == State.RUNNING:
        run.state = State.INTERRUPTED
    if run.plan.results is not None:
        _log.info("Results: %s", run.write(run.plan.results))


def _watch(runner: Runner) -> None:
    """Look at users and replicas every second; keep the page fresh, for a run that is killed."""
    while True:
        time.sleep(1)  # gevent's: locust has patched it
        run = GatewayUser.run_of_all
        if run.began_s is None:
            continue
        run.look(runner.user_count)
        if run.plan.results is not None and int(run.now_s()) % _PAGE_EVERY == 0:
            run.write(run.plan.results)


def _shown(values: dict[str, Any]) -> dict[str, object]:
    """The options for the page: ours, and those of locust's that matter; no secrets."""
    ours = vars(own_parser().parse_args([]))
    return {
        name.replace("_", "-"): value
        for name, value in sorted(values.items())
        if name in {*ours, *_LOCUST_OPTIONS} - _SECRETS and value not in (None, "", [])
    }


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(f"error: {problem}\n")
    sys.exit(2)


for _event, _listener in (
    (events.init_command_line_parser, on_parser),
    (events.init, on_init),
    (events.test_start, on_start),
    (events.spawning_complete, on_spawned),
    (events.request, on_request),
    (events.quitting, on_quitting),
):
    _event.add_listener(_listener)  # type: ignore[no-untyped-call]
