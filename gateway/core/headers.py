"""Header lines: which ones mean something to a proxy, and what.

The grammar of a head has been judged by llhttp before it comes here (`gateway.net`), so a line is
`name:value` with a token for a name, and CRLF never hides inside. What is left is to find the few
lines that matter. Clients and replicas send the same lines over and over, so the meaning of a line
is remembered: a dictionary look-up of 0.06 us instead of 0.4 us of splitting and folding.

    kind               request                               response
    -----------------  ------------------------------------  ---------------------------
    PLAIN              forwarded as it came                  forwarded as it came
    HOST               exactly one; forwarded                forwarded (means nothing)
    CONNECTION         ours to answer, never forwarded       the same
    CONTENT_LENGTH     framing                               framing
    TRANSFER_ENCODING  framing, only `chunked`               the same
    UPGRADE            forwarded if Connection names it      with 101 only
    AUTHORIZATION      consumed, never forwarded             forwarded
    API_KEY            consumed, never forwarded             forwarded
    REQUEST_ID         kept if sane, else replaced           dropped: ours is sent
    TRACEPARENT        kept if valid, else replaced          forwarded
    TRACESTATE         kept with a valid traceparent         forwarded
    FORWARDED          dropped unless the sender is trusted  forwarded
    TE                 `trailers` goes on, nothing else      dropped
    MAX_FORWARDS       counted down in OPTIONS and TRACE     forwarded
    DATE               forwarded                             forwarded, added if missing
    HOP                dropped (RFC 9110 section 7.6.1)      dropped
    RESERVED           dropped: only the gateway says it     dropped
"""

from typing import Final

(
    PLAIN,
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    UPGRADE,
    AUTHORIZATION,
    API_KEY,
    REQUEST_ID,
    TRACEPARENT,
    TRACESTATE,
    FORWARDED,
    TE,
    MAX_FORWARDS,
    DATE,
    HOP,
    RESERVED,
) = range(17)

KINDS: Final[dict[bytes, int]] = {
    b"host": HOST,
    b"connection": CONNECTION,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"upgrade": UPGRADE,
    b"authorization": AUTHORIZATION,
    b"x-datarobot-api-key": API_KEY,
    b"x-datarobot-api-token": API_KEY,
    b"x-request-id": REQUEST_ID,
    b"traceparent": TRACEPARENT,
    b"tracestate": TRACESTATE,
    b"forwarded": FORWARDED,
    b"x-original-host": FORWARDED,
    b"x-original-url": FORWARDED,
    b"x-rewrite-url": FORWARDED,
    b"x-original-forwarded-for": FORWARDED,
    b"x-real-ip": FORWARDED,
    b"x-client-ip": FORWARDED,
    b"x-cluster-client-ip": FORWARDED,
    b"true-client-ip": FORWARDED,
    b"cf-connecting-ip": FORWARDED,
    b"te": TE,
    b"max-forwards": MAX_FORWARDS,
    b"date": DATE,
    b"keep-alive": HOP,
    b"proxy-connection": HOP,
    b"proxy-authenticate": HOP,
    b"proxy-authorization": HOP,
    b"http2-settings": HOP,
    b"x-datarobot-user-id": RESERVED,
    b"x-forwarded-prefix": RESERVED,
    b"x-tidegate-error": RESERVED,
}

CLAIMS: Final = b"x-forwarded"
"""FORWARDED, whatever follows (-For, -Proto, -User, -Client-Cert): applications believe it as a
proxy's word on the client."""

Meaning = tuple[int, bytes]
"""Kind and value (optional white space stripped)."""

PLAIN_LINE: Final[Meaning] = (PLAIN, b"")
"""What most lines mean. PLAIN is 0, so that a truth test tells."""

MAX_KNOWN: Final = 4096
MAX_KNOWN_BYTES: Final = 256
"""At most 1 MiB of remembered lines: beyond the count everything is forgotten and learnt anew."""


def meaning(line: bytes) -> Meaning:
    """What one header line means. `line` is without its CRLF and has passed llhttp."""
    name, _, value = line.partition(b":")
    folded = name.lower()
    kind = KINDS.get(folded, PLAIN)
    if kind == PLAIN:
        if b"_" in folded:
            # WSGI and CGI read `Content_Length` as Content-Length: what means nothing to us must
            # not mean framing or identity to the application (nginx drops all underscores).
            dashed = folded.replace(b"_", b"-")
            if dashed in KINDS or dashed.startswith(CLAIMS):
                return (RESERVED, b"")
        if not folded.startswith(CLAIMS):
            return PLAIN_LINE
        kind = FORWARDED
    return (kind, value.strip(b" \t"))


class KnownLines:
    """Remembers the meaning of lines. A pure function's memory, bounded in count and size."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, Meaning] = {}

    def learn(self, line: bytes) -> Meaning:
        """The meaning of a line that is not yet known."""
        found = meaning(line)
        if len(line) <= MAX_KNOWN_BYTES:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            self.known[line] = found
        return found


def drop_named(lines: list[bytes], names: list[bytes]) -> list[bytes]:
    """Take out the lines that `Connection` names (RFC 9110 section 7.6.1).

    Args:
        lines: Forwarded header lines; only plain ones, so framing and Host cannot be named away.
        names: Lower-case names.
    """
    named = frozenset(names)  # thousands may be named
    return [line for line in lines if line.partition(b":")[0].lower() not in named]


def connection_tokens(value: bytes) -> list[bytes]:
    """The comma-separated options of a Connection header, folded to lower case."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]
