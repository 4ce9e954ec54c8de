"""Session affinity: which replica a request's session lives on, told by the request itself.

Nothing is shared between workers and nothing is looked up in the store: whatever names the replica
travels with the client, so it holds in every worker, over restarts, and when replicas are added.

    who names the session      what names the replica
    -------------------------  ------------------------------------------------------------
    the gateway (cookie)       the cookie's value: a token of the replica
    the application (header)   a suffix `!tg<token>` that we put behind the header's value in
                               answers, and take off in requests: the application never sees it
    the client (header)        nothing: the value chooses by rendezvous hashing, and this worker
                               remembers the choice, so that a session stays where it is when
                               replicas are added

Hashing alone would do for the first two only by chance: the replica that answers `initialize` with
a new Mcp-Session-Id was chosen before the id existed. A token is a digest of the replica's id: it
tells nobody an address, and a forged one leads at most to another replica of the same workload.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

TOKEN_LENGTH: Final = 16
_MARK: Final = b"!tg"
SUFFIX_LENGTH: Final = len(_MARK) + TOKEN_LENGTH
_HEX: Final = frozenset(b"0123456789abcdef")

MAX_BINDINGS: Final = 10_000
"""Sessions named by clients that one worker remembers per workload; the longest unused go first."""


def token_of(replica_id: str) -> bytes:
    """What stands for a replica in cookies and headers: the same in every worker."""
    return blake2b(replica_id.encode(), digest_size=TOKEN_LENGTH // 2).hexdigest().encode()


def cookie_value(lines: Sequence[bytes], name: bytes) -> bytes | None:
    """Value of a cookie in a request's header lines (RFC 6265 section 5.4); None without it."""
    wanted = name + b"="
    for line in lines:
        if line[:7].lower() == b"cookie:":
            for part in line[7:].split(b";"):
                pair = part.strip(b" \t")
                if pair.startswith(wanted):
                    return pair[len(wanted) :].strip(b'"')
    return None


def header_line(lines: Sequence[bytes], name: bytes) -> bytes | None:
    """The first line of a header.

    Args:
        lines: Header lines.
        name: In lower case.
    """
    length = len(name)
    for line in lines:
        if line[length : length + 1] == b":" and line[:length].lower() == name:
            return line
    return None


def value_of(line: bytes) -> bytes:
    """The value of a header line."""
    return line.partition(b":")[2].strip(b" \t")


def split_suffix(value: bytes) -> tuple[bytes, bytes | None]:
    """A header's value as the application knows it, and the replica's token; None: not from us."""
    token = value[-TOKEN_LENGTH:]
    if (
        len(value) > SUFFIX_LENGTH
        and value[-SUFFIX_LENGTH:-TOKEN_LENGTH] == _MARK
        and _HEX.issuperset(token)
    ):
        return value[:-SUFFIX_LENGTH], token
    return value, None


def with_suffix(value: bytes, token: bytes) -> bytes:
    """A header's value as the client gets it."""
    return value + _MARK + token


def set_cookie(
    name: bytes, token: bytes, *, path: bytes, ttl_s: float | None, secure: bool
) -> bytes:
    """A Set-Cookie line with its CRLF.

    Args:
        name: The cookie's.
        token: The replica's.
        path: The invoke URL's path without a slash at the end: it matches what is below it too
            (RFC 6265 section 5.1.4).
        ttl_s: Max-Age; None: until the browser ends.
        secure: The client came over TLS.
    """
    age = b"" if ttl_s is None else b"; Max-Age=%d" % max(1, int(ttl_s))
    return b"Set-Cookie: %b=%b; Path=%b%b; HttpOnly; SameSite=Lax%b\r\n" % (
        name, token, path, age, b"; Secure" if secure else b"",
    )  # fmt: skip


def digest(value: bytes) -> bytes:
    """A client's session id as it is remembered: of one size, however long it is."""
    return blake2b(value, digest_size=16).digest()


def fraction(key: bytes) -> float:
    """A number on [0, 1) that follows from a digest: what a random one would be for a session."""
    return int.from_bytes(key[:6]) / (1 << 48)


def rendezvous(key: bytes, tokens: Sequence[bytes]) -> bytes | None:
    """The token on which a session lands wherever it is asked (highest random weight).

    When a token is added or goes, only the sessions that land on it, or were on it, move.
    """
    if not tokens:
        return None
    return max(tokens, key=lambda token: blake2b(token, key=key, digest_size=8).digest())


class Bindings:
    """Where sessions that clients name live, as far as this worker knows."""

    __slots__ = ("_found", "ttl_s")

    def __init__(self, ttl_s: float | None) -> None:
        self.ttl_s = ttl_s
        self._found: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        """Digest to token and when it was last used, longest unused first."""

    def __len__(self) -> int:
        """How many sessions are remembered."""
        return len(self._found)

    def find(self, key: bytes, now_s: float) -> bytes | None:
        """The token of a session; None when it is unknown or too old."""
        found = self._found.get(key)
        if found is None or (self.ttl_s is not None and now_s - found[1] > self.ttl_s):
            return None
        return found[0]

    def keep(self, key: bytes, token: bytes, now_s: float) -> None:
        """A session has been answered by a replica."""
        found = self._found
        found[key] = (token, now_s)
        found.move_to_end(key)
        if len(found) > MAX_BINDINGS:
            found.popitem(last=False)
        if self.ttl_s is not None:
            oldest, (_, used_s) = next(iter(found.items()))
            if now_s - used_s > self.ttl_s:
                del found[oldest]
