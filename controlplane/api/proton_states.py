"""States of protons, remembered until one of their records changes.

Lists filter and order thousands of workloads by state, and from one list to the next few of them
have changed.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from controlplane.model.states import ProtonState, proton_state
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.store.watch import Change, Mirror


class ByProton(Protocol):
    """Replicas by id, grouped by their proton; kept up to date before us."""

    def __getitem__(self, proton_id: str, /) -> Mapping[str, Replica]:
        """Those of one proton; empty where there is none."""


class ProtonStates:
    """The states that somebody has asked for, and that are still true."""

    def __init__(self, mirror: Mirror, replicas: ByProton) -> None:
        self._mirror = mirror
        self._replicas = replicas
        self._known: dict[str, ProtonState] = {}
        self._homes = {r.id: r.proton_id for r in mirror.all(Replica).values()}
        """Of each replica, its proton: a deleted one no longer tells."""
        mirror.subscribe(self._changed)

    def of(self, proton: Proton) -> ProtonState:
        """The state of one proton."""
        state = self._known.get(proton.id)
        if state is None:
            scale = self._mirror.get(Scale, proton.id)
            state = self._known[proton.id] = proton_state(
                desired=proton.desired,
                wanted_replicas=None if scale is None else scale.wanted_replicas,
                phases=[replica.shown_phase() for replica in self._replicas[proton.id].values()],
                errored=scale is not None and scale.errored,
                interrupted=scale is not None and scale.interrupted,
                role=proton.role,
            )
        return state

    def _changed(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.cls is Proton or change.cls is Scale:
                self._known.pop(change.id, None)
            elif change.cls is Replica:
                self._known.pop(self._homes.pop(change.id, ""), None)
                if isinstance(change.record, Replica):
                    self._homes[change.id] = change.record.proton_id
                    self._known.pop(change.record.proton_id, None)
