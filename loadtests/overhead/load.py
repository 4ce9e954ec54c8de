"""One run of wrk: closed loop, keep-alive connections, totals from wrk itself."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.overhead.children import BenchError

_SCRIPT = Path(__file__).with_name("summary.lua")
_ERRORS = ("connect_errors", "read_errors", "write_errors", "status_errors", "timeouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What wrk saw in one run without a single error."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests completed per second."""
        return self.requests / self.duration_s


def run_wrk(
    binary: str,
    url: str,
    *,
    token: str,
    connections: int,
    seconds: int,
    core: int,
    varied: bool = False,
) -> LoadResult:
    """Send as many requests as the target answers, for `seconds`.

    Args:
        binary: wrk.
        url: What to ask for.
        token: The bearer token.
        connections: Kept alive.
        seconds: How long.
        core: Where wrk runs.
        varied: Whether every request's target and headers differ from all others.

    Raises:
        BenchError: Any connect, read, write or time-out error, or any answer but 2xx and 3xx.
    """
    command = [
        *(binary, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)),
        *("-H", f"Authorization: Bearer {token}", url),
    ]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        told = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 30,
            env=os.environ | ({"WRK_VARIED": "1"} if varied else {}),
        )
    finally:
        os.sched_setaffinity(0, before)
    return parse_summary(told.stdout + told.stderr, url=url)


def parse_summary(output: str, *, url: str) -> LoadResult:
    """Read the line that `summary.lua` prints.

    Raises:
        BenchError: There is none, nothing was completed, or errors are counted.
    """
    line = next((x for x in output.splitlines() if x.startswith("SUMMARY ")), None)
    if line is None:
        raise BenchError(f"wrk gave no summary for {url}:\n{output}")
    told: dict[str, int] = json.loads(line.removeprefix("SUMMARY "))
    errors = {name: told[name] for name in _ERRORS if told[name]}
    if errors or not told["requests"]:
        raise BenchError(f"{url}: {told['requests']} requests with errors: {errors}")
    return LoadResult(
        requests=told["requests"],
        duration_s=told["duration_us"] / 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
    )
