"""Servers that know nothing of Tidegate, deployed as workloads."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil

from tests.system.conftest import Up, wait_until
from tests.system.service import api, deploy_container, replica_processes, wait_state

APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True, kw_only=True)
class Application:
    """A running workload, and both ways to it: the invoke URL, and past the gateway."""

    up: Up
    workload_id: str

    @classmethod
    @contextmanager
    def deployed(
        cls,
        up: Up,
        *command: str,
        environ: dict[str, str] | None = None,
        replicas: int = 1,
        container: dict[str, Any] | None = None,
        runtime: dict[str, Any] | None = None,
    ) -> Iterator["Application"]:
        """Deploy it, wait until all replicas take traffic, and delete it afterwards.

        Args:
            up: The installation.
            command: What each replica runs; a file name in apps/ stands for Python and that file.
            environ: Environment variables; `$PORT` is there anyway.
            replicas: How many, fixed.
            container: Further fields of the container.
            runtime: Further fields of the runtime's container group.
        """
        workload_id = deploy_container(
            up,
            Path(command[0]).stem,
            group={"replicaCount": replicas, **(runtime or {})},
            container={
                "name": "main",
                "primary": True,
                "port": 8080,
                "imageUri": "peer/application:1",
                "entrypoint": _entrypoint(command),
                "environmentVars": [{"name": k, "value": v} for k, v in (environ or {}).items()],
                **(container or {}),
            },
        )
        application = cls(up=up, workload_id=workload_id)
        try:
            wait_state(up, workload_id, "running")
            yield application
        finally:
            api(up, "DELETE", f"/workloads/{workload_id}/", code=204)
            wait_until(application.gone, what="replicas are gone")

    @property
    def path(self) -> str:
        """The path of the invoke URL; what follows it is what the application sees."""
        return f"/api/v2/endpoints/workloads/{self.workload_id}"

    @property
    def url(self) -> str:
        """The invoke URL."""
        return self.up.gateway_url + self.path

    @property
    def ws_url(self) -> str:
        """The invoke URL of WebSockets."""
        return self.url.replace("http", "ws", 1)

    @property
    def address(self) -> tuple[str, int]:
        """Where the gateway listens."""
        parts = urlsplit(self.up.gateway_url)
        return parts.hostname or "", parts.port or 80

    @property
    def headers(self) -> dict[str, str]:
        """What a caller needs."""
        return {"Authorization": f"Bearer {self.up.token}"}

    @property
    def direct_ports(self) -> list[int]:
        """The replicas' ports on 127.0.0.1."""
        found = replica_processes(self.up, self.workload_id).values()
        return [int(process.environ()["PORT"]) for process in found]

    def gone(self) -> bool:
        """No process is left of it."""
        try:
            return not replica_processes(self.up, self.workload_id)
        except psutil.Error:
            return False  # one ended while we looked

    @property
    def in_flight(self) -> int:
        """Requests and tunnels that are with a replica now, as the gateway's workers count."""
        mine = re.compile(
            rf'^gateway_requests_in_flight{{.*"{self.workload_id}".*}} (\d+)$', re.MULTILINE
        )
        pages = [httpx2.get(f"{url}/metrics", timeout=30).text for url in self.up.admin_urls]
        return sum(int(value) for page in pages for value in mine.findall(page))

    def settled(self) -> None:
        """Wait until nothing is in flight: the gateway knows that all its callers have gone."""
        wait_until(lambda: self.in_flight == 0, what="nothing in flight")


def _entrypoint(command: Sequence[str]) -> list[str]:
    if command[0].endswith(".py"):
        return [sys.executable, str(APPS / command[0]), *command[1:]]
    return list(command)
