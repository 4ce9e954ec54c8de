"""The chunked coding: read strictly however it is cut, written plainly."""

import tracemalloc

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import chunks as module
from gateway.core.chunks import (
    LAST_CHUNK,
    MAX_SIZE_LINE,
    MAX_TRAILERS,
    ChunkReader,
    write_chunks,
    write_end,
)
from gateway.core.framing import FramingError
from gateway.core.headers import KINDS
from tests.unit.gateway.core.tables import table

NEXT = b"GET / HTTP/1.1\r\n\r\n5\r\nhello"


def read(*parts: bytes) -> tuple[bytes, list[bytes], bytes, ChunkReader]:
    """Feed parts; payload, trailers and what is left over after the end."""
    reader = ChunkReader()
    payload, rest = b"", b""
    for part in parts:
        if reader.done:
            rest += part
            continue
        pieces, rest = reader.feed(part)
        assert b"" not in pieces
        payload += b"".join(pieces)
        assert reader.done or rest == b""
    return payload, reader.trailers, rest, reader


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


BODIES = [
    pytest.param(b"0\r\n\r\n", b"", [], id="empty"),
    pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", [], id="one-chunk"),
    pytest.param(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!", [], id="two-chunks"),
    pytest.param(b"1A\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26, [], id="upper-case-size"),
    pytest.param(b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26, [], id="lower-case-size"),
    pytest.param(b"0005\r\nhello\r\n000\r\n\r\n", b"hello", [], id="leading-zeros"),
    pytest.param(b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', b"hello", [], id="extensions"),
    pytest.param(b"4\r\n\r\n0\r\r\n0\r\n\r\n", b"\r\n0\r", [], id="payload-like-framing"),
    pytest.param(
        b"1\r\na\r\n0\r\nX-Sum: 1\r\nx-b:\r\n\r\n", b"a", [b"X-Sum: 1", b"x-b:"], id="trailers"
    ),
    pytest.param(b"0\r\nX: \xff\t\r\n\r\n", b"", [b"X: \xff\t"], id="old-text-in-a-trailer"),
]


@pytest.mark.parametrize(("wire", "payload", "trailers"), BODIES)
@pytest.mark.parametrize("after", [b"", NEXT], ids=["alone", "with-the-next-message"])
def test_bodies_are_read_however_they_are_cut(wire, payload, trailers, after):
    data = wire + after
    cuts = [[data], one_by_one(data)]
    cuts += [[data[:at], data[at:]] for at in range(1, len(data))]
    for parts in cuts:
        assert read(*parts)[:3] == (payload, trailers, after)
    assert read(data)[3].done


@pytest.mark.parametrize(("wire", "payload", "trailers"), BODIES)
def test_a_body_is_not_done_before_its_last_byte(wire, payload, trailers):
    for end in range(len(wire)):
        assert not read(wire[:end])[3].done
        assert not read(*one_by_one(wire[:end]))[3].done


REFUSED = {
    "size not hexadecimal, empty, or over 16 digits": [
        pytest.param(b"\r\n", id="empty"),
        pytest.param(b";a\r\n", id="only-an-extension"),
        pytest.param(b"0x1\r\na\r\n", id="prefixed"),
        pytest.param(b"+1\r\na\r\n", id="plus"),
        pytest.param(b"-1\r\na\r\n", id="minus"),
        pytest.param(b"1_0\r\n", id="underscore"),
        pytest.param(b"g\r\n", id="not-hexadecimal"),
        pytest.param(b" 1\r\na\r\n", id="blank-before"),
        pytest.param("\N{FULLWIDTH DIGIT ONE}\r\n".encode(), id="digit-of-another-script"),
        pytest.param(b"00000000000000001\r\na\r\n", id="17-digits"),
        pytest.param(b"5\r\nhello\r\nx\r\n", id="second-size"),
    ],
    "white space after a size (legal only before `;`)": [
        pytest.param(b"1 \r\na\r\n", id="blank"),
        pytest.param(b"1\t\r\na\r\n", id="tab"),
        pytest.param(b"1 ;b\r\na\r\n", id="blank-before-an-extension"),
        pytest.param(b"1\x0b\r\na\r\n", id="vertical-tab"),
    ],
    "a size line over 4 KiB": [
        pytest.param(b"1;" + b"a" * MAX_SIZE_LINE + b"\r\n", id="whole"),
        pytest.param(b"1;" + b"a" * MAX_SIZE_LINE, id="without-its-end"),
    ],
    "bare LF or CR anywhere in a size line": [
        pytest.param(b"1\na\r\n", id="lf-as-the-end"),
        pytest.param(b"1;a\nb\r\n", id="lf-in-an-extension"),
        pytest.param(b"1;a\rb\r\n", id="cr-in-an-extension"),
        pytest.param(b"1\r\r\na\r\n", id="two-cr"),
        pytest.param(b"1;\0\r\n", id="nul-in-an-extension"),
    ],
    "chunk data not followed by CRLF": [
        pytest.param(b"1\r\nab\r\n", id="too-long"),
        pytest.param(b"1\r\na\n", id="bare-lf"),
        pytest.param(b"1\r\na\rb", id="bare-cr"),
        pytest.param(b"1\r\na0\r\n\r\n", id="missing"),
    ],
    "trailers over 16 KiB": [
        pytest.param(b"0\r\nX: " + b"a" * MAX_TRAILERS + b"\r\n\r\n", id="one-line"),
        pytest.param(b"0\r\nX: " + b"a" * MAX_TRAILERS, id="one-line-without-its-end"),
        pytest.param(b"0\r\n" + b"X: 123456\r\n" * 2000 + b"\r\n", id="many-lines"),
    ],
    "a trailer line without a name": [
        pytest.param(b"0\r\n: a\r\n\r\n", id="empty-name"),
        pytest.param(b"0\r\nX\r\n\r\n", id="no-colon"),
        pytest.param(b"0\r\nX : a\r\n\r\n", id="blank-before-the-colon"),
        pytest.param(b"0\r\nX: a\r\n b\r\n\r\n", id="folded"),
        pytest.param(b"0\r\nX: a\nY: b\r\n\r\n", id="bare-lf"),
        pytest.param(b"0\r\nX: a\rY: b\r\n\r\n", id="bare-cr"),
        pytest.param(b"0\r\nX: \0\r\n\r\n", id="nul"),
    ],
}


def test_every_refusal_of_the_docstring_is_tested():
    assert [row[0] for row in table(module, first="refused")] == list(REFUSED)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(*param.values, id=f"{rule}-{param.id}".replace(" ", "-"))
        for rule, params in REFUSED.items()
        for param in params
    ],
)
def test_what_two_parsers_might_read_differently_is_refused(wire):
    cuts = [[wire], one_by_one(wire), [wire + NEXT], [wire[:2], wire[2:] + NEXT]]
    for parts in cuts:
        with pytest.raises(FramingError) as refused:
            read(*parts)
        assert refused.value.status == 400


def test_a_size_of_16_digits_waits_for_its_data():
    payload, _, _, reader = read(b"FFFFFFFFFFFFFFFF\r\nabc")
    assert payload == b"abc"
    assert not reader.done


def test_a_size_line_of_4_kib_is_accepted_however_it_is_cut():
    line = b"1;".ljust(MAX_SIZE_LINE, b"a")
    for parts in ([line + b"\r\na\r\n0\r\n\r\n"], [line, b"\r\na\r\n0\r\n\r\n"]):
        assert read(*parts)[0] == b"a"


def test_trailers_of_16_kib_are_accepted_however_they_are_cut():
    line = b"X:".ljust(MAX_TRAILERS, b"a")
    for parts in ([b"0\r\n" + line + b"\r\n\r\n"], [b"0\r\n" + line, b"\r\n\r\n"]):
        assert read(*parts)[1] == [line]


@pytest.mark.parametrize("wire", [b"5\nhello\n0\n\n", b"0\r\nX: 1\n\n"], ids=["size", "trailer"])
def test_a_client_that_ends_lines_with_lf_is_refused_at_once_and_not_waited_for(wire):
    with pytest.raises(FramingError):
        read(wire)


@pytest.mark.parametrize("name", KINDS, ids=bytes.decode)
def test_trailers_that_would_mean_something_in_a_head_are_dropped(name):
    underscored = name.replace(b"-", b"_")
    wire = b"0\r\nX-Sum: 1\r\n%b: 4\r\n%b: 4\r\nX-Last: 2\r\n\r\n" % (name.title(), underscored)
    assert read(wire)[1] == [b"X-Sum: 1", b"X-Last: 2"]


PAYLOADS = st.lists(st.binary(min_size=1, max_size=70), max_size=8)
TRAILERS = st.lists(st.from_regex(rb"X-[A-Za-z]{1,5}: [ -~]{0,10}", fullmatch=True), max_size=3)


@given(pieces=PAYLOADS, trailers=TRAILERS, data=st.data())
def test_what_is_written_is_read_back(pieces, trailers, data):
    wire = b"".join(write_chunks([piece]) for piece in pieces) + write_end(trailers) + NEXT
    parts = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        parts.append(wire[:size])
        wire = wire[size:]
    assert read(*parts)[:3] == (b"".join(pieces), trailers, NEXT)


@given(pieces=PAYLOADS.filter(bool))
def test_pieces_that_came_together_go_on_as_one_chunk(pieces):
    assert write_chunks(pieces) == write_chunks([b"".join(pieces)])


def test_an_end_without_trailers_is_the_last_chunk():
    assert write_end([]) == LAST_CHUNK


SIZES = st.builds(
    lambda size, zeros, upper: (b"0" * zeros + b"%x" % size, upper),
    st.integers(0, 20), st.integers(0, 3), st.booleans(),
)  # fmt: skip
EXTENSIONS = st.one_of(st.just(b""), st.from_regex(rb";[a-z]{1,4}(=[a-z\"]{0,4})?", fullmatch=True))
ODD = st.sampled_from([b"\n", b"\r", b" ", b"\t", b"0x", b"+", b"\0", b";", b"g", b"\r\n", b""])


@st.composite
def nearly_chunked(draw) -> bytes:
    """A chunked body, now and then with something odd at one place."""
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        size, upper = draw(SIZES)
        length = int(size, 16)
        if not length:
            continue
        parts += [size.upper() if upper else size, draw(EXTENSIONS), b"\r\n"]
        parts += [draw(st.binary(min_size=length, max_size=length)), b"\r\n"]
    parts += [b"0", draw(EXTENSIONS), b"\r\n", *[t + b"\r\n" for t in draw(TRAILERS)], b"\r\n"]
    parts.insert(draw(st.integers(0, len(parts))), draw(ODD))
    return b"".join(parts)


def read_by_h11(wire: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """What an HTTP server of another author reads; raises if it is refused or not whole."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=10**6)
    server.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    assert isinstance(server.next_event(), h11.Request)
    payload = b""
    while isinstance(event := server.next_event(), h11.Data):
        payload += event.data
    assert isinstance(event, h11.EndOfMessage)
    return payload, list(event.headers), server.trailing_data[0]


@given(wire=nearly_chunked())
def test_accepted_bodies_mean_the_same_to_another_parser(wire):
    try:
        payload, trailers, rest, reader = read(wire + NEXT)
    except FramingError:
        return
    if reader.done:
        expected = [
            (name.lower(), value.strip(b" \t"))
            for name, _, value in (line.partition(b":") for line in trailers)
        ]
        assert read_by_h11(wire + NEXT) == (payload, expected, rest)


@given(wire=nearly_chunked())
def test_what_goes_on_is_unambiguous_whatever_came(wire):
    reader = ChunkReader()
    try:
        pieces, _ = reader.feed(wire)
    except FramingError:
        return
    if reader.done:
        rewritten = (write_chunks(pieces) if pieces else b"") + write_end(reader.trailers)
        assert read_by_h11(rewritten)[::2] == (b"".join(pieces), b"")


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param([b"a" * 64] * 5000, id="size-line"),
        pytest.param([b"0\r\n", *[b"X" * 64] * 5000], id="trailer-line"),
        pytest.param([b"0\r\n", *[b"X: 1\r\n"] * 50_000], id="trailer-lines"),
        pytest.param([b"1\r\na", *[b"\r"] * 5000], id="after-data"),
    ],
)
def test_no_flood_is_kept(flood):
    reader = ChunkReader()

    def drink():
        for part in flood:
            reader.feed(part)
            assert len(reader._buffer) <= max(MAX_SIZE_LINE, MAX_TRAILERS)
            assert sum(map(len, reader.trailers)) <= MAX_TRAILERS

    with pytest.raises(FramingError):
        drink()


def test_payload_is_passed_on_and_not_kept():
    reader = ChunkReader()
    reader.feed(b"ffffffff\r\n")
    piece = bytes(64 * 1024)
    tracemalloc.start()
    try:
        for _ in range(100):
            pieces, _ = reader.feed(piece)
            assert len(pieces) == 1
        assert tracemalloc.get_traced_memory()[0] < 4 * len(piece)
    finally:
        tracemalloc.stop()
    assert reader._buffer == b""
