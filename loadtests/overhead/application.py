"""The application behind every proxy: what one replica runs.

It is started with `$PORT` in its environment, as any workload's; it imports nothing of ours and
runs as a file.

    static NGINX   becomes an nginx: /predict (a small JSON answer), /16k, /1m, /port
    streams        a uvloop program:
                       GET /events    server-sent events, `EVENTS_PER_S` on each stream, without end
                       GET /ws        WebSocket echo
                       GET /seen      the head that arrived and how many connections there were
                       GET /port, POST anything: the body is read, then answered

Small answers come from nginx because it costs the core of the load least. Uploads end at the
program because nginx would answer before it has read them.
"""

import asyncio
import base64
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, cast

BODY: Final = (
    '{"prediction":0.8731,"label":"approved","threshold":0.5,'
    '"model":"demo-7","rows":1,"warnings":[],"trace":null}'
)
"""A small JSON answer, as a model server gives it (about 100 bytes)."""

FILES: Final = {"16k": 16 * 1024, "1m": 1024 * 1024}
"""Larger answers: name to bytes."""

EVENTS_PER_S: Final = 100
"""Events per second on one stream: what a fast language model writes."""

_GROUPS: Final = 10
"""Streams are served in this many turns, so that their events do not come all at once."""

_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FRAME_HEAD_BYTES: Final = 6
"""Of a client's frame with at most 125 bytes: two bytes and the mask."""


def nginx_config(port: int, home: Path) -> str:
    """The static application's configuration."""
    return f"""
        daemon off;
        master_process off;
        worker_processes 1;
        pid {home}/nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 8192; }}
        http {{
            access_log off;
            keepalive_requests 1000000000;
            keepalive_timeout 600s;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi;
            scgi_temp_path {home}/scgi;
            sendfile on;
            tcp_nopush on;
            open_file_cache max=16;
            default_type application/json;
            server {{
                listen 127.0.0.1:{port} backlog=4096;
                root {home}/files;
                location / {{ return 200 '{BODY}'; }}
                location = /port {{ return 200 '{port}'; }}
                location = /16k {{ }}
                location = /1m {{ }}
            }}
        }}
        """


def become_nginx(binary: str, port: int) -> None:
    """Write files and configuration, and turn this process into nginx."""
    home = Path(
        tempfile.mkdtemp(prefix="application-", dir=os.environ.get("TIDEGATE_REPLICA_HOME"))
    )
    (home / "files").mkdir()
    for name, size in FILES.items():
        (home / "files" / name).write_bytes(b"x" * size)
    config = home / "nginx.conf"
    config.write_text(nginx_config(port, home), encoding="utf-8")
    os.execv(binary, [binary, "-p", str(home), "-c", str(config), "-e", "stderr"])  # noqa: S606


def event(now_ns: int) -> bytes:
    """One server-sent event: when it was written, and about as much text as a token has."""
    text = json.dumps(
        {
            "at": now_ns,
            "object": "chat.completion.chunk",
            "choices": [{"delta": {"content": "tide"}}],
        }
    )
    return f"data: {text}\n\n".encode()


def echo_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Answers to whole WebSocket frames of at most 125 bytes, and the rest that is not whole."""
    answers = []
    while len(data) >= _FRAME_HEAD_BYTES:
        size = data[1] & 0x7F
        end = _FRAME_HEAD_BYTES + size
        if len(data) < end:
            break
        mask = int.from_bytes((data[2:6] * (size // 4 + 1))[:size])
        text = (int.from_bytes(data[6:end]) ^ mask).to_bytes(size)
        answers.append(data[:1] + bytes((size,)) + text)
        data = data[end:]
    return answers, data


def accept_key(key: bytes) -> bytes:
    """`Sec-WebSocket-Accept` for a client's key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID).digest())  # noqa: S324 - the RFC's


class Streams(asyncio.Protocol):
    """One connection from a proxy."""

    connections = 0
    listening: Final[list["Streams"]] = []
    """Those that get events."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held = b""
        self._body_left = 0
        self._websocket = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        Streams.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self in Streams.listening:
            Streams.listening.remove(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if self._body_left:
            self._take_body(data)
            return
        self._held += data
        if self._websocket:
            answers, self._held = echo_frames(self._held)
            self._write(b"".join(answers))
            return
        head, end, rest = self._held.partition(b"\r\n\r\n")
        if end:
            self._held = b""
            self._request(head, rest)

    def _take_body(self, data: bytes) -> None:
        self._body_left -= len(data)
        if self._body_left <= 0:
            self._body_left = 0
            self._answer(BODY)

    def _request(self, head: bytes, rest: bytes) -> None:
        line, *fields = head.split(b"\r\n")
        path = line.split(b" ")[1]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (field.partition(b":") for field in fields)
        }
        if path == b"/events":
            self._write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                b"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            Streams.listening.append(self)
        elif path == b"/ws":
            key = accept_key(headers[b"sec-websocket-key"])
            self._write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % key
            )
            self._websocket = True
        elif path.endswith(b"/seen"):  # wherever a proxy that keeps the prefix sends it
            told = {"head": head.decode("latin-1"), "connections": Streams.connections}
            self._answer(json.dumps(told))
        elif path == b"/port":
            self._answer(str(self._port))
        else:
            self._body_left = int(headers.get(b"content-length", b"0"))
            self._take_body(rest)

    def _answer(self, text: str) -> None:
        self._write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(text), text.encode())
        )

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.transport.write(data)

    @classmethod
    def tell(cls, turn: int) -> None:
        """Write one event to every stream whose turn it is."""
        due = cls.listening[turn::_GROUPS]
        if not due:
            return
        text = event(time.monotonic_ns())
        chunk = b"%x\r\n%b\r\n" % (len(text), text)
        for stream in due:
            stream._write(chunk)  # noqa: SLF001 - its own


async def serve_streams(port: int) -> None:
    """Answer, and write events at their times.

    A turn that comes late is not made up for: two events at once would be cheaper for a proxy than
    one after the other.
    """
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Streams(port), "127.0.0.1", port, backlog=4096)
    interval_s = 1 / EVENTS_PER_S / _GROUPS
    due_s, turn = loop.time(), 0
    while True:
        Streams.tell(turn)
        turn = (turn + 1) % _GROUPS
        due_s = max(due_s + interval_s, loop.time())
        await asyncio.sleep(due_s - loop.time())


def main() -> None:
    """Run until SIGTERM."""
    kind, *rest = sys.argv[1:]
    port = int(os.environ["PORT"])
    if kind == "static":
        become_nginx(rest[0], port)
    import uvloop  # noqa: PLC0415 - the static kind does not need it

    uvloop.run(serve_streams(port))


if __name__ == "__main__":
    main()
