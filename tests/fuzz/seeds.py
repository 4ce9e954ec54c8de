"""Where fuzzing begins: samples for `fuzz_heads`, plays for `fuzz_connections`, words for both."""

import ast
from pathlib import Path

from tests.fuzz.messages import (
    REFUSED_CHUNKS,
    REFUSED_HEADS,
    REFUSED_RESPONSES,
    REQUESTS,
    RESPONSES,
    UPGRADE,
)
from tests.integration.gateway.rig import request
from tests.integration.gateway.scripted import OK

_D = b"\xfe"
_CHUNKED = "Transfer-Encoding: chunked"
_LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
_SWITCHED = b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
_OPEN = b"HTTP/1.1 200 OK\r\n\r\nso far"
_UPLOAD = request("POST", "/", "Content-Length: 800")


def _play(*acts: bytes) -> bytes:
    return _D.join(acts)


_PLAYS: dict[str, bytes] = {
    "kept-alive": _play(b"c" + request(), b"o", b"b" + request("POST", "/a", body=b"b"), b"o"),
    "two-clients-one-connection": _play(
        b"c" + request("GET", "/0"), b"o", b"1", b"c" + request("GET", "/1"), b"o", b"0",
        b"c" + request("GET", "/2"), b"o",
    ),
    "chunked-both-ways": _play(
        b"c" + request("POST", "/", _CHUNKED) + b"3\r\nabc\r\n", b"c2;x\r\nde\r\n0\r\nX: 1\r\n\r\n",
        b"r" + _STREAM, b"s0\r\nX-T: 1\r\n\r\n", b"c" + request(), b"o",
    ),
    "early-answer": _play(b"c" + _UPLOAD + b"x" * 99, b"o", b"c" + b"x" * 701, b"c" + request()),
    "early-answer-then-others": _play(
        b"c" + _UPLOAD + b"x" * 99, b"o", b"1", b"c" + request(), b"o", b"c" + request(), b"o",
    ),
    "answered-twice-at-once": _play(b"c" + request(), b"r" + OK + OK, b"c" + request(), b"o"),
    "answered-too-long": _play(
        b"c" + request(), b"r" + OK[:-1], b"rk" + OK, b"c" + request(), b"o",
    ),
    "answered-too-long-without-a-body": _play(
        b"c" + request("HEAD"), b"r" + OK, b"c" + request(), b"o",
        b"rHTTP/1.1 204 No\r\n\r\n" + OK, b"c" + request(), b"o",
    ),
    "answered-too-long-in-chunks": _play(
        b"c" + request(), b"r" + _STREAM, b"r0\r\n\r\n" + OK, b"c" + request(), b"o",
    ),
    "early-answer-chunked": _play(
        b"c" + request("POST", "/", _CHUNKED) + b"5\r\nab", b"o", b"ccde",
    ),
    "tunnel": _play(
        b"c" + request("GET", "/", *UPGRADE), b"r" + _SWITCHED + b"hi", b"cyou", b"rthere", b"e",
        b"rmore", b"f",
    ),
    "tunnel-with-a-body": _play(
        b"c" + request("POST", "/", *UPGRADE, _CHUNKED) + b"5\r\nab", b"r" + _SWITCHED, b"ccde\r\n",
    ),
    "tunnel-stalled": _play(
        b"c" + request("GET", "/", *UPGRADE), b"p", b"r" + _SWITCHED + b"x" * 300, b"q",
        b"c" + b"y" * 300, b"f", b"P", b"Q", b"e",
    ),
    "upgrade-refused": _play(b"c" + request("GET", "/", *UPGRADE), b"o", b"c" + request(), b"o"),
    "pipeline": _play(
        b"c" + request("GET", "/1") * 3 + request("HEAD", "/4") + request("POST", "/5", body=b"b"),
        b"o", b"o", b"o", b"o", b"o",
    ),
    "interim": _play(
        b"c" + request("POST", "/", "Expect: 100-continue", "Content-Length: 2"),
        b"rHTTP/1.1 100 Continue\r\n\r\n", b"cok", b"rHTTP/1.1 103 E\r\nLink: a\r\n\r\n" + OK,
    ),
    "to-the-end": _play(b"c" + request(), b"r" + _OPEN, b"r!", b"f", b"c" + request(), b"o"),
    "to-the-end-cut": _play(b"c" + request(), b"r" + _OPEN, b"y"),
    "to-the-end-1.0": _play(b"c" + request(version="1.0"), b"r" + _OPEN, b"f"),
    "to-the-end-1.0-cut": _play(b"c" + request(version="1.0"), b"r" + _OPEN, b"y"),
    "cut-answer": _play(b"c" + request(), b"r" + _LARGE + b"x", b"y"),
    "ended-answer": _play(b"c" + request(), b"r" + _LARGE + b"x", b"f"),
    "lost-and-repeated": _play(b"c" + request(), b"y", b"rHTTP/1.1 2", b"y", b"o"),
    "lost-post": _play(b"c" + request("POST", "/", body=b"b"), b"f", b"c" + request(), b"o"),
    "lost-while-idle": _play(b"c" + request(), b"o", b"f", b"c" + request(), b"o"),
    "unasked": _play(b"c" + request(), b"o", b"r" + OK, b"c" + request(), b"o"),
    "slow-reader": _play(
        b"p", b"c" + request(), b"r" + _LARGE + b"x" * 400, b"r" + b"x" * 500, b"c" + request() * 3,
        b"o", b"P", b"o", b"o",
    ),
    "slow-reader-of-many-pieces": _play(
        b"p", b"c" + request(), b"rHTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n",
        *[b"r" + b"x" * 300] * 30, b"P",
    ),
    "slow-reader-of-many-answers": _play(b"p", *[b"cGET / HTTP/1.1\r\nHost:h\r\n\r\n"] * 9, b"P"),
    "slow-replica-of-many-pieces": _play(
        b"c" + request("POST", "/", "Content-Length: 9000"), b"q", *[b"c" + b"x" * 300] * 30, b"Q",
    ),
    "slow-reader-leaves": _play(b"p", b"c" + request(), b"r" + _LARGE + b"x" * 400, b"x", b"1c"),
    "slow-replica": _play(b"h", b"c" + _UPLOAD, b"g", b"q", b"c" + b"x" * 700, b"Q", b"cx", b"o"),
    "half-closed": _play(b"c" + request(), b"e", b"o"),
    "half-closed-waiting": _play(b"a", b"c" + request(), b"e", b"A"),
    "half-closed-braked": _play(b"p", b"c" + request() * 2, b"r" + _LARGE + b"x" * 900, b"e", b"P"),
    "cold": _play(b"a", b"c" + request(), b"1", b"c" + request("POST", "/", body=b"b"), b"A", b"o"),
    "cold-timeout": _play(b"a", b"c" + request(), b"t9", b"A"),
    "queue-full": _play(*(p for n in b"0123" for p in (b"%c" % n, b"c" + request() * 3)), b"o"),
    "stopped": _play(b"c" + request(), b"a", b"1", b"c" + request(), b"w", b"W", b"0", b"o"),
    "refused-connect": _play(b"h", b"c" + request(), b"n", b"g", b"o"),
    "left-while-connecting": _play(
        b"h", b"c" + request(), b"x", b"1", b"c" + request(), b"g", b"o",
    ),
    "timeouts": _play(b"c" + request(), b"t9", b"1", b"cGET", b"t7", b"2", b"c" + _UPLOAD, b"t9"),
    "idle": _play(b"c" + request(), b"o", b"t8", b"c" + request()),
    "draining": _play(b"c" + request(), b"1", b"d", b"c" + request(), b"0", b"o", b"t5"),
    "no-token": _play(b"c" + request(token=None), b"c" + request("POST", body=b"x", token="no")),
    "lingering": _play(b"c\0\r\n\r\n", b"c" + request(), b"e", b"t6"),
    "malformed-answer": _play(
        b"c" + request(), b"rHTTP/1.1 200 OK\r\nX : 1\r\n\r\n", b"c" + request(), b"o",
    ),
    "malformed-chunks": _play(b"c" + request(), b"r" + _STREAM + b"zz\r\n"),
}  # fmt: skip


REGRESSIONS = Path(__file__).parent / "regressions"
"""What was found: one file each, an input as Python writes bytes, named `target-hash.txt`."""


def read(path: Path) -> bytes:
    """The input in a file of `REGRESSIONS`."""
    data = ast.literal_eval(path.read_text())
    assert isinstance(data, bytes)
    return data


def heads() -> dict[str, bytes]:
    """Samples for `fuzz_heads`."""
    found = {f"q-{name}": b"q" + data for name, data in (REQUESTS | REFUSED_HEADS).items()}
    for name, (asked, said, _) in RESPONSES.items():
        found[f"a-{name}"] = (b"h" if asked.startswith(b"HEAD") else b"a") + said
    found |= {f"a-{name}": b"a" + data for name, data in REFUSED_RESPONSES.items()}
    bodies = {
        n: d.partition(b"\r\n\r\n")[2] for n, d in REQUESTS.items() if n.startswith("chunked")
    }
    for place, (name, data) in enumerate((bodies | REFUSED_CHUNKS).items()):
        found[f"k-{name}"] = b"k" + data
        found[f"p-{name}"] = b"%d" % (place % 9 + 1) + data
    return found


def connections() -> dict[str, bytes]:
    """Plays for `fuzz_connections`."""
    found = dict(_PLAYS)
    for world in range(1, 8):
        found[f"world-{world}"] = _play(
            b"z%d" % world, b"c" + request("GET", "/", "Cookie: s=1", "X-Session: a"), b"o",
            b"c" + request("POST", "/", body=b"12345") + request() * 3, b"o", b"o", b"1",
            b"c" + request(), b"t6", b"2", b"c" + request(), b"o", b"3",
            b"c" + request("POST", "/", _CHUNKED), b"c9\r\n123456789\r\n0\r\n\r\n",
            b"rHTTP/1.1 200 OK\r\nX-Session: b\r\n\r\nx", b"f", b"t9",
        )  # fmt: skip
    for name, data in (REQUESTS | REFUSED_HEADS).items():
        found[f"request-{name}"] = _play(b"c" + data, b"o", b"o", b"o")
    for name, (asked, said, ended) in RESPONSES.items():
        found[f"response-{name}"] = _play(b"c" + asked, b"r" + said, b"f" if ended else b"o")
    for name, said in REFUSED_RESPONSES.items():
        found[f"response-refused-{name}"] = _play(b"c" + request(), b"r" + said, b"c" + request())
    for name, body in REFUSED_CHUNKS.items():
        if len(body) < 1000:
            asked = request("POST", "/", _CHUNKED)
            found[f"chunks-{name}"] = _play(b"c" + asked + body, b"o")
            found[f"chunks-late-{name}"] = _play(b"c" + asked, b"c" + body, b"1", b"c" + request())
    return found


WORDS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b":", b": ", b"\0", b"\x0b", b",", b";", b"=",
    b"GET ", b"POST ", b"HEAD ", b"OPTIONS * ", b"CONNECT ", b" HTTP/1.1", b" HTTP/1.0",
    b"HTTP/1.1 ",
    b"HTTP/1.0 ", b"200 OK", b"204 ", b"304 ", b"100 ", b"101 ", b"103 ", b"http://h",
    b"Host: h\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:",
    b"Connection: ", b"close", b"keep-alive", b"upgrade", b"Upgrade: ", b"Expect: 100-continue\r\n",
    b"Trailer: ", b"X-Request-Id: ", b"traceparent: ", b"X_DataRobot_User_Id: ",
    b"Content_Length: ",
    b"0\r\n\r\n", b"1\r\na\r\n", b"5;a=b\r\n", b"0\r\nX: 1\r\n\r\n", b"FFFFFFFFFFFFFFFF\r\n",
    b"chunked", b"identity", b"gzip, chunked", b"65f0000000000000000000f1", b"?protonId=",
    b"#", b"%00",
    *(_D + letter.encode() for letter in "cbexpPrsfyqQ0123thgnoaAwWd"),
    *(b"z%d" % n for n in range(8)),
    b"Cookie: s=", b"X-Session: a\r\n",
    _D + b"c" + request(), _D + b"r" + OK, _D + b"c" + request("POST", "/", _CHUNKED),
    _D + b"t9", _D + b"t7", _D + b"t5", _D + b"r" + _SWITCHED,
    _D + b"c" + request("GET", "/", *UPGRADE),
]  # fmt: skip
"""What mutation may insert whole."""


def dictionary() -> str:
    """`WORDS` in libFuzzer's format."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in WORDS)


SEEDS = {"fuzz_heads": heads, "fuzz_connections": connections}
"""Targets (modules of this package with a `check(data: bytes)` that raises) and their seeds."""
