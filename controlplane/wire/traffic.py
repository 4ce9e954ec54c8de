"""A workload's traffic settings, our extension: session affinity, quotas, limits of one request.

Optional everywhere; what is absent or null is as without the extension. The object is always given
and replaced as a whole: `{}` takes every setting back.
"""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from controlplane.model.traffic import (
    DEFAULT_COOKIE,
    Affinity,
    AffinityKind,
    Quota,
    Traffic,
    is_reserved,
)
from controlplane.wire.base import Input, Integer, Number, Shape, broken_rule, maybe, whole
from controlplane.wire.sizes import ByteSize

NAME_PATTERN: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"
"""Names of cookies and headers are tokens (RFC 6265 section 4.1.1, RFC 9110 section 5.1)."""

QuotaCount = Annotated[Integer, Field(ge=1, le=1_000_000_000)]


class AffinityShape(Shape):
    """Session affinity in an answer."""

    kind: AffinityKind
    name: str
    ttl_seconds: Number | None


class AffinityInput(Input):
    """Requests of one session go to one replica for as long as it is there."""

    kind: AffinityKind
    name: Annotated[str, Field(pattern=NAME_PATTERN)] | None = Field(
        None, description=f"Of the cookie (default `{DEFAULT_COOKIE}`), or of the header."
    )
    ttl_seconds: Annotated[Number, Field(ge=1, le=2_592_000)] | None = Field(
        None, description="Forget a session after this long without a request; null: never."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind is AffinityKind.HEADER:
            if self.name is None:
                raise broken_rule("affinity by header needs the header's name")
            if is_reserved(self.name):
                raise broken_rule(
                    f"the header {self.name!r} means something else and cannot name a session:"
                    " use one of the application's own, such as Mcp-Session-Id"
                )
        return self

    def to_model(self) -> Affinity:
        """The record's form."""
        return Affinity(
            kind=self.kind,
            name=self.name or DEFAULT_COOKIE,
            ttl_s=maybe(self.ttl_seconds, float),
        )


class QuotaShape(Shape):
    """What each caller may ask of the workload, in an answer."""

    requests_per_minute: int | None
    requests_per_hour: int | None
    concurrent_requests: int | None


class QuotaInput(Input):
    """What each caller may ask of the workload; null: any number. Beyond it: 429."""

    requests_per_minute: QuotaCount | None = None
    requests_per_hour: QuotaCount | None = None
    concurrent_requests: QuotaCount | None = Field(
        None, description="Waiting and running ones together."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        minute, hour = self.requests_per_minute, self.requests_per_hour
        if minute is not None and hour is not None and minute > hour:
            raise broken_rule(
                f"requestsPerMinute ({minute}) exceeds requestsPerHour ({hour}): it could never"
                " be reached"
            )
        return self

    def to_model(self) -> Quota | None:
        """The record's form; None where nothing is limited."""
        quota = Quota(
            requests_per_minute=self.requests_per_minute,
            requests_per_hour=self.requests_per_hour,
            concurrent_requests=self.concurrent_requests,
        )
        return None if quota == Quota() else quota


class TrafficShape(Shape):
    """Traffic settings in an answer; null: as the platform has it."""

    affinity: AffinityShape | None
    quota: QuotaShape | None
    max_body_bytes: int | None
    request_timeout_seconds: Number | None

    @classmethod
    def of(cls, traffic: Traffic) -> Self:
        """The answer's form."""
        return cls(
            affinity=maybe(
                traffic.affinity,
                lambda a: AffinityShape(
                    kind=a.kind, name=a.name, ttl_seconds=maybe(a.ttl_s, whole)
                ),
            ),
            quota=maybe(
                traffic.quota,
                lambda q: QuotaShape(
                    requests_per_minute=q.requests_per_minute,
                    requests_per_hour=q.requests_per_hour,
                    concurrent_requests=q.concurrent_requests,
                ),
            ),
            max_body_bytes=traffic.max_body_bytes,
            request_timeout_seconds=maybe(traffic.request_timeout_s, whole),
        )


class TrafficInput(Input):
    """How the gateway treats requests of a workload (an extension). Applies at once."""

    affinity: AffinityInput | None = None
    quota: QuotaInput | None = None
    max_body_bytes: Annotated[ByteSize, Field(ge=1)] | None = Field(
        None, description="Largest request body; null: the platform's. Beyond it: 413."
    )
    request_timeout_seconds: Annotated[Number, Field(gt=0, le=86_400)] | None = Field(
        None,
        description="Longest time from a request's head to its last response byte, not for"
        " tunnels; null: the platform's. Beyond it: 504, or the connection's end.",
    )

    def to_model(self) -> Traffic:
        """The record's form."""
        return Traffic(
            affinity=maybe(self.affinity, AffinityInput.to_model),
            quota=None if self.quota is None else self.quota.to_model(),
            max_body_bytes=self.max_body_bytes,
            request_timeout_s=maybe(self.request_timeout_seconds, float),
        )
