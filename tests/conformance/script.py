"""What a case is: bytes that a client says, what the origin answers, and who judges the outcome.

A case is data. The client's script is one list of steps. The origin has a list of turns: the first
request that reaches it, over whatever connection, is served by the first turn, and so on; whoever
comes after the last turn gets `ECHO`. Every case has a lane of its own (proxy listener, origin), so
cases do not see each other's connections.

In what the client sends, `{P}` stands for the path under which the proxy publishes the origin and
`{A}` for the header lines that let a caller in; for most proxies both are empty. So the length of
what stands between `{B}` and `{E}` is known only then: `{N}` is it, `{X}` the same in hexadecimal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait until these bytes have come to this side."""

    data: bytes


@dataclass(frozen=True, slots=True)
class OtherHears:
    """Wait until these bytes have come to the other end, beyond the proxy."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """Client: wait for this many whole final answers, or the connection's end."""

    count: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Origin: wait for the whole request."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Origin: answer 200 with the target as body."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Origin: send 100, if the request that reached it expects one."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send no more; go on listening."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection in order."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Give the proxy time to notice what has reached it."""

    seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class Tell:
    """Let the other script go on."""


@dataclass(frozen=True, slots=True)
class Told:
    """Wait for the other script's `Tell`."""


Step = (
    Send
    | Hear
    | OtherHears
    | Answered
    | Whole
    | Echo
    | Continue
    | HalfClose
    | Close
    | Rest
    | Tell
    | Told
)
Turn = tuple[Step, ...]

ECHO: Turn = (Whole(), Echo())


def expand(data: bytes, *, prefix: bytes, lines: bytes) -> bytes:
    """Put in what the placeholders stand for."""
    data = data.replace(b"{P}", prefix).replace(b"{A}", lines)
    before, begin, rest = data.partition(b"{B}")
    if not begin:
        return data
    inside, _, after = rest.partition(b"{E}")
    before = before.replace(b"{N}", b"%d" % len(inside)).replace(b"{X}", b"%x" % len(inside))
    return before + inside + after


class Grade(StrEnum):
    """How an outcome is judged."""

    PASS = "pass"
    DIFFERS = "differs"
    """Legal, but not what was asked for: the feature is not offered."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grade, and why it is not better."""

    grade: Grade
    reason: str = ""


PASS = Verdict(Grade.PASS)


def fail(reason: str) -> Verdict:
    """A failure."""
    return Verdict(Grade.FAIL, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What happened in one run of a case: all that a verdict may look at."""

    client: bytes = b""
    """What the client received."""
    client_end: str = "open"
    """`open`, `eof` (closed in order) or `reset`, as the client saw it."""
    origin: tuple[bytes, ...] = ()
    """What the origin received, by connection."""
    methods: tuple[str, ...] = ("GET",)
    """Methods of the client's requests, in order."""
    stalled: str = ""
    """What the client waited for in vain; empty when the script went through."""


Check = Callable[[Transcript], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the page."""

    id: str
    section: str
    """Where the rule stands: `9112 6.3` is RFC 9112 section 6.3."""
    title: str
    """What is sent, in a few words."""
    client: tuple[Step, ...]
    check: Check
    turns: tuple[Turn, ...] = ()
    answers: int = 1
    """The case is over after this many final answers, or when the connection ends."""
    methods: tuple[str, ...] = ("GET",)
    """Methods of the client's requests, in order: an answer to HEAD has no body."""
    ends: bool = False
    """The connection should end after the answers: wait for it, or for one answer too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A feature: a row of the summary, and a table of its own."""

    name: str
    rule: str
    """What passes in this group."""
    cases: tuple[Case, ...]
