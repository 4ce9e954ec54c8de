"""When somebody waits and every replica is ejected: look often whether one takes connections.

An ejection protects others from a replica that fails. Where there are no others it only makes all
wait, a second for a single connection that was refused. So while requests wait and nothing else is
ready, a connection is tried after 50 ms, 100 ms, and so on, at most as rarely as the first ejection
lasts. Trying costs no request one of its attempts, and the connection serves the first of them.
"""

import asyncio
from typing import TYPE_CHECKING

from gateway.core.health import EJECTED, Sign

if TYPE_CHECKING:
    from gateway.net.connector import Connector
    from gateway.net.endpoints import ProtonRoute
    from gateway.net.outliers import Outliers

_FIRST_S = 0.05


class Revival:
    """Tries ejected endpoints of protons that have nothing else."""

    def __init__(self, connector: "Connector", outliers: "Outliers", *, at_most_s: float) -> None:
        self._connector = connector
        self._outliers = outliers
        self._at_most_s = at_most_s
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def needed(self, proton: "ProtonRoute") -> None:
        """Somebody waits for a proton of which nothing is ready."""
        if proton.id not in self._tasks and any(
            e.routable and e.health is EJECTED for e in proton.endpoints.values()
        ):
            task = asyncio.get_running_loop().create_task(self._run(proton))
            self._tasks[proton.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(proton.id, None))

    def close(self) -> None:
        """Give up."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def _run(self, proton: "ProtonRoute") -> None:
        delay_s = min(_FIRST_S, self._at_most_s)
        while True:
            await asyncio.sleep(delay_s)
            if proton.ready or not proton.room.size:
                return
            for endpoint in list(proton.endpoints.values()):
                if (
                    endpoint.routable
                    and endpoint.health is EJECTED
                    and await self._connector.reach(endpoint)
                ):
                    self._outliers.notice(endpoint, Sign.TIME_OVER)
                    if proton.ready:
                        return
            delay_s = min(2 * delay_s, self._at_most_s)
