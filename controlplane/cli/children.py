"""Processes that the supervisor starts: how they begin, how they ended, how they are told to stop.

Every child is a session of its own, so that Ctrl-C at the terminal reaches only the supervisor,
which stops them in order; and it carries a parent-death signal, so that a supervisor that was
killed takes them along (Linux; elsewhere the next start ends what it finds in run.json).
"""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from controlplane.store.parent_death import die_with_parent


class Stage(IntEnum):
    """Start order; the stop order is its reverse: traffic first, the store last."""

    STORE = 0
    API = 1
    AUTOSCALER = 2
    GATEWAY = 3


class StartError(Exception):
    """A child did not come up; the message says how."""


class Child(Protocol):
    """What the supervisor needs of a process. Called from its event loop only; nothing blocks."""

    @property
    def name(self) -> str:
        """Unique in the installation: `gateway-0`."""

    @property
    def stage(self) -> Stage:
        """When to start and stop it."""

    @property
    def ready_url(self) -> str | None:
        """Answers 200 once it does its work; None: ready when it runs."""

    @property
    def log_path(self) -> Path:
        """Where its standard output and error go."""

    @property
    def pid(self) -> int | None:
        """The process while it runs."""

    @property
    def started(self) -> bool:
        """Whether its start has been completed, so that it makes sense to ask for readiness."""

    async def start(self) -> None:
        """Start it (again).

        Raises:
            OSError: It cannot be started.
            StartError: It started, and ended or did not come up.
        """

    def poll(self) -> str | None:
        """How it ended (`exited with code 1`), or None while it runs."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process of ours."""

    name: str
    stage: Stage
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    log_path: Path
    ready_url: str | None = None


class ProcessChild:
    """A child process made from a `ProcessSpec`."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.name = spec.name
        self.stage = spec.stage
        self.ready_url = spec.ready_url
        self.log_path = spec.log_path
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def started(self) -> bool:
        """Whether it has been started: a start takes no time to complete."""
        return self._process is not None

    async def start(self) -> None:
        """Start it (again). Its output is appended to its log file."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own argv; fork is fast
                self._spec.argv,
                env=dict(self._spec.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prctl call
            )

    def poll(self) -> str | None:
        """How it ended, or None while it runs."""
        if self._process is None:
            return "was not started"
        code = self._process.poll()
        return None if code is None else describe_exit(code)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)


def describe_exit(code: int) -> str:
    """A `Popen.returncode` in words."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"
