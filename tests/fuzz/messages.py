"""Messages of every form: valid ones in both directions, and those that must be refused."""

from typing import Any, cast

from tests.integration.gateway.rig import request
from tests.integration.gateway.scripted import OK
from tests.unit.gateway.core import test_chunks, test_framing

_CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = ("Connection: Upgrade", "Upgrade: chat")


def _chunked(body: bytes, method: str = "POST", path: str = "/c") -> bytes:
    return request(method, path, _CHUNKED) + body


_PIPELINE = request("GET", "/1") + request("POST", "/2", body=b"two") + request("HEAD", "/3")

REQUESTS: dict[str, bytes] = {
    "get": request(),
    "delete-with-query": request("DELETE", "/a/b?c=d&protonId=65f0000000000000000000d1&e=%20"),
    "unusual-method": request("M-SEARCH", "/a"),
    "old-version": request("GET", "/a", version="1.0"),
    "old-version-kept": request("GET", "/a", "Connection: keep-alive", version="1.0"),
    "absolute": request("GET", "/a").replace(b"GET /", b"GET http://other:80/"),
    "empty-lines-first": b"\r\n\r\n" + request(),
    "no-body-told": request("POST", "/", "Content-Length: 0"),
    "body": request("POST", "/", body=b"hello"),
    "body-like-a-request": request("PUT", "/", body=request("GET", "/smuggled")),
    "body-to-get": request("GET", "/", body=b"hello"),
    "length-with-zeros": request("POST", "/", "content-length:\t005 ") + b"hello",
    "expect": request("POST", "/", "Expect: 100-continue", body=b"hello"),
    "lines-for-the-gateway": request(
        "GET", "/", "X-Request-Id: mine", "X-DataRobot-User-Id: root", "X_DataRobot_User_Id: root",
        "X-Forwarded-For: 6.6.6.6", "Connection: x-a, close", "X-A: 1", "TE: trailers", "x-b:\t2 ",
        "X-Empty:", "X-Old: \xe9",
    ),
    "pipeline": _PIPELINE,
    "pipeline-of-bodies": request("POST", "/1", body=b"a")
    + _chunked(b"1\r\nb\r\n0\r\n\r\n")
    + request(),
    "close-in-the-middle": request("GET", "/1", "Connection: close") + request("GET", "/never"),
    **{
        f"chunked-{param.id}": _chunked(cast(bytes, param.values[0])) + request("GET", "/next")
        for param in test_chunks.BODIES
    },
}  # fmt: skip
"""What a client may say on one connection; none of it is refused for its form."""

_REFUSED_GRAMMAR: dict[str, tuple[str, ...]] = {
    "space-before-the-colon": ("Transfer-Encoding : chunked",),
    "space-before-the-name": (" Transfer-Encoding: chunked",),
    "bare-lf": ("X: a\nTransfer-Encoding: chunked",),
    "bare-cr": ("X: a\rTransfer-Encoding: chunked",),
    "nul": ("X: a\0b",),
    "folded-line": ("X: a", " folded"),
    "line-without-a-colon": ("X",),
    "line-without-a-name": (": x",),
    "huge-length": ("Content-Length: " + "9" * 30,),
}


def _refused_head(case: dict[str, Any]) -> bytes:
    """A head of `test_framing`, as an invocation where it says nothing else of its target."""
    url, _, rest = request("POST").partition(b" ")[2].partition(b"\r\n")
    start = case.get("start", b"POST /a HTTP/1.1").replace(
        b" /a", b" " + url.split(b" ")[0] + b"/a"
    )
    lines = [case.get("host", b"Host: h"), rest.split(b"\r\n")[1], *case.get("lines", [])]
    return b"\r\n".join([start, *filter(None, lines)]) + b"\r\n\r\n"


REFUSED_HEADS: dict[str, bytes] = {
    **{
        f"{rule}-{param.id}".replace(" ", "-"): _refused_head(cast(dict[str, Any], param.values[0]))
        for rule, params in test_framing.REFUSED.items()
        for param in params
        if rule != "more header lines than the limit"
    },
    "too-many-lines": request("GET", "/", *["X: 1"] * 100),
    **{f"grammar-{name}": request("GET", "/", *lines) for name, lines in _REFUSED_GRAMMAR.items()},
}
"""Heads that end their connection: every row of the table of `core.framing`, and llhttp's own."""

REFUSED_CHUNKS: dict[str, bytes] = {
    f"{rule}-{param.id}".replace(" ", "-"): cast(bytes, param.values[0])
    for rule, params in test_chunks.REFUSED.items()
    for param in params
}
"""Chunked bodies that end their connection: every row of the table of `core.chunks`."""

_HEAD = b"HTTP/1.1 200 OK\r\n"
RESPONSES: dict[str, tuple[bytes, bytes, bool]] = {
    "fixed": (request(), OK, False),
    "empty": (request(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n", False),
    "to-head": (request("HEAD"), _HEAD + b"Content-Length: 9\r\n\r\n", False),
    "no-content": (request(), b"HTTP/1.1 204 No Content\r\n\r\n", False),
    "not-modified": (request(), b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", False),
    "no-reason": (request(), b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", False),
    "interim": (
        request(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK,
        False,
    ),
    "to-the-end": (request(), _HEAD + b"\r\nall there is", True),
    "to-the-end-for-1.0": (request(version="1.0"), _HEAD + b"\r\nall there is", True),
    "old-version": (request(), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
    "old-version-kept": (
        request(),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
        False,
    ),
    "lines-between-two": (
        request(),
        _HEAD + b"Content-Length: 2\r\nConnection: x-a\r\nX-A: 1\r\nX-B: \xe9\r\nKeep-Alive: 5"
        b"\r\nX-Tidegate-Error: no\r\n\r\nok",
        False,
    ),
    "too-much": (request(), OK + OK, False),
    **{
        f"chunked-{param.id}": (
            request(),
            _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + cast(bytes, param.values[0]),
            False,
        )
        for param in test_chunks.BODIES
    },
    "chunked-for-1.0": (
        request(version="1.0"),
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
        False,
    ),
    "switched": (
        request("GET", "/", *UPGRADE),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello",
        True,
    ),
}  # fmt: skip
"""What is asked, what a replica may answer, and whether it ends its connection then."""

_LINES_REFUSED = {
    "two-lengths": b"Content-Length: 2\r\nContent-Length: 2",
    "length-and-chunked": b"Content-Length: 2\r\nTransfer-Encoding: chunked",
    "chunked-and-length": b"Transfer-Encoding: chunked\r\nContent-Length: 2",
    "chunked-twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "another-coding": b"Transfer-Encoding: gzip",
    "another-coding-and-chunked": b"Transfer-Encoding: gzip, chunked",
    "length-not-a-number": b"Content-Length: 0x2",
    "signed-length": b"Content-Length: +2",
    "length-list": b"Content-Length: 2, 2",
    "length-with-a-blank": b"Content-Length: 2 2",
    "huge-length": b"Content-Length: 99999999999999999999999999",
    "space-before-the-colon": b"Content-Length : 2",
    "folded-line": b"Content-Length: 2\r\nX: a\r\n b",
    "bare-lf": b"Content-Length: 2\r\nX: a\nY: b",
    "bare-cr": b"Content-Length: 2\r\nX: a\rY: b",
    "nul": b"Content-Length: 2\r\nX: a\0",
    "line-without-a-colon": b"Content-Length: 2\r\nX",
}
_STARTS_REFUSED = {
    "not-http": b"hello there",
    "another-protocol": b"RTSP/1.0 200 OK",
    "http-2": b"HTTP/2.0 200 OK",
    "empty-line-first": b"\r\nHTTP/1.1 200 OK",
    "status-99": b"HTTP/1.1 099 OK",
    "status-600": b"HTTP/1.1 600 OK",
    "four-digits": b"HTTP/1.1 2000 OK",
    "two-blanks": b"HTTP/1.1  200 OK",
    "no-status": b"HTTP/1.1 OK",
    "nul-in-the-reason": b"HTTP/1.1 200 O\0K",
    "cr-in-the-reason": b"HTTP/1.1 200 O\rK",
    "unasked-101": b"HTTP/1.1 101 Switching Protocols",
}
REFUSED_RESPONSES: dict[str, bytes] = {
    **{f"line-{n}": _HEAD + lines + b"\r\n\r\nok" for n, lines in _LINES_REFUSED.items()},
    **{
        f"start-{n}": start + b"\r\nContent-Length: 2\r\n\r\nok"
        for n, start in _STARTS_REFUSED.items()
    },
    "old-version-chunked": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}
"""Answers that become 502 before anything of them has reached the client."""
