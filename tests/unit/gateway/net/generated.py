"""Requests as attackers write them: nearly right, odd in one or two places."""

from hypothesis import strategies as st

from gateway.core.routing import WORKLOADS

WORKLOAD = b"0123456789abcdef01234567"
INVOKE = WORKLOADS + WORKLOAD

METHODS = st.sampled_from(
    [b"GET"] * 4 + [b"POST"] * 4 + [b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"M-SEARCH"]
    + [b"CONNECT", b"get", b"PRI", b"\nGET", b" GET", b"G\tET", b""]
)  # fmt: skip
TARGETS = st.one_of(
    st.just(INVOKE + b"/echo?a=1"),
    st.sampled_from(
        [
            INVOKE,
            INVOKE + b"/a?protonId=p1&b",
            INVOKE + b"//x",
            b"/other",
            b"*",
            b"http://h" + INVOKE,
        ]
        + [INVOKE + b"/#a", INVOKE + b"/ a", b"http://u@h/", b"h:80", b"x", b"", b"http://h?/a"]
    ),
    st.text("abz019/%?=&;.-_~!'()*,:@$+\"<>\\^`{|}", max_size=12).map(
        lambda text: INVOKE + b"/" + text.encode()
    ),
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 12 + [b"HTTP/1.0"] * 3 + [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "]
)
BLANKS = st.sampled_from([b" "] * 8 + [b"", b"\t", b"  ", b"\x0b", b"\x0c"])
FRAMING = st.sampled_from(
    [
        (b"Content-Length", value)
        for value in (b"0", b"3", b"5", b"5", b"05", b"+5", b"5,5", b"0x5", b"")
    ]
    + [(b"Transfer-Encoding", value) for value in (b"chunked",) * 4 + (b"CHUNKED", b"gzip")]
    + [(b"Transfer-Encoding", value) for value in (b"gzip, chunked", b"chunked, chunked", b"")]
    + [(b"Transfer_Encoding", b"chunked"), (b"Content_Length", b"5"), (b"Content-Length ", b"5")]
)
MEANINGFUL = st.sampled_from(
    [(b"Host", value) for value in (b"h", b"h:1", b"a b", b"")]
    + [
        (b"Connection", value)
        for value in (b"close", b"keep-alive", b"Content-Length", b"x-a, host")
    ]
    + [(b"Proxy-Connection", b"close"), (b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]
    + [(b"Authorization", b"Bearer t"), (b"X-DataRobot-User-Id", b"root"), (b"TE", b"trailers")]
    + [(b"Expect", b"100-continue"), (b"X-Request-Id", b"r-1"), (b"traceparent", b"00-1-2-00")]
    + [(b"X-Forwarded-For", b"6.6.6.6"), (b"x_datarobot_user_id", b"root"), (b"Trailer", b"Host")]
)
NAMES = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=8).map(str.encode)
VALUES = st.one_of(
    st.text('abc 019,;="\t\x80\xff', max_size=10).map(lambda text: text.encode("latin-1")),
    st.sampled_from([b"a\nX: b", b"a\r\n b", b"a\rb", b"\0", b"a\x7f", b"\x01"]),
)
ENDS = st.sampled_from([b"\r\n"] * 60 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n"])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """One header line with its end."""
    name, value = draw(st.one_of(st.tuples(NAMES, VALUES), FRAMING, MEANINGFUL))
    return (
        name
        + b":"
        + draw(BLANKS)
        + value
        + draw(st.sampled_from([b""] * 8 + [b" ", b"\t"]))
        + draw(ENDS)
    )


@st.composite
def heads(draw: st.DrawFn, *, credentials: bytes = b"") -> bytes:
    """A request's head, up to the first empty line.

    Args:
        draw: Given by hypothesis.
        credentials: Lines that nearly all heads carry.
    """
    start = draw(METHODS) + b" " + draw(TARGETS) + b" " + draw(VERSIONS) + draw(ENDS)
    host = draw(st.sampled_from([b"Host: h\r\n"] * 9 + [b""]))
    before = draw(st.lists(lines(), max_size=3))
    after = draw(st.lists(lines(), max_size=3))
    head = start + b"".join([*before, host, credentials, *after]) + b"\r\n"
    return head[: head.index(b"\r\n\r\n") + 4] if b"\r\n\r\n" in head else head + b"\r\n"


SMUGGLED = b"GET " + INVOKE + b"/smuggled HTTP/1.1\r\nHost: h\r\nX-DataRobot-User-Id: root\r\n\r\n"
BODIES = st.sampled_from(
    [b"", b"", b"hello", b"abc", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\n\r\n"]
    + [b"0\r\nX-DataRobot-User-Id: root\r\nContent-Length: 4\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n"]
    + [b"0x5\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"5\r\nhello0\r\n\r\n", b"%x\r\n" % len(SMUGGLED)]
    + [SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED, b"hello" + SMUGGLED]
    + [b"\r\n", b"\n", b"0\n\n" + SMUGGLED, b"0\r\nX: 1\n\r\n" + SMUGGLED, b"-1\r\n" + SMUGGLED]
)  # fmt: skip


@st.composite
def streams(draw: st.DrawFn, *, credentials: bytes) -> bytes:
    """What a client sends over one connection: requests and bodies, pipelined."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        parts += [draw(heads(credentials=credentials)), draw(BODIES)]
    return b"".join(parts)
