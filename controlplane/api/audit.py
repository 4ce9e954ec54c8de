"""The route of the audit: who changed what. An extension of the API, for admins."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field

from controlplane.api.call import Call, ListCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import NewPage, Page, envelope
from controlplane.audit import JOURNAL, AuditLine
from controlplane.lifecycle.plans import ForbiddenError
from controlplane.model.kinds import Kind
from controlplane.wire.audit import AuditFormatted
from controlplane.wire.statistics import Moment

router: Final = APIRouter(tags=["audit"], responses=RESPONSES)

_SLICE: Final = 500
"""Lines that are looked at before other requests get their turn."""


class AuditQuery(NewPage):
    """Query of the audit. Newer lines move the older ones on: `until` holds the pages still."""

    actor: str | None = Field(None, description="A user's id or name.", max_length=200)
    kind: list[Kind] = Field(default_factory=list)
    id: str | None = Field(None, description="Of the record.", max_length=200)
    action: list[Literal["created", "updated", "deleted"]] = Field(default_factory=list)
    since: Moment | None = Field(None, description="RFC 3339 with zone; included.")
    until: Moment | None = Field(None, description="RFC 3339 with zone; excluded.")


@router.get("/audit", response_model=Page[AuditFormatted])
async def list_audit(call: ListCall, query: Annotated[AuditQuery, Query()]) -> dict[str, Any]:
    """Every record that people or the conductor changed, newest first (admins only).

    An extension. It holds the newest `api.audit_kept` lines (10,000 unless set), however old:
    without filters `totalCount` is how many there are, and the last one's `timestamp` says how far
    back they reach. Older lines are in the logs of the processes that wrote them.
    """
    if not call.user.admin:
        raise ForbiddenError("Only admins may see the audit.")
    total, page = 0, []
    async for line in _lines(call):
        if _fits(line, query):
            if query.offset <= total < query.offset + query.limit:
                page.append(AuditFormatted.of(line))
            total += 1
    return envelope(call.request, page, total=total, offset=query.offset, limit=query.limit)


async def _lines(call: Call) -> AsyncIterator[AuditLine]:
    """The whole journal, each line once: those that come meanwhile move the others on."""
    store = call.services.store
    offset, seen = 0, set()
    decoder = msgspec.json.Decoder(AuditLine)
    while True:
        entries, _ = await store.read_journal(JOURNAL, offset=offset, limit=_SLICE)
        for line in store.unreadable.without(entries, decoder, f"journal {JOURNAL}"):
            if line.id not in seen:
                seen.add(line.id)
                yield line
        if len(entries) < _SLICE:
            return
        offset += len(entries)


def _fits(line: AuditLine, query: AuditQuery) -> bool:
    # As the line shows it: in whole microseconds.
    at = datetime.fromtimestamp(line.at, UTC).timestamp()
    return (
        query.actor in {None, line.by.user_id, line.by.name}
        and (not query.kind or line.kind in query.kind)
        and query.id in {None, line.record_id}
        and (not query.action or line.action in query.action)
        and (query.since is None or at >= query.since)
        and (query.until is None or at < query.until)
    )
