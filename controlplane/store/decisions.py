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
_DECISION: Final = msgspec.json.Decoder(Decision)


async def find_decision(store: Store, proton_id: str, decision_id: str) -> Decision | None:
    """One decision of a proton; None when it is not, or no longer, kept.

    Raises:
        StoreUnavailableError: Nobody knows.
    """
    name = f"decisions:{proton_id}"
    place = f"journal {name}"
    offset, total = 0, 1
    while offset < total:
        entries, total = await store.read_journal(name, offset=offset, limit=_PAGE)
        for entry in entries:
            for named in store.unreadable.without([entry], _NAME, place):
                if named.id == decision_id:
                    return next(store.unreadable.without([entry], _DECISION, place), None)
        # New entries come in at the front and push the others back: none is passed over.
        offset += _PAGE
    return None
