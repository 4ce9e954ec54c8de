"""Near-valid messages: valid or refused ones of the corpus, changed in a few places."""

from hypothesis import strategies as st

from tests.fuzz.fuzz_connections import DIVIDER

ODD_LINES = [
    *[b"Content-Length: 5", b"content-length: 5", b"Content-Length: 0", b"Content-Length: +5"],
    *[b"Content-Length: 5, 5", b"Content-Length:", b"Content-Length: 0x5", b"Content-Length : 5"],
    *[b"Content-Length: 5 5", b"Content-Length: \x0b5", b"Content_Length: 5", b"Content-Length"],
    *[b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED ", b"Transfer-Encoding: gzip"],
    *[b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: \x0bchunked"],
    *[b"Transfer-Encoding : chunked", b"Transfer-Encoding:", b"Transfer_Encoding: chunked"],
    *[b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked;a", b"TE: trailers, gzip"],
    *[b"Host: h", b"Host: other", b"Host:", b"Host: a b", b"host: u@h", b"Host : h"],
    *[b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade, x-a", b"Connection:"],
    *[b"Connection: host, content-length, transfer-encoding", b"Connection: ,,", b"X-A: 1"],
    *[b"Upgrade: chat", b"Upgrade: h2c", b"Expect: 100-continue", b"Expect: 200-ok"],
    *[b"Trailer: Host", b"X-DataRobot-User-Id: root", b"x_datarobot-user_id: root"],
    *[b"X-Request-Id: a b", b"traceparent: 00-x", b"Authorization: Bearer other", b"Via: 1.0 x"],
    *[b" folded", b"\tfolded", b"X", b": x", b"X: \xff", b"X\xff: 1", b"X: a\0b", b"X(: 1", b""],
    *[b"HTTP/1.1 200 OK", b"HTTP/1.0 204 No Content", b"HTTP/1.1 100 Continue", b"HTTP/1.1 304 X"],
    *[
        b"GET / HTTP/1.1",
        b"0",
        b"00",
        b"5",
        b"5;a=b",
        b"5 ",
        b" 5",
        b"+5",
        b"0x5",
        b"FFFFFFFFFFFFFFFF",
    ],
    *[b"5;" + b"a" * 5000, b"10000000000000000", b"-1", b"5\n", b"5;\rx", b"X-T: 1", b"X-T : 1"],
]
ODD_BYTES = [
    *[b"\r", b"\n", b"\0", b" ", b"\t", b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xff", b":", b","],
    *[b";", b"=", b"#", b"?", b"/", b"*", b"0", b"\r\n", b"\r\n\r\n", b"\n\n", b"", b"HTTP/1.1"],
]
ODD_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n", b"\r\n ", b"\r\n\t", b""]


def _line(draw: st.DrawFn, lines: list[bytes]) -> int:
    return draw(st.integers(0, len(lines) - 1))


@st.composite
def mutants(draw: st.DrawFn, corpus: list[bytes], *, changes: int = 3) -> bytes:
    """A message of the corpus with up to so many changes: to a line, an end of a line, a byte."""
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, changes))):
        lines = data.split(b"\r\n")
        at = _line(draw, lines)
        change = draw(st.integers(0, 6))
        if change == 0:
            lines.insert(at, lines[_line(draw, lines)])
        elif change == 1:
            del lines[at]
        elif change == 2:
            lines.insert(at, draw(st.sampled_from(ODD_LINES)))
        elif change == 3:
            other = _line(draw, lines)
            lines[at], lines[other] = lines[other], lines[at]
        elif change == 4:
            end = draw(st.sampled_from(ODD_ENDS))
            data = b"\r\n".join(lines[: at + 1]) + end + b"\r\n".join(lines[at + 1 :])
            continue
        else:
            place = draw(st.integers(0, len(lines[at])))
            kept = lines[at][place + draw(st.integers(0, 1)) :]
            lines[at] = lines[at][:place] + draw(st.sampled_from(ODD_BYTES)) + kept
        data = b"\r\n".join(lines)
    return data


@st.composite
def plays(draw: st.DrawFn, corpus: list[bytes]) -> bytes:
    """A play of the corpus with acts added, taken away, cut in two or said differently."""
    acts = draw(st.sampled_from(corpus)).split(DIVIDER)
    others = draw(st.sampled_from(corpus)).split(DIVIDER)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(acts) - 1))
        change = draw(st.integers(0, 4))
        if change == 0:
            acts.insert(at, draw(st.sampled_from(others)))
        elif change == 1 and len(acts) > 1:
            del acts[at]
        elif change == 2:
            acts.insert(at, draw(st.sampled_from(list("expPfyqQo0123hgnaAwWdt"))).encode() + b"6")
        elif change == 3 and len(acts[at]) > 2:
            place = draw(st.integers(1, len(acts[at]) - 1))
            acts[at : at + 1] = [acts[at][:place], acts[at][:1] + acts[at][place:]]
        else:
            acts[at] = acts[at][:1] + draw(mutants([acts[at][1:]], changes=1))
    return DIVIDER.join(acts)
