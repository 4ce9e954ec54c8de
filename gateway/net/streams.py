"""What a worker's load report says of its tunnels, by replica: counted between two reports.

On the path of a request nothing is done for it: a tunnel joins a set when it begins and leaves it
when it ends, and its client's own deadline tells for how long it has been silent. 10,000 tunnels
cost 11 ms per count, in slices, so that nobody waits for longer than one of them.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from controlplane.model.reports import ACTIVE_S, OpenStreams

if TYPE_CHECKING:
    from gateway.net.flow import Exchange
    from gateway.net.worker import Worker

_SLICE: Final = 1000
"""Tunnels looked at before others on the event loop have their turn: 1 ms."""


class _Tally:
    """The tunnels of one replica."""

    __slots__ = ("active", "client", "open", "protocols", "silent_s")

    def __init__(self) -> None:
        self.open = 0
        self.active = 0
        self.silent_s = -1.0
        self.client = ""
        self.protocols: set[bytes] = set()

    def add(self, exchange: "Exchange", now_s: float) -> None:
        silent_s = exchange.client.silent_s(now_s)
        self.open += 1
        self.active += silent_s <= ACTIVE_S
        self.protocols.add(exchange.head.upgrade or b"")
        if silent_s > self.silent_s:
            self.silent_s = silent_s
            self.client = exchange.client.peer

    def said(self) -> OpenStreams:
        names = {name.lower() for name in self.protocols}
        return OpenStreams(
            open=self.open,
            active=self.active,
            silent_s=round(self.silent_s, 1),
            client=self.client,
            protocol=names.pop().decode("latin-1") if len(names) == 1 else "",
        )


class Streams:
    """The tunnels of one worker, counted when `count` was called last."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self.by_replica: dict[str, OpenStreams] = {}

    async def count(self) -> None:
        """Count anew."""
        tallies: dict[str, _Tally] = {}
        now_s = self._worker.monotonic()
        for number, exchange in enumerate(tuple(self._worker.tunnels), start=1):
            if exchange.endpoint is not None:
                replica_id = exchange.endpoint.replica_id
                tally = tallies.get(replica_id)
                if tally is None:
                    tally = tallies[replica_id] = _Tally()
                tally.add(exchange, now_s)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
                now_s = self._worker.monotonic()
        self.by_replica = {replica_id: tally.said() for replica_id, tally in tallies.items()}
