"""Nodes and replicas that obey grants, for tests of capacity arbitration."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from autoscaler.core.capacity_books import Books
from autoscaler.core.capacity_claims import Claim, Holding, Outcome, Stay, Terms
from autoscaler.core.capacity_room import GpuModel, Node, Nodes, Spot
from controlplane.model.bundles import ReplicaNeeds
from controlplane.model.states import Importance

GIB = 2**30
QUICK = Terms(min_run_s=0.0, return_s=0.0)
STEADY = Terms(min_run_s=60.0, return_s=30.0)


def gpu_node(name: str = "n1", count: int = 2, model: str = "NVIDIA A10G") -> Node:
    """A node with GPUs of one model."""
    gpus = (GpuModel(type=model, memory_bytes=24 * GIB, count=count),)
    return Node(name=name, cpu=16.0, memory_bytes=64 * GIB, gpus=gpus)


def claim(
    name: str,
    wanted: int,
    *holdings: Holding,
    importance: Importance = Importance.LOW,
    floor: int = 0,
    needs: ReplicaNeeds | None = None,
) -> Claim:
    """A claim; for one GPU a replica if nothing else is said."""
    return Claim(
        id=name,
        workload_id=f"w-{name}",
        importance=importance,
        needs=needs or ReplicaNeeds(gpus=1),
        wanted=wanted,
        floor=floor,
        holdings=holdings,
    )


def holding(
    name: str,
    *,
    node: str = "n1",
    since_s: float = 0.0,
    stay: Stay = Stay.STAYING,
    model: str | None = "NVIDIA A10G",
) -> Holding:
    """A replica with its place."""
    return Holding(replica_id=name, spot=Spot(node, model), since_s=since_s, stay=stay)


@dataclass
class Machines:
    """Runs what is granted: replicas start at once, and drain for one step."""

    nodes: tuple[Node, ...]
    terms: Terms = QUICK
    now_s: float = 1000.0
    made: int = 0
    moves: list[str] = field(default_factory=list)
    """Every replica that was started or drained, in order."""

    def __post_init__(self) -> None:
        """Empty books."""
        self.books = Books(Nodes(self.nodes), self.terms)

    def ask(self, name: str, wanted: int, **changes: object) -> None:
        """A claim wants so many from now on."""
        old = self.books.claims.get(name) or claim(name, 0)
        self.books.put(msgspec.structs.replace(old, wanted=wanted, **changes))

    def step(self, *, seconds: float = 1.0) -> set[str]:
        """Settle, carry out, let drained replicas go, and check that no node has too much."""
        changed = self.books.settle(now_s=self.now_s)
        for name, asked in list(self.books.claims.items()):
            outcome = self.books.outcome(name)
            assert outcome.granted <= asked.wanted
            left = [h for h in asked.holdings if h.stay is Stay.STAYING]
            self.books.put(msgspec.structs.replace(asked, holdings=tuple(left)))
        for name, asked in list(self.books.claims.items()):
            self._carry_out(asked, self.books.outcome(name))
        assert self.over() == {}
        self.now_s += seconds
        return changed

    def wait(self, seconds: int) -> None:
        """Let time pass; nobody asks for anything else."""
        for _ in range(seconds):
            self.step()

    def touch(self) -> None:
        """Have everything shared out anew, though nobody asks for anything else."""
        for asked in list(self.books.claims.values()):
            other = f"{asked.workload_id}+"
            self.books.put(msgspec.structs.replace(asked, workload_id=other))

    def settle_down(self, limit: int = 50) -> None:
        """Steps until nothing moves."""
        for _ in range(limit):
            before = len(self.moves)
            self.step()
            self.step()
            if len(self.moves) == before:
                return
        raise AssertionError("it never settles down", self.moves[-20:])

    def running(self, name: str) -> int:
        """Replicas that stay."""
        return sum(h.stay is Stay.STAYING for h in self.books.claims[name].holdings)

    def granted(self) -> dict[str, int]:
        """By claim."""
        return {name: self.books.outcome(name).granted for name in self.books.claims}

    def over(self) -> dict[tuple[str, str], int]:
        """How much more than there is runs, by node and resource."""
        used: Counter[tuple[str, str]] = Counter()
        for asked in self.books.claims.values():
            for h in asked.holdings:
                used[h.spot.node, "cpu"] += round(asked.needs.cpu * 1000)
                used[h.spot.node, "memory"] += asked.needs.memory_bytes
                used[h.spot.node, f"gpu {h.spot.gpu_type}"] += asked.needs.gpus
        for node in self.nodes:
            used[node.name, "cpu"] -= round(node.cpu * 1000)
            used[node.name, "memory"] -= node.memory_bytes
            for model in node.gpus:
                used[node.name, f"gpu {model.type}"] -= model.count
        return {key: value for key, value in used.items() if value > 0}

    def _carry_out(self, asked: Claim, outcome: Outcome) -> None:
        """As the process reconciler does: named victims, then start or drain the youngest."""
        holdings = list(asked.holdings)
        staying = []
        for h in holdings:
            (self._drain(holdings, h) if h.replica_id in outcome.victims else staying.append(h))
        for h in sorted(staying, key=lambda h: (h.since_s, h.replica_id))[outcome.granted :]:
            self._drain(holdings, h)
        for node, model in outcome.spots[: max(0, outcome.granted - len(staying))]:
            self.made += 1
            new = holding(f"r{self.made:05}", node=node, since_s=self.now_s, model=model)
            holdings.append(new)
            self.moves.append(f"{asked.id} starts {new.replica_id}")
        self.books.put(msgspec.structs.replace(asked, holdings=tuple(holdings)))

    def _drain(self, holdings: list[Holding], h: Holding) -> None:
        holdings[holdings.index(h)] = msgspec.structs.replace(h, stay=Stay.ENDING)
        self.moves.append(f"{h.replica_id} drains")
