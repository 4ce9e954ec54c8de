"""One small application on many Python servers. Usage: many_servers.py NAME

GET /hello       text with an ETag; HEAD too; 304 for If-None-Match
GET /empty       204
GET /moved       302 to /hello
GET /download    ?size= bytes of zeros, streamed in pieces of 64 KiB
GET /events      three server-sent events
PUT /upload      size and SHA-256 of the body
else             404
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, dict[str, str], Iterator[bytes]]

HOST, PORT = "127.0.0.1", int(os.environ["PORT"])
PIECE = 1 << 16
ETAG = '"tide"'


def answer(method: str, path: str, query: str, known: str, body: Iterator[bytes]) -> Answer:
    """What all servers say."""
    match method, path:
        case "GET" | "HEAD", "/hello" if known == ETAG:
            told: Answer = 304, {"ETag": ETAG}, iter(())
        case "GET" | "HEAD", "/hello":
            headers = {"Content-Length": "6", "ETag": ETAG, "Set-Cookie": "a=b; Path=/"}
            told = 200, headers, iter((b"" if method == "HEAD" else b"hello\n",))
        case "GET", "/empty":
            told = 204, {"X-Mine": "yes"}, iter(())
        case "GET", "/moved":
            told = 302, {"Location": "/hello", "Content-Length": "0"}, iter(())
        case "GET", "/download":
            size = int(parse_qs(query)["size"][0])
            pieces = (bytes(min(PIECE, size - at)) for at in range(0, size, PIECE))
            told = 200, {"Content-Type": "application/octet-stream"}, pieces
        case "GET", "/events":
            events = (f"id: {n}\ndata: {n}\n\n".encode() for n in range(3))
            told = 200, {"Content-Type": "text/event-stream"}, events
        case "PUT", "/upload":
            data = b"".join(body)
            text = f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode()
            told = 200, {"Content-Length": str(len(text))}, iter((text,))
        case _:
            told = 404, {"Content-Length": "5"}, iter((b"none\n",))
    return told


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterator[bytes]:
    """WSGI: Werkzeug, gevent, wsgiref."""
    body = environ["wsgi.input"]
    left = environ.get("CONTENT_LENGTH")
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    data = iter((body.read() if chunked else body.read(int(left or 0)),))
    status, headers, pieces = answer(
        environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"],
        environ.get("HTTP_IF_NONE_MATCH", ""), data,
    )  # fmt: skip
    start_response(f"{status} As Told", list(headers.items()))
    return pieces


async def asgi(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[..., Any]) -> None:
    """ASGI: uvicorn with either of its parsers."""
    if scope["type"] != "http":
        return
    body = []
    while True:
        message = await receive()
        body.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    known = dict(scope["headers"]).get(b"if-none-match", b"").decode()
    status, headers, pieces = answer(
        scope["method"], scope["path"], scope["query_string"].decode(), known, iter(body)
    )
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def main(name: str) -> None:
    """Serve for ever. Imports are here: each replica loads one server only."""
    if name.startswith("uvicorn-"):
        import uvicorn  # noqa: PLC0415

        uvicorn.run(asgi, host=HOST, port=PORT, http=name.partition("-")[2], lifespan="off")  # type: ignore[arg-type]
    elif name == "werkzeug":
        from werkzeug.serving import WSGIRequestHandler, run_simple  # noqa: PLC0415

        WSGIRequestHandler.protocol_version = "HTTP/1.1"
        run_simple(HOST, PORT, wsgi, threaded=True)
    elif name == "gevent":
        from gevent.pywsgi import WSGIServer  # noqa: PLC0415

        WSGIServer((HOST, PORT), wsgi).serve_forever()
    else:
        from wsgiref.simple_server import make_server  # noqa: PLC0415

        make_server(HOST, PORT, wsgi).serve_forever()


main(sys.argv[1])
