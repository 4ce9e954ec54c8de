"""Requests as attackers write them: right all over, but for one or two places."""

from hypothesis import strategies as st

from gateway.core.routing import WORKLOADS

WORKLOAD = b"0123456789abcdef01234567"
INVOKE = WORKLOADS + WORKLOAD

CHUNKED = b"Transfer-Encoding: chunked"
PLACES = ["method", "target", "version", "host", "framing", "line", "end"]
"""Where a head can be odd."""

METHODS = {
    False: st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"M-SEARCH"]),
    True: st.sampled_from(
        [b"CONNECT", b"get", b"PRI", b"\nGET", b"\rHEAD", b" GET", b"G\tET", b""]
    ),
}
TARGETS = {
    False: st.one_of(
        st.sampled_from(
            [INVOKE, INVOKE + b"/a?b", INVOKE + b"?protonId=p&b", b"http://h" + INVOKE]
        ),
        st.text("abz019/%?=&;.-_~!'()*,:@$+", max_size=12).map(
            lambda text: INVOKE + b"/" + text.encode()
        ),
    ),
    True: st.one_of(
        st.sampled_from([b"/other", b"*", b"http://u@h/", b"h:80", b"x", b"", b"http://h?/a"]),
        st.text('a/ #\t\0\x7f\x80"<>\\^`{|}', max_size=12).map(
            lambda text: INVOKE + b"/" + text.encode("latin-1")
        ),
    ),
}
VERSIONS = {
    False: st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]),
    True: st.sampled_from([b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/0.9"]),
}
HOSTS = {
    False: st.just([b"Host: h"]),
    True: st.sampled_from(
        [[], [b"Host: h", b"Host: h"], [b"Host: a b"], [b"Host: u@h"], [b"Host:"]]
    ),
}
FRAMING = {
    False: st.sampled_from([[], [b"Content-Length: 5"], [CHUNKED], [b"content-length:\t05 "]]),
    True: st.one_of(
        st.lists(
            st.sampled_from([CHUNKED, CHUNKED, b"Content-Length: 5", b"content-length: 3"]),
            min_size=2,
            max_size=3,
        ),
        st.sampled_from([b"Transfer-Encoding", b"Content-Length", b"Transfer_Encoding"]).flatmap(
            lambda name: st.builds(
                lambda before, value: [name + before + value],
                st.sampled_from([b": ", b":", b" : ", b":\x0b", b":\r\n ", b"\t:"]),
                st.sampled_from(
                    [
                        *[b"chunked", b"CHUNKED", b"gzip", b"gzip, chunked", b"chunked, chunked"],
                        *[b"", b"5", b"+5", b"5, 5", b"0x5", b"-1", b"5 5", b"0"],
                    ]
                ),
            )
        ),
    ),
}
MEANINGFUL = st.sampled_from(
    [
        *[
            b"Connection: close",
            b"Connection: keep-alive",
            b"Connection: host, x-a, content-length",
        ],
        *[
            b"Proxy-Connection: close",
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"TE: trailers",
        ],
        *[b"X-DataRobot-User-Id: root", b"x_datarobot_user_id: root", b"X-Forwarded-For: 6.6.6.6"],
        *[
            b"Expect: 100-continue",
            b"X-Request-Id: r-1",
            b"traceparent: 00-1-2-00",
            b"Trailer: Host",
        ],
        *[b"Keep-Alive: 5", b"Content_Length: 5", b"X-A: 1", b"X-Tidegate-Error: x"],
    ]
)
LINES = {
    False: st.one_of(
        MEANINGFUL,
        st.builds(
            lambda name, value: (name + ":" + value).encode("latin-1"),
            st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=8),
            st.text('abc 019,;="\t\x80\xff', max_size=10),
        ),
    ),
    True: st.builds(
        lambda name, value: name + value,
        st.sampled_from([b"X", b"Content-Length", b"", b"X\xff", b"X(", b" X"]),
        st.sampled_from(
            [b": a\nX: b", b": a\r\n b", b": a\rb", b": \0", b": \x7f", b" : 1", b"", b": 1"]
        ),
    ),
}
ENDS = {False: st.just(b"\r\n"), True: st.sampled_from([b"\n", b"\r", b"\r\r\n", b"\n\r\n"])}

SMUGGLED = b"GET " + INVOKE + b"/smuggled HTTP/1.1\r\nHost: h\r\nX-DataRobot-User-Id: root\r\n\r\n"
FIVE_CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
ODD_BODIES = st.sampled_from(
    [
        *[b"", b"hello", b"hel", b"\r\n", b"\n", SMUGGLED, b"hello" + SMUGGLED],
        *[FIVE_CHUNKED, FIVE_CHUNKED + SMUGGLED, b"0\r\n\r\n" + SMUGGLED],
        *[b"3;x=y\r\nabc\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"],
        *[b"5\nhello\n0\n\n", b"5\r\nhello0\r\n\r\n", b"%x\r\n" % len(SMUGGLED) + SMUGGLED],
        *[b"0\n\n" + SMUGGLED, b"0\r\nX: 1\n\r\n" + SMUGGLED, b"-1\r\n" + SMUGGLED],
        b"0\r\nX-DataRobot-User-Id: root\r\nContent-Length: 4\r\nX-Sum: 1\r\n\r\n",
    ]
)


@st.composite
def heads(draw: st.DrawFn, *, credentials: bytes = b"X-Nobody: 1") -> bytes:
    """A request's head, up to the first empty line.

    Args:
        draw: Given by hypothesis.
        credentials: A line that all heads carry.
    """
    odd = set(draw(st.lists(st.sampled_from(PLACES), max_size=2)))

    def part(place: str, choices: dict[bool, st.SearchStrategy]):
        return draw(choices[place in odd])

    start = b" ".join([part("method", METHODS), part("target", TARGETS), part("version", VERSIONS)])
    lines = [*part("host", HOSTS), *part("framing", FRAMING), credentials]
    lines += draw(st.lists(LINES[False], max_size=4))
    if "line" in odd:
        lines.append(draw(LINES[True]))
    lines = [start, *draw(st.permutations(lines))]
    ends = [b"\r\n"] * len(lines)
    ends[draw(st.integers(0, len(lines) - 1))] = part("end", ENDS)
    wire = b"".join(line + end for line, end in zip(lines, ends, strict=True)) + b"\r\n\r\n"
    return wire[: wire.index(b"\r\n\r\n") + 4]


@st.composite
def streams(draw: st.DrawFn, *, credentials: bytes) -> bytes:
    """What a client sends over one connection: requests and bodies, pipelined."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        head = draw(heads(credentials=credentials))
        parts.append(head)
        if draw(st.integers(0, 3)) == 0:
            parts.append(draw(ODD_BODIES))
        else:
            parts.append(FIVE_CHUNKED if CHUNKED in head else b"hello" * (b"ontent-" in head))
    return b"".join(parts)
