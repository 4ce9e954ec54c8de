"""A replica for tests that serves (or does not serve) a Prometheus page: `metrics_page MODE`.

It writes its port on the first line of its output, and a line per request. It ends with its
standard input.
"""

import contextlib
import socket
import sys
import threading
import time

PAGE = b"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting 12\n"


def fixed(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def answer(mode: str, path: bytes, connection: socket.socket) -> None:
    match mode:
        case "hangs":
            time.sleep(3600)
        case "endless":
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(160):
                connection.sendall(b"# 64 KiB of nothing\n" * 3277)
        case "broken":
            connection.sendall(fixed(b"sorry", b"500 Internal Server Error"))
        case "cut":
            connection.sendall(fixed(PAGE)[:-5])
        case "nonsense":
            connection.sendall(b"\x16\x03\x01 not HTTP at all\r\n\r\n")
        case "chunked":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE))
        case "nim" if path != b"/v1/metrics":
            connection.sendall(fixed(b"not here", b"404 Not Found"))
        case "silent":
            connection.sendall(fixed(b"up 1\n"))
        case "gzip":
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n"
            connection.sendall(head + b"..")
        case "until-the-end":
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PAGE)
        case _:
            connection.sendall(fixed(PAGE))


def serve(mode: str, connection: socket.socket) -> None:
    with connection:
        path = connection.recv(65_536).split(b" ")[1]
        print(path.decode(), flush=True)  # noqa: T201 - read by the test
        with contextlib.suppress(OSError):
            answer(mode, path, connection)


def accept(mode: str, listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(mode, connection), daemon=True).start()


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - read by the test
    threading.Thread(target=accept, args=(sys.argv[1], listening), daemon=True).start()
    sys.stdin.read()
