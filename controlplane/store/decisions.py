"""Finds one decision among those that are kept."""

from typing import Final

import msgspec

from controlplane.model.decisions import Decision
from controlplane.store.client import Store

_PAGE: Final = 200


class _Named(msgspec.Struct):
    """As much of an entry as it takes to recognise it."""

    id: str


_NAME: Final = msgspec.json.Decoder(_Named)


async def find_decision(store: Store, proton_id: str, decision_id: str) -> Decision | None:
    """One decision of a proton; None when it is not, or no longer, kept.

    Raises:
        StoreUnavailableError: Nobody knows.
    """
    offset, total = 0, 1
    while offset < total:
        entries, total = await store.read_journal(
            f"decisions:{proton_id}", offset=offset, limit=_PAGE
        )
        for entry in entries:
            if _NAME.decode(entry).id == decision_id:
                return msgspec.json.decode(entry, type=Decision)
        # New entries come in at the front and push the others back: none is passed over.
        offset += _PAGE
    return None
