"""Traffic settings of a workload: session affinity, quotas, and limits of one request.

An extension of ours, absent from the public contract. Everything is optional; nothing said, the
gateway does what it does for everybody.
"""

from enum import StrEnum
from typing import Final

import msgspec

DEFAULT_COOKIE: Final = "tidegate-session"
"""Name of the affinity cookie where nobody gives one."""

RESERVED_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "cf-connecting-ip", "connection"),
        *("content-encoding", "true-client-ip", "x-client-ip", "x-cluster-client-ip"),
        *("content-length", "content-type", "cookie", "date", "expect", "forwarded", "host"),
        *("http2-settings", "keep-alive", "location", "max-forwards", "origin", "range"),
        *("referer", "retry-after", "server-timing"),
        *("set-cookie", "te", "trailer", "traceparent", "tracestate", "transfer-encoding"),
        *("upgrade", "user-agent", "vary", "via", "x-datarobot-api-key", "x-datarobot-api-token"),
        *("x-datarobot-user-id", "x-keda-http-cold-start", "x-real-ip", "x-request-id"),
        "x-rewrite-url",
    }
)
"""Headers that mean something else, in lower case."""

RESERVED_PREFIXES: Final = ("proxy-", "sec-", "x-forwarded", "x-original-", "x-tidegate-")
"""And whole families of them."""


_PUBLIC: Final = {
    "max_body_bytes": "maxBodyBytes",
    "request_timeout_s": "requestTimeoutSeconds",
}
"""In JSON the settings have their public names: the journal shows what they were changed to."""


class AffinityKind(StrEnum):
    """How a client says which session a request belongs to."""

    COOKIE = "cookie"
    """A cookie that the gateway sets; it names the replica."""
    HEADER = "header"
    """A header of the application's or the client's own, such as `Mcp-Session-Id`."""


class Affinity(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"ttl_s": "ttlSeconds"}):
    """Requests of one session go to one replica for as long as it is there."""

    kind: AffinityKind
    name: str
    """Of the cookie, or of the header (any case)."""
    ttl_s: float | None = None
    """Forget a session after this long without a request. None: the cookie lives as long as the
    browser, a header's session until there are too many."""


class Quota(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """What each caller may ask of one workload. None: any number."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    concurrent_requests: int | None = None
    """Waiting and running ones together."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename=_PUBLIC):
    """How the gateway treats requests of one workload."""

    affinity: Affinity | None = None
    quota: Quota | None = None
    max_body_bytes: int | None = None
    """Largest request body. None: `gateway.max_body_bytes`."""
    request_timeout_s: float | None = None
    """Longest time from a request's head to its last response byte; not for tunnels.
    None: `gateway.request_timeout_s`."""


def is_reserved(header: str) -> bool:
    """Whether a header means something else, so that it cannot name a session."""
    name = header.lower()
    return name in RESERVED_HEADERS or name.startswith(RESERVED_PREFIXES)


NOTHING_SET: Final = Traffic()
"""Of workloads whose owners never spoke of it."""
