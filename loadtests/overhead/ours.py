"""Ours as people run it: `tidegate up` with one worker, the applications deployed through its API.

The supervisor and everything that it starts run on the load's core; only the gateway worker is
moved to the measured one.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil

import controlplane
from controlplane.store.parent_death import die_with_parent
from loadtests.overhead.applications import commands
from loadtests.overhead.children import (
    START_TIMEOUT_S,
    BenchError,
    Cores,
    CpuTime,
    answer_to,
    cpu_of,
    move_to,
    pinned,
    status_of,
    wait_until,
)
from loadtests.overhead.target import Job, Route, Target, check_job

NAME: Final = "tidegate"
_WORKER: Final = "gateway-0"
_STOP_TIMEOUT_S: Final = 60.0
_LINE_CHARACTERS: Final = 2_000
"""Of each log line that an error quotes."""


class Installation:
    """A running `tidegate up`."""

    def __init__(self, directory: Path, *, core: int) -> None:
        """Start it on the load's core and wait until it is ready.

        Raises:
            BenchError: It did not start.
        """
        self.data_dir = directory / "up"
        self._log = directory / "up.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
        command = [
            *(sys.executable, "-m", "controlplane.cli", "up", "--json"),
            *("--data-dir", str(self.data_dir), "--workers", "1"),
            *("--port", "0", "--api-port", "0", "--admin-port", "0"),
        ]
        with pinned(core), self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=kept,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prctl call
            )
        try:
            wait_until(lambda: self._event("ready") is not None, self, what="tidegate up")
        except BaseException:
            self.stop()
            raise
        self.ready = self._event("ready") or {}

    def _event(self, name: str) -> dict[str, Any] | None:
        """What it announced, from its output of one JSON object a line."""
        for line in self._log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                event: dict[str, Any] = json.loads(line)
                if event.get("event") == name:
                    return event
        return None

    @property
    def processes(self) -> dict[str, int]:
        """Name to process id of what runs now."""
        info = json.loads((self.data_dir / "run.json").read_text(encoding="utf-8"))
        found: dict[str, int] = info["processes"]
        return found

    @property
    def token(self) -> str:
        """The owner's."""
        return str(self.ready["token"])

    def check(self) -> None:
        """Raise BenchError when it has ended."""
        code = self._process.poll()
        if code is not None:
            raise BenchError(f"tidegate up ended with exit code {code}:\n{self.tail()}")

    def tail(self, lines: int = 5) -> str:
        """The end of what it and its gateway worker wrote."""
        said = []
        for path in (self._log, self.data_dir / "logs" / f"{_WORKER}.log"):
            if path.exists():
                said += path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        return "\n".join(line[:_LINE_CHARACTERS] for line in said)

    def cpu_beside(self) -> CpuTime:
        """CPU time of the store, the API and the autoscaler: what serves us beside the worker.

        The applications, which the autoscaler has started, do not count.
        """
        beside = [pid for name, pid in self.processes.items() if name != _WORKER]
        times = [cpu_of(pid, descendants=False) for pid in beside]
        return CpuTime(
            total_s=sum(t.total_s for t in times),
            user_sampled_s=sum(t.user_sampled_s for t in times),
            system_sampled_s=sum(t.system_sampled_s for t in times),
        )

    def rss_beside_bytes(self) -> int:
        """Resident memory of the same processes."""
        beside = [pid for name, pid in self.processes.items() if name != _WORKER]
        return sum(int(psutil.Process(pid).memory_info().rss) for pid in beside)

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """One call of the REST API.

        Raises:
            BenchError: It is refused; with the API's reason.
        """
        request = urllib.request.Request(  # noqa: S310 - our own URL
            f"{self.ready['api_url']}/api/v2{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                raise BenchError(f"{method} {path}: {exc.code} {exc.read().decode()}") from exc

    def deploy(self, name: str, command: list[str]) -> Route:
        """Create a workload of one replica and wait until it answers."""
        container = {
            "name": "main",
            "primary": True,
            "port": 8080,
            "imageUri": f"overhead/{name}:1",
            "entrypoint": command,
            "readinessProbe": {
                "path": "/port",
                "port": 8080,
                "initialDelaySeconds": 0,
                "periodSeconds": 1,
            },
        }
        spec = {"containerGroups": [{"containers": [container]}]}
        body = {
            "name": name,
            "artifact": {"name": name, "spec": spec},
            "runtime": {"containerGroups": [{"replicaCount": 1}]},
        }
        workload_id = self.api("POST", "/workloads/", body)["id"]
        prefix = f"/api/v2/endpoints/workloads/{workload_id}"
        url = f"{self.ready['gateway_url']}{prefix}/port"
        good = {"Authorization": f"Bearer {self.token}"}
        wait_until(lambda: status_of(url, good) == 200, self, what=f"workload {name}")
        # The applications tell their ports: the peers forward to the very same processes.
        return Route(prefix=prefix, port=int(answer_to(url, good)))

    def stop(self) -> int:
        """End everything in order."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode


class GatewayWorker:
    """The installation's only gateway worker, on the measured core."""

    name = NAME

    def __init__(self, installation: Installation, *, core: int) -> None:
        self._installation = installation
        self._core = core
        self._pid = installation.processes[_WORKER]
        move_to(self._pid, core)

    @property
    def pid(self) -> int:
        """Its process id now."""
        return self._pid

    def check(self) -> None:
        """Raise BenchError when it has ended."""
        self._installation.check()
        if not psutil.pid_exists(self._pid):
            raise BenchError(f"the gateway worker has ended:\n{self.tail()}")

    def tail(self) -> str:
        """The end of what it wrote."""
        return self._installation.tail()

    def cpu(self) -> CpuTime:
        """CPU time so far."""
        self.check()
        return cpu_of(self._pid)

    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(psutil.Process(self._pid).memory_info().rss)

    def restart(self) -> None:
        """End it in order; the supervisor starts it again."""
        old = self._pid
        os.kill(old, signal.SIGTERM)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while (pid := self._installation.processes.get(_WORKER, old)) == old:
            self._installation.check()
            if time.monotonic() > deadline_s:
                raise BenchError(f"the gateway worker was not started again:\n{self.tail()}")
            time.sleep(0.02)
        self._pid = pid
        move_to(pid, self._core)

    def stop(self) -> int:
        """End the whole installation."""
        return self._installation.stop()


@contextlib.contextmanager
def deployed(directory: Path, cores: Cores) -> Iterator[tuple[Target, Job, Installation]]:
    """Ours, with both applications deployed, and the job that this makes for the peers.

    Raises:
        BenchError: It did not start, or does not do the job.
    """
    installation = Installation(directory, core=cores.load)
    try:
        routes = {name: installation.deploy(name, words) for name, words in commands().items()}
        job = Job(token=installation.token, **routes)
        target = Target(
            name=NAME,
            version=controlplane.__version__,
            origin=str(installation.ready["gateway_url"]),
            process=GatewayWorker(installation, core=cores.proxy),
        )
        check_job(target, job)
        yield target, job, installation
    finally:
        installation.stop()
