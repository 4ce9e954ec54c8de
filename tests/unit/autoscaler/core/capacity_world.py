"""Nodes and replicas that obey grants, for tests of capacity arbitration."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st

from autoscaler.core.capacity import arbitrate
from autoscaler.core.capacity_books import Books
from autoscaler.core.capacity_claims import (
    Arbitration,
    Claim,
    Holding,
    Outcome,
    Past,
    Stay,
    Terms,
)
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
    others: tuple[ReplicaNeeds, ...] = (),
) -> Claim:
    """A claim; for one GPU a replica if nothing else is said."""
    return Claim(
        id=name,
        workload_id=f"w-{name}",
        importance=importance,
        needs=needs or ReplicaNeeds(gpus=1),
        others=others,
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
    candidate: int = 0,
) -> Holding:
    """A replica with its place."""
    spot = Spot(node, model)
    return Holding(replica_id=name, spot=spot, since_s=since_s, stay=stay, candidate=candidate)


def shared(
    *claims: Claim,
    nodes: tuple[Node, ...] = (gpu_node(),),
    pasts: dict[str, Past] | None = None,
    terms: Terms = QUICK,
    now_s: float = 1000.0,
) -> Arbitration:
    """One arbitration."""
    return arbitrate(claims, Nodes(nodes), pasts or {}, terms=terms, now_s=now_s)


def granted(*claims: Claim, nodes: tuple[Node, ...] = (gpu_node(),)) -> dict[str, int]:
    """What it grants, by claim."""
    return {name: o.granted for name, o in shared(*claims, nodes=nodes).outcomes.items()}


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
            left = [h for h in asked.holdings if h.stay is not Stay.ENDING]
            self.books.put(msgspec.structs.replace(asked, holdings=tuple(left)))
        for name, asked in list(self.books.claims.items()):
            self._carry_out(asked, self.books.outcome(name))
        assert self.over() == {}
        self.now_s += seconds
        return changed

    def lose(self, number: int) -> None:
        """A GPU is gone, as NVML may find: one that somebody has, where there is any such."""
        having = [
            (asked, h)
            for asked in self.books.claims.values()
            for h in asked.holdings
            if asked.candidates[h.candidate].gpus and h.gpus != 0
        ]
        if not having:
            return
        asked, h = having[number % len(having)]
        left = (asked.candidates[h.candidate].gpus if h.gpus is None else h.gpus) - 1
        after = msgspec.structs.replace(
            h,
            stay=Stay.BROKEN if h.stay is Stay.STAYING else h.stay,
            gpus=left,
            spot=h.spot if left else Spot(h.spot.node, None),
        )
        holdings = tuple(after if one is h else one for one in asked.holdings)
        self.books.put(msgspec.structs.replace(asked, holdings=holdings))
        self.nodes = tuple(
            msgspec.structs.replace(node, gpus=tuple(_less(model, h.spot) for model in node.gpus))
            if node.name == h.spot.node
            else node
            for node in self.nodes
        )
        self.books.renew(Nodes(self.nodes))

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
                needs = asked.candidates[h.candidate]
                gpus = needs.gpus if h.gpus is None else h.gpus
                used[h.spot.node, "cpu"] += round(needs.cpu * 1000)
                used[h.spot.node, "memory"] += needs.memory_bytes
                used[h.spot.node, f"gpu {h.spot.gpu_type}"] += gpus
        for node in self.nodes:
            used[node.name, "cpu"] -= round(node.cpu * 1000)
            used[node.name, "memory"] -= node.memory_bytes
            for model in node.gpus:
                used[node.name, f"gpu {model.type}"] -= model.count
        return {key: value for key, value in used.items() if value > 0}

    def _carry_out(self, asked: Claim, outcome: Outcome) -> None:
        """As the process reconciler does: named victims, then start or drain the youngest."""
        holdings = list(asked.holdings)
        staying, broken = [], []
        for h in list(holdings):
            if h.replica_id in outcome.victims:
                self._drain(holdings, h)
            elif h.stay is not Stay.ENDING:
                (broken if h.stay is Stay.BROKEN else staying).append(h)
        for h in broken[asked.wanted - outcome.granted :]:
            self._drain(holdings, h)
        for h in sorted(staying, key=lambda h: (h.since_s, h.replica_id))[outcome.granted :]:
            self._drain(holdings, h)
        chosen = [choice.candidate for choice in outcome.choices] or [0] * len(outcome.spots)
        new_ones = list(zip(outcome.spots, chosen, strict=True))
        for (node, model), candidate in new_ones[: max(0, outcome.granted - len(staying))]:
            self.made += 1
            new = holding(
                f"r{self.made:05}",
                node=node,
                since_s=self.now_s,
                model=model,
                candidate=candidate,
            )
            holdings.append(new)
            self.moves.append(f"{asked.id} starts {new.replica_id}")
        self.books.put(msgspec.structs.replace(asked, holdings=tuple(holdings)))

    def _drain(self, holdings: list[Holding], h: Holding) -> None:
        holdings[holdings.index(h)] = msgspec.structs.replace(h, stay=Stay.ENDING)
        self.moves.append(f"{h.replica_id} drains")


def _less(model: GpuModel, spot: Spot) -> GpuModel:
    """One GPU less, if it is that model."""
    count = model.count - (model.type == spot.gpu_type)
    return msgspec.structs.replace(model, count=count)


# -- anything: for properties ---------------------------------------------------------------------

IMPORTANCES = st.sampled_from(list(Importance))
NEEDS = st.builds(
    ReplicaNeeds,
    cpu=st.sampled_from([0.0, 0.0, 0.5, 2.0]),
    memory_bytes=st.sampled_from([0, 0, GIB]),
    gpus=st.sampled_from([0, 1, 1, 2, 4]),
    gpu_type=st.sampled_from([None, None, "a10g", "l4"]),
)
NODES = st.lists(
    st.tuples(
        st.sampled_from([2.0, 4.0]), st.sampled_from([2, 8]), st.integers(0, 4), st.integers(0, 2)
    ),
    min_size=1,
    max_size=3,
).map(
    lambda rows: tuple(
        Node(
            name=f"n{number}",
            cpu=cpu,
            memory_bytes=gib * GIB,
            gpus=(
                GpuModel(type="NVIDIA A10G", memory_bytes=24 * GIB, count=a10gs),
                GpuModel(type="NVIDIA L4", memory_bytes=24 * GIB, count=l4s),
            ),
        )
        for number, (cpu, gib, a10gs, l4s) in enumerate(rows)
    )
)
CANDIDATES = st.lists(NEEDS, min_size=1, max_size=3)
ASKED = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 2), IMPORTANCES, CANDIDATES), min_size=1, max_size=6
)
MODELS = st.permutations([ReplicaNeeds(gpus=1, gpu_type=name) for name in ("a10g", "l4")])
ONE_GPU_EACH = st.tuples(MODELS, st.integers(1, 2)).map(lambda drawn: list(drawn[0][: drawn[1]]))
ORDERED = st.one_of(
    *(
        st.lists(
            st.tuples(st.integers(0, 4), st.integers(0, 2), IMPORTANCES, needs),
            min_size=1,
            max_size=6,
        )
        for needs in (NEEDS.map(lambda needs: [needs]), ONE_GPU_EACH)
    )
)
"""Claims without a choice, or with one between models of which each replica takes one."""

Row = tuple[int, int, Importance, list[ReplicaNeeds]]


def fill(machines: Machines, asked: list[Row], prefix: str = "c") -> None:
    """Have all of these claims asked for."""
    for number, (wanted, floor, importance, needs) in enumerate(asked):
        name = f"{prefix}{number}"
        least = min(floor, wanted)
        machines.ask(
            name,
            wanted,
            floor=least,
            importance=importance,
            needs=needs[0],
            others=tuple(needs[1:]),
        )
