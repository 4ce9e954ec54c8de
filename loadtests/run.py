"""One run of a load test: what is asked, what was seen, which moment it is."""

import os
import platform
import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from controlplane.cli.errors import CliError
from loadtests.arrivals import Arrival, constant, replay
from loadtests.plan import Plan
from loadtests.recording import Recorder
from loadtests.report import Report, State, as_json
from loadtests.results_page import page
from loadtests.shapes import Shape
from loadtests.target import Target, count_replicas

_PACKAGES = ("tidegate", "locust", "gevent", "geventhttpclient", "websocket-client")


class Run:
    """Shared by all users, the shape and the page."""

    def __init__(self, plan: Plan, target: Target, options: Mapping[str, object]) -> None:
        self.plan = plan
        self.target = target
        self.options = options
        """What the page shows of the command line."""
        self.recorder = Recorder()
        self.rng = random.Random(plan.cut.seed)  # noqa: S311 - a load test, no secret
        self.state = State.RUNNING
        self.began_s: float | None = None
        """On the clock of `time.perf_counter`; None: not begun."""
        self.claimed = 0
        """Requests of an open loop that users have taken on: they wait for their moment, are under
        way, or have ended."""
        self.exhausted = False
        """No request of an open loop is due any more."""
        self._began_at = datetime.now(UTC)
        self._began_cpu_s = time.process_time()
        self._replica_problem = target.api_problem
        self._arrivals: Iterator[Arrival] | None = None
        if plan.trace is not None:
            self._arrivals = replay(plan.trace, plan.cut)
        elif plan.course.shape == Shape.RATE:
            self._arrivals = constant(plan.rate_per_s)

    @property
    def is_open(self) -> bool:
        """Whether requests leave when they are due."""
        return self._arrivals is not None

    def begin(self) -> None:
        """Now is second 0, if there was none before."""
        if self.began_s is None:
            self.began_s = time.perf_counter()
            self._began_cpu_s = time.process_time()
            self._began_at = datetime.now(UTC)

    def now_s(self) -> float:
        """Seconds since the beginning; 0 before it."""
        return 0.0 if self.began_s is None else time.perf_counter() - self.began_s

    def next_arrival(self) -> Arrival | None:
        """The next request that is due, which nobody else gets; None: there is none."""
        run_s = self.plan.course.run_s
        arrival = None
        if self._arrivals is not None and not self.exhausted:
            arrival = next(self._arrivals, None)
        if arrival is None or (run_s is not None and arrival.at_s >= run_s):
            self.exhausted = True
            return None
        self.claimed += 1
        return arrival

    def look(self, users: int) -> None:
        """Note how many users and replicas there are."""
        at_s = self.now_s()
        self.recorder.users[int(at_s)] = users
        if self.target.api is None or self.target.workload_id is None:
            return
        try:
            sample = count_replicas(self.target.api, self.target.workload_id, at_s)
        except (CliError, LookupError, TypeError) as exc:
            self._replica_problem = f"after {at_s:.0f} s the API said: {exc}"
        else:
            self.recorder.replicas.append(sample)

    def write(self, directory: Path) -> Path:
        """Write the page and the numbers; returns the page's path. Never half a file."""
        report = Report(
            url=self.target.url,
            state=self.state,
            began=self._began_at.isoformat(timespec="seconds"),
            planned_s=self.plan.course.run_s,
            is_open=self.is_open,
            options=self.options,
            versions=versions(),
            recorder=self.recorder,
            busy_ratio=(time.process_time() - self._began_cpu_s) / max(self.now_s(), 0.001),
            replica_problem=self._replica_problem,
        )
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in (("results.json", as_json(report)), ("index.html", page(report))):
            draft = directory / f".{name}.{os.getpid()}"
            draft.write_text(text, encoding="utf-8")
            draft.replace(directory / name)
        return directory / "index.html"


def versions() -> dict[str, str]:
    """Of everything that has a part in the numbers."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    cores = os.cpu_count()
    return {
        **found,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} cores",
    }
