"""Statistics as the store keeps them: buckets of time per proton, and what was last seen of whom.

One hash per workload, `{ns}:stats:<workload>`, holds everything about it, so that one script can
change it all at once:

    field                   holds
    ----------------------  ---------------------------------------------------------------
    v                       how often the hash was written: writers check it
    s                       `Summary`: what lists and totals need, of all protons together
    m<minute>:<proton>      `Bucket` of one minute since the epoch
    h<hour>:<proton>        the same of one hour
    d<day>:<proton>         the same of one day, UTC
    w<worker>:<proton>      `Seen`: the worker's counters as they are in the buckets already

Minutes, hours and days overlap: each request is in one of each. They are kept for different times
(`KEPT_S`), and none for longer than the workload's retention.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

import msgspec


class Level(StrEnum):
    """How long a bucket is; the value begins its field's name."""

    MINUTE = "m"
    HOUR = "h"
    DAY = "d"


LENGTH_S: Final = {Level.MINUTE: 60, Level.HOUR: 3600, Level.DAY: 86_400}

KEPT_S: Final = {
    Level.MINUTE: 3 * 3600,
    Level.HOUR: 8 * 86_400,
    Level.DAY: 31 * 86_400,
}
"""How far back each level reaches: at most 180 + 192 + 31 buckets per proton."""

DRAFT_RETENTION_S: Final = 86_400
LOCKED_RETENTION_S: Final = 30 * 86_400
"""Older buckets count no more, and are dropped."""

VERSION: Final = "v"
SUMMARY: Final = "s"


class _Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of a `Bucket` that is quick to decode."""

    started: int = 0
    """Requests that arrived, whatever became of them."""
    ended: int = 0
    """However they ended."""
    user_errors: int = 0
    """4xx, the gateway's own included."""
    server_errors: int = 0
    """5xx, the gateway's own included."""
    refused: int = 0
    """Answered by the gateway itself; part of the errors."""
    aborted: int = 0
    """A side vanished before the end; not an error."""
    cold_starts: int = 0
    load_seconds: float = 0.0
    """Integral of requests under way over time."""


class Bucket(_Head, frozen=True, array_like=True, gc=False):
    """What happened to requests in a stretch of time, or since a worker's start."""

    response_seconds: float = 0.0
    """Sum of the response times."""
    response_time: dict[int, int] = {}
    """Histogram, see `controlplane.model.histograms`."""

    def __add__(self, other: Self) -> Self:
        """Both together."""
        histogram = dict(self.response_time)
        for index, count in other.response_time.items():
            histogram[index] = histogram.get(index, 0) + count
        return self._combined(other, 1, histogram)

    def __sub__(self, other: Self) -> Self:
        """What is left of this when `other`, a part of it, is taken away."""
        histogram = {
            index: left
            for index, count in self.response_time.items()
            if (left := count - other.response_time.get(index, 0)) > 0
        }
        return self._combined(other, -1, histogram)

    def _combined(self, other: Self, sign: int, histogram: dict[int, int]) -> Self:
        return type(self)(
            started=max(0, self.started + sign * other.started),
            ended=max(0, self.ended + sign * other.ended),
            user_errors=max(0, self.user_errors + sign * other.user_errors),
            server_errors=max(0, self.server_errors + sign * other.server_errors),
            refused=max(0, self.refused + sign * other.refused),
            aborted=max(0, self.aborted + sign * other.aborted),
            cold_starts=max(0, self.cold_starts + sign * other.cold_starts),
            load_seconds=max(0.0, self.load_seconds + sign * other.load_seconds),
            response_seconds=max(0.0, self.response_seconds + sign * other.response_seconds),
            response_time=histogram,
        )


NOTHING: Final = Bucket()


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One worker's counters of one proton, as far as they are in the buckets."""

    clock_s: float
    """The worker's monotonic clock at the report: an older report says nothing new."""
    sent_at: float
    """Wall clock, epoch seconds."""
    counters: Bucket
    under_way: int = 0
    """Requests queued and in flight."""


class Tally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The few numbers of a bucket that lists and totals need."""

    started: int = 0
    ended: int = 0
    failed: int = 0
    aborted: int = 0
    load_seconds: float = 0.0
    responses: int = 0
    response_seconds: float = 0.0

    def __add__(self, other: Self) -> Self:
        """Both together."""
        return type(self)(
            self.started + other.started,
            self.ended + other.ended,
            self.failed + other.failed,
            self.aborted + other.aborted,
            self.load_seconds + other.load_seconds,
            self.responses + other.responses,
            self.response_seconds + other.response_seconds,
        )

    @classmethod
    def of(cls, bucket: Bucket) -> Self:
        """A bucket's numbers."""
        return cls(
            bucket.started,
            bucket.ended,
            bucket.user_errors + bucket.server_errors,
            bucket.aborted,
            bucket.load_seconds,
            sum(bucket.response_time.values()),
            bucket.response_seconds,
        )


class Summary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A workload in short, over all its protons."""

    since: float | None = None
    """The reset (`Workload.stats_since`) after which all buckets are; others are void."""
    protons: tuple[str, ...] = ()
    """Those with buckets, in the order of their first."""
    workers: dict[str, float] = {}
    """Gateway workers with a `Seen` field here, and when they sent what it holds."""
    under_way: int = 0
    """Requests queued and in flight at `under_way_at`."""
    under_way_at: float = 0.0
    last_request_at: float | None = None
    last_response_at: float | None = None
    hours: dict[int, Tally] = {}
    """The last two days."""
    days: dict[int, Tally] = {}
    """The last seven days."""
    swept_hour: int = 0
    """When old fields were dropped last."""


NO_SUMMARY: Final = Summary()

LOST: Final = b""
"""Stands for a `Seen` that the store has and nobody can read."""


@dataclass(slots=True)
class Changes:
    """What to write into a workload's hash."""

    sets: dict[str, bytes] = field(default_factory=dict)
    drops: set[str] = field(default_factory=set)


_ENCODER: Final = msgspec.msgpack.Encoder()
_BUCKETS: Final = msgspec.msgpack.Decoder(Bucket)
_HEADS: Final = msgspec.msgpack.Decoder(_Head)
_SEEN: Final = msgspec.msgpack.Decoder(Seen)
_SUMMARIES: Final = msgspec.msgpack.Decoder(Summary)


def bucket_field(level: Level, index: int, proton_id: str) -> str:
    """The name of a bucket's field; `index` counts buckets of this length since the epoch."""
    return f"{level.value}{index}:{proton_id}"


def seen_field(worker_id: str, proton_id: str) -> str:
    """The name of the field with what was last seen of a worker's proton."""
    return f"w{worker_id}:{proton_id}"


def bucket_of_field(name: str) -> tuple[Level, int, str] | None:
    """Level, index and proton of a bucket's field; None: it holds something else."""
    letter, rest = name[:1], name[1:]
    index, colon, proton_id = rest.partition(":")
    if letter not in {level.value for level in Level} or not colon or not index.isdecimal():
        return None
    return Level(letter), int(index), proton_id


def worker_of_field(name: str) -> str | None:
    """The worker of a `Seen` field; None: it holds something else."""
    worker_id, colon, _ = name[1:].rpartition(":")
    return worker_id if name.startswith("w") and colon else None


def encode(value: Bucket | Seen | Summary) -> bytes:
    """As the store keeps it."""
    return _ENCODER.encode(value)


def decode_bucket(value: bytes | None) -> Bucket:
    """A stored bucket; nothing where there is none."""
    return NOTHING if value is None else _BUCKETS.decode(value)


def load_seconds_of(value: bytes) -> float:
    """`Bucket.load_seconds` of a stored bucket, a fifth of the work: without its histogram."""
    return _HEADS.decode(value).load_seconds


def decode_seen(value: bytes | None) -> Seen | None:
    """What was stored; None where there is nothing."""
    return None if value is None else _SEEN.decode(value)


def decode_summary(value: bytes | None) -> Summary:
    """A stored summary; an empty one where there is none."""
    return NO_SUMMARY if value is None else _SUMMARIES.decode(value)
