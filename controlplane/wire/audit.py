"""Lines of the audit (an extension)."""

from typing import Any, Self

from pydantic import Field

from controlplane.audit import AuditLine
from controlplane.wire.base import Shape, timestamp


class Actor(Shape):
    """Who did it."""

    id: str | None = Field(description="The user; null: not a user of the API.")
    name: str = Field(description="The user's name, the system's, or `conductor`.")
    token: str | None = Field(description="The first characters of the token that was used.")
    address: str | None = Field(description="Where the request came from.")


class FieldChange(Shape):
    """One field before and after; `***` stands for what is secret."""

    field: str
    before: Any
    after: Any


class AuditFormatted(Shape):
    """One record that was created, changed or deleted."""

    id: str
    timestamp: str
    actor: Actor
    kind: str
    record_id: str
    record_name: str | None
    action: str
    operation: str = Field(description="What was asked for.")
    request_id: str | None
    changes: list[FieldChange]

    @classmethod
    def of(cls, line: AuditLine) -> Self:
        """The answer's form of a line."""
        by = line.by
        return cls(
            id=line.id,
            timestamp=timestamp(line.at),
            actor=Actor(id=by.user_id, name=by.name, token=by.token, address=by.address),
            kind=line.kind,
            record_id=line.record_id,
            record_name=line.record_name,
            action=line.action,
            operation=by.operation,
            request_id=by.request_id,
            changes=[
                FieldChange(field=c.field, before=c.before, after=c.after) for c in line.changes
            ],
        )
