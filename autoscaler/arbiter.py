"""Capacity arbitration in the decision loop: from decisions and replicas to what may be planned.

    loop                              arbiter
    --------------------------------  ----------------------------------------------------------
    ask(proton, decision, replicas)   notes what a proton wants and has; says whether that is
                                      arbitrated at all: what asks for nothing is never held up
    settle()                          once for all that asked: who gets what, and whose grant has
                                      changed because of it
    verdict(proton_id, decision)      what of the decision may be planned, where, and the record

All this is synchronous: a wake-up is asked, settled and planned in one go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from autoscaler.core.capacity_books import Books
from autoscaler.core.capacity_claims import Choice, Claim, Holding, Outcome, Stay, Terms
from autoscaler.core.capacity_room import Spot
from autoscaler.core.capacity_words import chosen_because, cut, grant_of
from autoscaler.core.observation import Scaling
from autoscaler.inventory import Inventory
from autoscaler.reconcilers.base import Opening, Placement
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.decisions import Decision
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.sizing import Candidate, replica_candidates
from controlplane.model.states import ALIVE, ReplicaPhase
from controlplane.model.workloads import ContainerResources, GroupRuntime, Proton, Replica

NOTHING: Final = ReplicaNeeds()

_STAY: Final = {ReplicaPhase.DRAINING: Stay.DRAINING, ReplicaPhase.STOPPING: Stay.ENDING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be done about a decision."""

    decision: Decision
    """With its grant, where that is less than it says."""
    replicas: int
    """How many may run."""
    placement: Placement | None
    """None: nothing about it is arbitrated."""


class Arbiter:
    """Keeps the books of capacity for one term."""

    def __init__(self, inventory: Inventory, settings: AutoscalerSettings) -> None:
        """Begin with nothing claimed.

        Args:
            inventory: What there is.
            settings: What is arbitrated, and how steady.
        """
        self._gpus = (
            inventory.has_gpus
            or settings.inventory_file is not None
            or settings.arbitrate_gpus == "always"
        )
        self._cpu_memory = settings.arbitrate_cpu_memory
        terms = Terms(min_run_s=settings.preemption_min_run_s, return_s=settings.preemption_pause_s)
        self._books = Books(inventory.nodes(), terms)
        self._asked: dict[str, tuple[Candidate, ...]] = {}
        """What a replica may be, as far as that is arbitrated, by proton; empty: nothing is."""
        self._since: dict[str, dict[str, float]] = {}
        """When replicas got their places, by proton and replica."""
        self._there = inventory.spots()
        """Where each GPU is."""
        self._lost: dict[str, dict[str, tuple[str, ...]]] = {}
        """GPUs of replicas that are gone, by proton and replica."""

    def renew(self, inventory: Inventory) -> None:
        """There are other nodes or GPUs than before: all is shared out anew at the next settlement.

        Once GPUs are shared out they always are, be there any left or not.
        """
        if inventory.has_gpus and not self._gpus:
            self._gpus = True
            self._asked.clear()
        self._there = inventory.spots()
        self._books.renew(inventory.nodes())

    def ask(
        self,
        proton: Proton,
        scaling: Scaling,
        decision: Decision,
        replicas: Sequence[Replica],
        *,
        now_s: float,
    ) -> bool:
        """Note what a proton should have, and what it has.

        Returns:
            Whether it is arbitrated: then it waits for `settle`.
        """
        claim = self._claim(proton)
        if claim is None:
            return False
        known = self._books.claims.get(proton.id)
        if known is not None and known.candidates != claim.candidates:
            self._books.drop(proton.id)
        self._books.put(
            msgspec.structs.replace(
                claim,
                wanted=decision.replicas,
                floor=min(scaling.min_replicas, decision.replicas),
                holdings=self._holdings(claim, replicas, decision.at, now_s),
            )
        )
        return True

    def open(self, proton: Proton, replicas: Sequence[Replica], *, at: float, now_s: float) -> None:
        """A proton has replicas from an earlier term: nobody else may have their places.

        Args:
            proton: The proton, or what is left of it.
            replicas: Its replicas.
            at: Epoch seconds.
            now_s: Monotonic clock.
        """
        claim = self._claim(proton)
        if claim is not None:
            holdings = self._holdings(claim, replicas, at, now_s)
            staying = sum(holding.stay is Stay.STAYING for holding in holdings)
            self._books.put(msgspec.structs.replace(claim, wanted=staying, holdings=holdings))

    def leave(
        self, proton_id: str, replicas: Sequence[Replica], *, at: float, now_s: float
    ) -> None:
        """A proton is gone; it keeps its places as long as it has replicas."""
        claim = self._books.claims.get(proton_id)
        if claim is None:
            self._asked.pop(proton_id, None)
            return
        if replicas:
            holdings = self._holdings(claim, replicas, at, now_s)
            self._books.put(msgspec.structs.replace(claim, wanted=0, floor=0, holdings=holdings))
        else:
            self._books.drop(proton_id)
            self._since.pop(proton_id, None)
            self._lost.pop(proton_id, None)
            self._asked.pop(proton_id, None)

    def settle(self, *, now_s: float) -> set[str]:
        """Share out what there is; returns the protons whose grants have changed."""
        return self._books.settle(now_s=now_s)

    def verdict(self, proton_id: str, decision: Decision, *, now_s: float) -> Verdict:
        """What may be done about a decision, as of the last settlement."""
        claim = self._books.claims.get(proton_id)
        if claim is None:
            return Verdict(decision=decision, replicas=decision.replicas, placement=None)
        outcome = self._books.outcome(proton_id)
        grant = grant_of(
            decision,
            outcome,
            claim,
            self._books.claims,
            epoch=lambda at_s: decision.at - now_s + at_s,
        )
        lost = self._lost[proton_id]
        placement = Placement(
            openings=self._openings(claim, outcome),
            victims=frozenset(outcome.victims),
            lost=lost,
            lost_stay=min(len(lost), max(0, decision.replicas - outcome.granted)),
        )
        return Verdict(
            decision=cut(decision, grant),
            replicas=min(outcome.granted, decision.replicas),
            placement=placement,
        )

    def _openings(self, claim: Claim, outcome: Outcome) -> tuple[Opening, ...]:
        """The room for new replicas, with what each of them gets."""
        asked = self._asked.get(claim.id, ())
        bundles = {one.bundle.id: one.bundle for one in asked if one.bundle is not None}
        choices = outcome.choices or (Choice(candidate=0),) * len(outcome.spots)
        return tuple(
            Opening(
                spot=spot,
                gpus=claim.candidates[choice.candidate].gpus,
                bundle=bundles.get(claim.bundles[choice.candidate]) if claim.bundles else None,
                reason=chosen_because(choice, claim.bundles),
            )
            for spot, choice in zip(outcome.spots, choices, strict=True)
        )

    def _claim(self, proton: Proton) -> Claim | None:
        """A proton's claim for nothing so far; None: nothing of what it needs is arbitrated."""
        asked = self._asked_of(proton)
        if not asked:
            return None
        return Claim(
            id=proton.id,
            workload_id=proton.workload_id,
            importance=proton.importance,
            needs=asked[0].needs,
            others=tuple(one.needs for one in asked[1:]),
            bundles=tuple(one.bundle.id for one in asked if one.bundle is not None),
            wanted=0,
        )

    def _asked_of(self, proton: Proton) -> tuple[Candidate, ...]:
        if proton.id not in self._asked:
            candidates = replica_candidates(_stated(proton))
            asked = tuple(replace(one, needs=self._arbitrated(one.needs)) for one in candidates)
            # Who would get its first choice whatever happens is not held up either.
            self._asked[proton.id] = () if asked[0].needs == NOTHING else asked
        return self._asked[proton.id]

    def _arbitrated(self, needs: ReplicaNeeds) -> ReplicaNeeds:
        """Needs without what is not shared out here."""
        if not self._gpus:
            needs = msgspec.structs.replace(needs, gpus=0, gpu_memory_bytes=None, gpu_type=None)
        if not self._cpu_memory:
            needs = msgspec.structs.replace(needs, cpu=0.0, memory_bytes=0)
        return needs

    def _holdings(
        self, claim: Claim, replicas: Sequence[Replica], at: float, now_s: float
    ) -> tuple[Holding, ...]:
        before = self._since.get(claim.id, {})
        since: dict[str, float] = {}
        lost: dict[str, tuple[str, ...]] = {}
        holdings = []
        for replica in replicas:
            candidate = _candidate(replica, claim)
            if not _placed(replica, claim.candidates[candidate]):
                continue
            since_s = before.get(replica.id)
            if since_s is None:
                since_s = now_s - max(0.0, at - (replica.started_at or at))
            since[replica.id] = since_s
            holding = Holding(
                replica_id=replica.id,
                spot=Spot(replica.node, replica.gpu_type),
                since_s=since_s,
                stay=_STAY.get(replica.phase, Stay.STAYING),
                candidate=candidate,
            )
            if claim.candidates[candidate].gpus:
                gone = tuple(gpu_id for gpu_id in replica.gpus if gpu_id not in self._there)
                holding = self._as_there(holding, replica, len(replica.gpus) - len(gone))
                if gone:
                    lost[replica.id] = gone
            holdings.append(holding)
        self._since[claim.id], self._lost[claim.id] = since, lost
        return tuple(holdings)

    def _as_there(self, holding: Holding, replica: Replica, left: int) -> Holding:
        """A replica where its GPUs are now, of which so many are left."""
        where = next((self._there[one] for one in replica.gpus if one in self._there), None)
        spot = where or Spot(replica.node, None)  # its cores and memory are there all the same
        if left == len(replica.gpus):
            return msgspec.structs.replace(holding, spot=spot)
        stays = holding.stay is Stay.STAYING
        stay = Stay.BROKEN if stays else Stay.ENDING
        return msgspec.structs.replace(holding, spot=spot, stay=stay, gpus=left)


def _stated(proton: Proton) -> GroupRuntime:
    """What the owner states: in the runtime, or as old bodies do, in the artifact."""
    group = proton.runtime.group()
    if group.containers or group.bundles:
        return group
    stated = tuple(
        ContainerResources(name=container.name or "default", resources=container.resources)
        for containers in proton.spec.container_groups
        for container in containers.containers
        if container.resources is not None
    )
    return msgspec.structs.replace(group, containers=stated)


def _candidate(replica: Replica, claim: Claim) -> int:
    """Which one a replica has; the first, where nothing was ever chosen for it."""
    return claim.bundles.index(replica.bundle) if replica.bundle in claim.bundles else 0


def _placed(replica: Replica, needs: ReplicaNeeds) -> bool:
    """Whether a replica has what it needs: its GPUs, or at least a process."""
    return bool(replica.gpus) if needs.gpus else replica.phase in ALIVE
