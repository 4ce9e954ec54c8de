"""Revokes the tokens that replicas carry when their workload has no more use for them.

A workload's token (`api-key` variables) is made by the autoscaler when the first replica needs it;
it has several where several owners started what runs. They end with the last proton that runs and
asks for one: at a stop, a delete, an expiry, or a replacement by something that asks for none.
"""

from typing import Final

from controlplane.conductor.term import Term
from controlplane.lifecycle.credentials import wants_api_key
from controlplane.model.people import Token
from controlplane.model.states import Desired
from controlplane.model.workloads import Workload
from controlplane.store.client import Delete

BATCH: Final = 500
"""Most tokens that one commit revokes."""


class WorkloadTokens:
    """A step of the conductor."""

    def __init__(self, term: Term) -> None:
        self._term = term

    async def step(self, now_s: float) -> None:
        """Revoke what nobody needs any more."""
        mirror = self._term.services.mirror
        unneeded = [
            Delete(Token, token.id, mirror.version(Token, token.id))
            for token in mirror.all(Token).values()
            if token.made_for is not None and not self._needed(token.made_for)
        ]
        for at in range(0, len(unneeded), BATCH):
            await self._term.commit(unneeded[at : at + BATCH])

    def _needed(self, workload_id: str) -> bool:
        services = self._term.services
        workload = services.mirror.get(Workload, workload_id)
        if workload is None or workload.deleted_at is not None:
            return False
        return any(
            proton.desired is Desired.RUNNING and wants_api_key(proton.spec)
            for proton in services.protons[workload_id].values()
        )
