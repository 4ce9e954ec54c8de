"""Load from the other core: wrk for requests and answers, `clients` for what wrk cannot do.

A load is prepared first and sent when it is told to, so that the measured process's accounts are
read around the load alone.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from controlplane.store.parent_death import die_with_parent
from loadtests.overhead.children import BenchError, pinned, tool

_SCRIPT = Path(__file__).with_name("summary.lua")
_ERRORS = ("connect_errors", "read_errors", "write_errors", "status_errors", "timeouts")
_GRACE_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What the load's source saw in one run without a single error."""

    count: int
    """Requests, events, messages or connections."""
    duration_s: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """How many per second."""
        return self.count / self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where load goes, and from where."""

    url: str
    token: str
    core: int
    """The core of load and applications."""


class Load(Protocol):
    """A kind of load."""

    def ready(
        self, aim: Aim, *, seconds: int
    ) -> contextlib.AbstractContextManager[Callable[[], LoadResult]]:
        """Prepare; the block's value sends the load once. Its connections last until the end.

        Raises:
            BenchError: Any error at all, or an answer that is not as it should be.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrk:
    """Closed loop: each connection asks again as soon as it is answered."""

    connections: int
    varied: bool = False
    """Whether every request's target and headers differ from all others."""
    upload_bytes: int = 0
    """Size of each request's body; 0: GET."""
    reconnect: bool = False
    """Whether every request has a connection of its own."""
    paths: tuple[str, ...] = ()
    """Ask for these in turn, instead of for the URL's."""

    def command(self, binary: str, aim: Aim, seconds: int) -> list[str]:
        """The command line."""
        headers = [f"Authorization: Bearer {aim.token}"]
        if self.reconnect:
            headers.append("Connection: close")
        return [
            *(binary, "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", str(_SCRIPT)),
            *(part for header in headers for part in ("-H", header)),
            aim.url,
        ]

    def environ(self) -> dict[str, str]:
        """What `summary.lua` is to do."""
        wanted = {
            "WRK_VARIED": "1" if self.varied else "",
            "WRK_UPLOAD_BYTES": str(self.upload_bytes or ""),
            "WRK_PATHS": " ".join(self.paths),
        }
        return {name: value for name, value in wanted.items() if value}

    @contextlib.contextmanager
    def ready(self, aim: Aim, *, seconds: int) -> Iterator[Callable[[], LoadResult]]:
        """See `Load.ready`."""
        binary = tool("wrk")
        if binary is None:
            raise BenchError("needs wrk: apt-get install wrk")
        command = self.command(binary, aim, seconds)

        def send() -> LoadResult:
            with pinned(aim.core):
                told = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=seconds + _GRACE_S,
                    env=os.environ | self.environ(),
                )
            return parse_summary(told.stdout + told.stderr, url=aim.url)

        yield send


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A load of `clients`: `events`, `websocket` or `idle`."""

    kind: str
    connections: int

    @contextlib.contextmanager
    def ready(self, aim: Aim, *, seconds: int) -> Iterator[Callable[[], LoadResult]]:
        """See `Load.ready`."""
        command = [
            *(sys.executable, "-m", "loadtests.overhead.clients", self.kind, aim.url),
            *(str(self.connections), str(seconds)),
        ]
        with pinned(aim.core):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"OVERHEAD_TOKEN": aim.token},  # not for everybody's `ps`
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one prctl call
            )
        try:
            self._hear(process, "READY", aim)

            def send() -> LoadResult:
                _tell(process, "go")
                return parse_summary(self._hear(process, "SUMMARY", aim), url=aim.url)

            yield send
        finally:
            process.kill()
            process.communicate()

    def _hear(self, process: "subprocess.Popen[str]", word: str, aim: Aim) -> str:
        """The line that begins with this word; the program gives up by itself in time."""
        said = []
        for line in process.stdout or ():
            if line.startswith(word):
                return line
            said.append(line)
        raise BenchError(f"{self.kind} client of {aim.url}: {''.join(said[-5:]).strip()}")


def _tell(process: "subprocess.Popen[str]", word: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()


def parse_summary(output: str, *, url: str) -> LoadResult:
    """Read the line that `summary.lua` and `clients` print.

    Raises:
        BenchError: There is none, nothing was completed, or errors are counted.
    """
    line = next((x for x in output.splitlines() if x.startswith("SUMMARY ")), None)
    if line is None:
        raise BenchError(f"no summary for {url}:\n{output}")
    told: dict[str, int] = json.loads(line.removeprefix("SUMMARY "))
    errors = {name: told[name] for name in _ERRORS if told.get(name)}
    if errors or not told["requests"]:
        raise BenchError(f"{url}: {told['requests']} requests with errors: {errors}")
    return LoadResult(
        count=told["requests"],
        duration_s=told["duration_us"] / 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
    )


def summary(count: int, duration_s: float, times_ms: Sequence[float]) -> str:
    """The line that `parse_summary` reads."""
    ordered = sorted(times_ms) or [0.0]
    told = {
        "requests": count,
        "duration_us": round(duration_s * 1e6),
        "p50_us": round(1e3 * ordered[len(ordered) // 2]),
        "p99_us": round(1e3 * ordered[len(ordered) * 99 // 100]),
    }
    return f"SUMMARY {json.dumps(told)}"
