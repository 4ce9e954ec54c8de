"""The client connections of one worker, and how many there may be."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from gateway.core.answers import CONNECTIONS, GATEWAY_FULL, Answer
from gateway.core.peers import UNIX

if TYPE_CHECKING:
    from gateway.net.downstream import DownstreamProtocol


_LOOKED_AT = 64


class Clients:
    """Open client connections, within their limits."""

    __slots__ = ("_limit", "_open", "_per_client", "_per_client_limit")

    def __init__(self, *, limit: int, per_client: int) -> None:
        """Begin with none.

        Args:
            limit: Most connections; 0: no limit. Beyond it, an idle one ends for a new one.
            per_client: Most connections of one IP address; 0: no limit. Our own proxies bring many
                clients over few addresses: those are not limited.
        """
        self._limit = limit
        self._per_client_limit = per_client
        self._open: set[DownstreamProtocol] = set()
        self._per_client: dict[str, int] = {}

    def __iter__(self) -> Iterator["DownstreamProtocol"]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, client: "DownstreamProtocol") -> Answer | None:
        """Count a new connection; else the answer that it gets in place of service."""
        count = 0
        if self._per_client_limit and client.peer != UNIX and not client.trusted:
            count = self._per_client.get(client.peer, 0) + 1
            if count > self._per_client_limit:
                return CONNECTIONS
        if self._limit and len(self._open) >= self._limit and not self._make_way():
            return GATEWAY_FULL
        if count:
            self._per_client[client.peer] = count
        self._open.add(client)
        return None

    def _make_way(self) -> bool:
        """End an idle connection for a new one: silence must not keep others out.

        Looks at a few, so that a flood does not make every connection cost a search among all.
        """
        idle = [client for client in islice(self._open, _LOOKED_AT) if client.idle]
        if not idle:
            return False
        longest = min(idle, key=lambda client: client.deadline_s)
        self.leave(longest)
        longest.close()
        return True

    def leave(self, client: "DownstreamProtocol") -> None:
        """A connection has ended; nothing happens to one that was never counted."""
        if client not in self._open:
            return
        self._open.discard(client)
        count = self._per_client.get(client.peer)
        if count is not None:
            if count > 1:
                self._per_client[client.peer] = count - 1
            else:
                del self._per_client[client.peer]

    def sweep(self, now_s: float) -> None:
        """Tell those whose deadline has passed.

        A timer for each would cost an idle connection more memory than all the rest of it.
        """
        late = [
            client for client in self._open if client.deadline_s <= now_s or client.ends_s <= now_s
        ]
        for client in late:
            client.expired(now_s)
