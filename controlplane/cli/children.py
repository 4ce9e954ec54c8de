"""Processes that the supervisor starts: how they begin, how they ended, how they are told to stop.

Every child is a session of its own, so that Ctrl-C at the terminal reaches only the supervisor,
which stops them in order; and it carries a parent-death signal, so that a supervisor that was
killed takes them along (Linux; elsewhere the next start ends what it finds in run.json).
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from controlplane.cli.slots import Slot
from controlplane.store.parent_death import die_with_parent


class Stage(IntEnum):
    """Start order; the stop order is its reverse: traffic first, the store last."""

    STORE = 0
    API = 1
    AUTOSCALER = 2
    GATEWAY = 3


class StartError(Exception):
    """A child did not come up; the message says how."""


class Announce(Protocol):
    """Tells people and machines what happened."""

    def __call__(self, event: str, text: str, **fields: object) -> None:
        """`event` is a stable word, `text` one line for people, `fields` its numbers."""


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

    @property
    def leaving(self) -> bool:
        """Whether it runs, but does its work no more: somebody told it to end."""

    def successor(self) -> "Child | None":
        """Another one, not started yet, that can run beside it and take its place; None: none."""

    def let_go(self) -> None:
        """It will be away for long: nothing should wait for it. Its next start undoes this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process of ours."""

    name: str
    stage: Stage
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    log_path: Path
    ready_url: str | None = None
    slot: Slot | None = None
    """Listening sockets that it is handed; they stay open here."""


class ProcessChild:
    """A child process made from a `ProcessSpec`.

    One that is handed sockets also gets the writing end of a pipe: a byte says that it serves, the
    pipe's end that it accepts no more. So a successor can start on the same sockets at once,
    while it finishes.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.name = spec.name
        self.stage = spec.stage
        self.ready_url = spec.ready_url
        self.log_path = spec.log_path
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._serves = False

    @property
    def pid(self) -> int | None:
        """The process while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def started(self) -> bool:
        """Whether it has said that it serves; without sockets: whether it has been started."""
        self._listen()
        return self._serves if self._spec.slot is not None else self._process is not None

    @property
    def leaving(self) -> bool:
        """Whether it runs, but accepts no more."""
        self._listen()
        return self._serves and self._pipe is None and self.pid is not None

    def successor(self) -> "ProcessChild | None":
        """Another one on the same sockets; None: it has none, two would be in each other's way."""
        return ProcessChild(self._spec) if self._spec.slot is not None else None

    def let_go(self) -> None:
        """Leave connections to the others that listen on the same ports."""
        if self._spec.slot is not None:
            self._spec.slot.let_go()

    async def start(self) -> None:
        """Start it (again). Its output is appended to its log file."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._close_pipe()
        self._serves = False
        environ = dict(self._spec.environ)
        fds: dict[str, int] = {}
        if self._spec.slot is not None:
            self._spec.slot.take_up()
            fds = self._spec.slot.descriptors()
            self._pipe, fds["ready"] = os.pipe()
            os.set_blocking(self._pipe, False)
            environ["TIDEGATE_GATEWAY_LISTEN_FDS"] = " ".join(f"{n}={fd}" for n, fd in fds.items())
        try:
            self._process = self._spawn(environ, list(fds.values()))
        except OSError:
            self._close_pipe()
            raise
        finally:
            if fds:
                os.close(fds["ready"])

    def _spawn(self, environ: dict[str, str], fds: list[int]) -> "subprocess.Popen[bytes]":
        with self.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own argv
                self._spec.argv,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prctl call
            )

    def _listen(self) -> None:
        """Read what the process has said through its pipe."""
        while self._pipe is not None:
            try:
                said = os.read(self._pipe, 16)
            except BlockingIOError:
                return
            if said:
                self._serves = True
            else:
                self._close_pipe()

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def poll(self) -> str | None:
        """How it ended, or None while it runs."""
        if self._process is None:
            return "was not started"
        code = self._process.poll()
        if code is None:
            return None
        self._close_pipe()
        return describe_exit(code)

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
