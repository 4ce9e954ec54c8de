"""Processes under measurement: started on one core, watched by the kernel's accounting."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

START_TIMEOUT_S = 30.0
"""Longest time from a process's start to its first good answer."""


class BenchError(Exception):
    """The measurement is not valid; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTime:
    """CPU seconds of a process and all its descendants."""

    user_s: float
    system_s: float

    def since(self, earlier: "CpuTime") -> "CpuTime":
        """What was spent after `earlier`."""
        return CpuTime(
            user_s=self.user_s - earlier.user_s, system_s=self.system_s - earlier.system_s
        )

    @property
    def total_s(self) -> float:
        """User and system together."""
        return self.user_s + self.system_s


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
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # inherited by the child, then given back
        try:
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(environ) if environ is not None else None,
                )
        finally:
            os.sched_setaffinity(0, before)

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
        """CPU time of the whole tree so far (resolution: one clock tick, usually 10 ms)."""
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


def cpu_of(pid: int) -> CpuTime:
    """CPU time of a process and its descendants."""
    times = [p.cpu_times() for p in _tree(pid)]
    return CpuTime(user_s=sum(t.user for t in times), system_s=sum(t.system for t in times))


def _tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], child: Child, *, what: str) -> None:
    """Poll `ready` until it is true.

    Raises:
        BenchError: The child ended, or nothing came within `START_TIMEOUT_S`.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {START_TIMEOUT_S:.0f} s\n{child.tail()}")
        time.sleep(0.05)


def status_of(url: str, headers: Mapping[str, str] | None = None) -> int:
    """Status code of one GET; 0 when nobody answers."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - own URL
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - own URL
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def tool(name: str) -> str | None:
    """Path of a command: on the PATH, in sbin, or beside this interpreter."""
    beside = f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin"
    return shutil.which(name) or shutil.which(name, path=beside)
