"""What a proxy has to do, and a proxy that does it."""

import json
from dataclasses import dataclass
from typing import Protocol

from loadtests.overhead.children import BenchError, CpuTime, answer_to, status_of, wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Requests below `prefix` go to the application on `port`, without the prefix."""

    prefix: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every proxy is configured for.

    Refuse a wrong token with 401 and an unknown path with 404, strip the prefix, keep the token
    from the application, say who the client was, keep connections to the application open,
    one process, no access log.
    """

    token: str
    static: Route
    """To the nginx application."""
    streams: Route
    """To the program that streams: nothing may be buffered on this one."""

    @property
    def routes(self) -> tuple[Route, Route]:
        """Both routes."""
        return self.static, self.streams

    @property
    def bearer(self) -> str:
        """The only `Authorization` value that is let through."""
        return f"Bearer {self.token}"


class Watched(Protocol):
    """A process under measurement, with its descendants."""

    name: str

    @property
    def pid(self) -> int:
        """Its process id now."""

    def check(self) -> None:
        """Raise BenchError when it has ended."""

    def tail(self) -> str:
        """The end of what it wrote."""

    def cpu(self) -> CpuTime:
        """CPU time so far."""

    def rss_bytes(self) -> int:
        """Resident memory."""

    def restart(self) -> None:
        """End it and start it again on the same port."""

    def stop(self) -> int:
        """End it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A started proxy: where to send load, and whose CPU time counts."""

    name: str
    version: str
    origin: str
    """Scheme, host and port."""
    process: Watched

    def url(self, route: Route, path: str) -> str:
        """Where `path` of the application is reached through this proxy."""
        return f"{self.origin}{route.prefix}{path}"


def wait_ready(target: Target, job: Job) -> None:
    """Wait for the first good answers of both applications.

    Raises:
        BenchError: The proxy ended, or gave none in time.
    """
    good = {"Authorization": job.bearer}
    for route in job.routes:
        url = target.url(route, "/port")
        wait_until(
            lambda url=url: status_of(url, good) == 200,  # type: ignore[misc]  # bound now
            target.process,
            what=f"{target.name} answers",
        )


def check_job(target: Target, job: Job) -> None:
    """Wait for the proxy, then prove that it does the job.

    Raises:
        BenchError: No good answer in time, or a part of the job is not done; says which.
    """
    wait_ready(target, job)
    good = {"Authorization": job.bearer}
    for route in job.routes:
        refused = status_of(target.url(route, "/port"), {"Authorization": "Bearer wrong"})
        if refused != 401:
            raise BenchError(f"{target.name} answers a wrong token with {refused}, not 401")
    unknown = status_of(f"{target.origin}/elsewhere", good)
    if unknown != 404:
        raise BenchError(f"{target.name} answers an unknown path with {unknown}, not 404")
    first, second = (
        json.loads(answer_to(target.url(job.streams, "/seen"), good)) for _ in range(2)
    )
    if problem := fault(second["head"], token=job.token):
        raise BenchError(f"{target.name} {problem}:\n{second['head']}")
    if second["connections"] != first["connections"]:
        raise BenchError(f"{target.name} does not keep its connection to the application")


def fault(head: str, *, token: str) -> str | None:
    """What is wrong with a head that reached the application; None: nothing."""
    line, *fields = head.split("\r\n")
    names = {field.partition(":")[0].lower() for field in fields}
    if line.split(" ")[1] != "/seen":
        return "does not strip the prefix"
    if token in head:
        return "lets the application see the token"
    if "x-forwarded-for" not in names:
        return "does not say who the client was"
    return None
