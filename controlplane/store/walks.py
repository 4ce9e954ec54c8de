"""What a client saw when it began to page through a list: ids in order, kept for its next pages.

All API processes find them here. They are in memory only: they are worth nothing after some
minutes, and whoever comes back without them goes on from the last item that it saw.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from controlplane.store.scripts import KEEP

TTL_S: Final = 900
"""How long a client may take from one page to the next."""

MAX_WALKS: Final = 256
"""Most walks of one process at a time; the oldest are forgotten, in the store too. With 10,000 ids
each they take 30 MiB there."""

_ID_BYTES: Final = 12
_NAME_BYTES: Final = 12


class Walks:
    """The walks of all clients, as one process sees them."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Sequence[str]]] = OrderedDict()
        """Name to when it was kept, and its ids; the oldest first."""

    async def keep(self, ids: Sequence[str]) -> str | None:
        """Keep ids of 24 hexadecimal digits; the same ids have the same name.

        Returns:
            The name; None when the store is away.
        """
        packed = bytes.fromhex("".join(ids))
        name = hashlib.blake2b(packed, digest_size=_NAME_BYTES).hexdigest()
        known = self._known.get(name)
        now_s = self._clock()
        # In the second half of its life it is kept anew: the client has a whole one before it.
        if known is None or now_s - known[0] > TTL_S / 2:
            forgotten = self._remember(name, now_s, ids)
            try:
                await self._store.link.run(KEEP, [self._key(name)], packed, TTL_S)
                if forgotten is not None:
                    await self._store.link.call("UNLINK", self._key(forgotten))
            except StoreError:
                return None
        return name

    async def ids(self, name: str) -> Sequence[str] | None:
        """The ids of a walk; None when nobody remembers it."""
        known = self._known.get(name)
        if known is not None:
            return known[1]
        try:
            packed = await self._store.link.call("GET", self._key(name))
        except StoreError:
            return None
        if packed is None:
            return None
        text = packed.hex()
        width = 2 * _ID_BYTES
        ids = [text[at : at + width] for at in range(0, len(text), width)]
        self._remember(name, self._clock() - TTL_S / 2, ids)
        return ids

    def _remember(self, name: str, kept_s: float, ids: Sequence[str]) -> str | None:
        """Note a walk; returns the name of the one that had to go for it."""
        self._known[name] = (kept_s, ids)
        self._known.move_to_end(name)
        return self._known.popitem(last=False)[0] if len(self._known) > MAX_WALKS else None

    def _key(self, name: str) -> str:
        return self._store.keys[f"walk:{name}"]
