"""Pages of journals: what happened to a workload or a proton, newest first."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from controlplane.api.call import Call
from controlplane.api.pages import NewPage, OldPage, envelope
from controlplane.lifecycle import access

T = TypeVar("T", bound=msgspec.Struct)


async def journal_page(
    call: Call,
    name: str | None,
    query: NewPage | OldPage,
    entry: type[T],
    form: Callable[[T], object],
) -> dict[str, Any]:
    """One page; an entry that cannot be read leaves its place empty.

    Args:
        call: The request.
        name: The journal; None: there is none, the page is empty.
        query: Which page.
        entry: What is in the journal.
        form: Makes an item of an entry.

    Raises:
        StoreUnavailableError: The store is away.
    """
    store = call.services.store
    entries: list[bytes] = []
    total = 0
    if name is not None:
        entries, total = await store.read_journal(name, offset=query.offset, limit=query.limit)
    readable = store.unreadable.without(entries, _decoder(entry), f"journal {name}")
    return envelope(
        call.request,
        [form(found) for found in readable],
        total=total,
        offset=query.offset,
        limit=query.limit,
        places=len(entries),
    )


def proton_asked_for(call: Call, workload_id: str, proton_id: str | None) -> str | None:
    """The proton of a query, or the workload's active one; None: there is none.

    Raises:
        NotFoundError: There is no such workload, or it has no such proton.
        ForbiddenError: The caller may not read its settings.
    """
    workload = call.workload(workload_id, access.READERS).record
    if proton_id is None:
        return workload.active_proton_id
    return call.proton(workload_id, proton_id).id


@lru_cache
def _decoder(entry: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(entry)
