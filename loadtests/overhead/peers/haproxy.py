"""HAProxy with one thread: ACLs for token and prefix."""

import re
import subprocess
from pathlib import Path

from loadtests.overhead.children import Child, tool
from loadtests.overhead.target import Job


def binary() -> str | None:
    """The system's HAProxy."""
    return tool("haproxy")


def version(path: str) -> str:
    """Version number of an HAProxy."""
    told = subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+\.\d+\.\d+)", told)
    return found.group(1) if found else told.splitlines()[0]


def config(job: Job, port: int) -> str:
    """The configuration file."""
    static, streams = (len(route.prefix) for route in job.routes)
    return f"""
global
    maxconn 12000
    nbthread 1
    no strict-limits  # it wants two files per allowed connection, whether they are used or not
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout tunnel 600s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    acl authorized req.hdr(authorization) -m str "{job.bearer}"
    acl static path_beg {job.static.prefix}/
    acl streams path_beg {job.streams.prefix}/
    http-request return status 401 unless authorized
    http-request return status 404 unless static or streams
    use_backend streams if streams
    default_backend static
backend static
    http-request set-path %[path,bytes({static})]
    http-request del-header authorization
    option forwardfor
    server application 127.0.0.1:{job.static.port}
backend streams
    http-request set-path %[path,bytes({streams})]
    http-request del-header authorization
    option forwardfor
    server application 127.0.0.1:{job.streams.port}
"""


def start(path: str, job: Job, *, name: str, port: int, core: int, directory: Path) -> Child:
    """Start it."""
    file = directory / f"{name}.cfg"
    file.write_text(config(job, port), encoding="utf-8")
    return Child(name, [path, "-db", "-f", str(file)], core=core, directory=directory)
