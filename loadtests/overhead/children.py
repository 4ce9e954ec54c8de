"""Processes under measurement: started on one core, watched by the kernel's accounting."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from controlplane.store.parent_death import die_with_parent

START_TIMEOUT_S = 60.0
"""Longest time from a process's start to its first good answer."""


class BenchError(Exception):
    """The measurement is not valid; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTime:
    """CPU seconds of a process and all its descendants.

    The sum is exact to the nanosecond (the processes' CPU clocks). The kernel knows the split into
    user and system from clock ticks only (10 ms): it is sampled.
    """

    total_s: float
    user_sampled_s: float
    system_sampled_s: float

    def since(self, earlier: "CpuTime") -> "CpuTime":
        """What was spent after `earlier`."""
        return CpuTime(
            total_s=self.total_s - earlier.total_s,
            user_sampled_s=self.user_sampled_s - earlier.user_sampled_s,
            system_sampled_s=self.system_sampled_s - earlier.system_sampled_s,
        )

    @property
    def user_s(self) -> float:
        """The user part of the total."""
        sampled_s = self.user_sampled_s + self.system_sampled_s
        return self.total_s * (self.user_sampled_s / sampled_s if sampled_s else 0.5)

    @property
    def system_s(self) -> float:
        """The system part of the total."""
        return self.total_s - self.user_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Who runs where: the measured proxy alone, everything else together."""

    proxy: int
    load: int


def choose_cores() -> Cores:
    """Take the first two cores this process may use.

    Raises:
        BenchError: There is only one: the load would be measured with the proxy.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("needs two cores: one for the proxy, one for load and application")
    return Cores(proxy=allowed[0], load=allowed[1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started inside runs on `core` only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # inherited by children
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Child:
    """A process on one core. Its output goes to a file that errors quote."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int,
        directory: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = list(command)
        self._core = core
        self._environ = dict(environ) if environ is not None else None
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with pinned(self._core), self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
                # A benchmark that is killed leaves nothing behind.
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prctl call
            )

    def restart(self) -> None:
        """End it and start the same command again."""
        self.stop()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id of the parent of the tree."""
        return self._process.pid

    def tail(self, lines: int = 15) -> str:
        """The end of what the process wrote."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def check(self) -> None:
        """Raise BenchError with the log's tail when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise BenchError(f"{self.name} ended with exit code {code}:\n{self.tail()}")

    def cpu(self) -> CpuTime:
        """CPU time of the whole tree so far."""
        self.check()
        return cpu_of(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory of the whole tree."""
        return sum(p.memory_info().rss for p in _tree(self.pid))

    def stop(self, *, timeout_s: float = 15.0) -> int:
        """SIGTERM, then SIGKILL when that does not end it. Returns the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode


def cpu_of(pid: int, *, descendants: bool = True) -> CpuTime:
    """CPU time of a process, as a rule with its descendants."""
    tree = _tree(pid) if descendants else [psutil.Process(pid)]
    sampled = [process.cpu_times() for process in tree]
    return CpuTime(
        total_s=sum(_cpu_clock_s(process.pid) for process in tree),
        user_sampled_s=sum(times.user for times in sampled),
        system_sampled_s=sum(times.system for times in sampled),
    )


def _cpu_clock_s(pid: int) -> float:
    # What clock_getcpuclockid(3) computes; Python has that one for threads only.
    return time.clock_gettime((~pid << 3) | 2)


def move_to(pid: int, core: int) -> None:
    """Bind a running process, with all its threads, to a core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def allow_many_files() -> int:
    """Raise the limit of open files, which children inherit, to the hard one, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most if most != resource.RLIM_INFINITY else sys.maxsize


def _tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Living(Protocol):
    def check(self) -> None: ...

    def tail(self) -> str: ...


def wait_until(ready: Callable[[], bool], process: _Living, *, what: str) -> None:
    """Poll `ready` until it is true.

    Raises:
        BenchError: The process ended, or nothing came within `START_TIMEOUT_S`.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        process.check()
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {START_TIMEOUT_S:.0f} s\n{process.tail()}")
        time.sleep(0.05)


def answer_to(url: str, headers: Mapping[str, str] | None = None) -> str:
    """Body of the answer to one GET.

    Raises:
        OSError: Nobody answers, or with an error status.
    """
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - own URL
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - own URL
        body: bytes = answer.read()
        return body.decode()


def status_of(url: str, headers: Mapping[str, str] | None = None) -> int:
    """Status code of one GET; 0 when nobody answers."""
    try:
        answer_to(url, headers)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0
    return 200


def tool(name: str) -> str | None:
    """Path of a command: on the PATH, in sbin, or beside this interpreter."""
    beside = f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin"
    return shutil.which(name) or shutil.which(name, path=beside)
