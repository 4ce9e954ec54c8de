"""Who goes and who stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.replica_victims import Candidate, choose_returning, choose_victims
from controlplane.model.states import LEAVING, ReplicaPhase

READY = ReplicaPhase.READY
DRAINING = ReplicaPhase.DRAINING


def candidate(
    name: str, phase: ReplicaPhase = READY, *, load: int = 0, created_at: float = 0
) -> Candidate:
    return Candidate(id=name, phase=phase, load=load, created_at=created_at)


def test_what_serves_nobody_goes_before_what_may():
    order = [
        ReplicaPhase.FAILED,
        ReplicaPhase.PENDING,
        ReplicaPhase.LAUNCHING,
        ReplicaPhase.UNREADY,
        ReplicaPhase.READY,
    ]
    mixed = [candidate(phase, phase) for phase in reversed(order)]
    assert choose_victims(mixed, 9) == order


def test_the_idlest_goes_first_then_the_youngest_then_by_name():
    mixed = [
        candidate("busy-young", load=2, created_at=9),
        candidate("idle-old", created_at=1),
        candidate("idle-young-b", created_at=5),
        candidate("idle-young-a", created_at=5),
    ]
    expected = ["idle-young-a", "idle-young-b", "idle-old", "busy-young"]
    assert choose_victims(mixed, 4) == expected
    assert choose_victims(mixed, 2) == expected[:2]


@pytest.mark.parametrize("phase", sorted(LEAVING))
def test_what_leaves_already_is_no_victim(phase: ReplicaPhase):
    assert choose_victims([candidate("a", phase)], 1) == []


@pytest.mark.parametrize("count", [0, -1])
def test_nobody_is_chosen_when_nobody_must_go(count: int):
    assert choose_victims([candidate("a")], count) == []
    assert choose_returning([candidate("a", DRAINING)], count) == []


def test_the_busiest_returns_first_then_the_oldest():
    mixed = [
        candidate("stopping", ReplicaPhase.STOPPING, load=9),
        candidate("ready"),
        candidate("young", DRAINING, load=1, created_at=9),
        candidate("old", DRAINING, load=1, created_at=1),
        candidate("busy", DRAINING, load=3, created_at=9),
    ]
    assert choose_returning(mixed, 2) == ["busy", "old"]
    assert choose_returning(mixed, 9) == ["busy", "old", "young"]


@given(
    loads=st.lists(st.integers(0, 5), max_size=12),
    count=st.integers(0, 12),
    order=st.randoms(use_true_random=False),
)
def test_the_choice_does_not_depend_on_the_order(loads, count, order):
    present = [candidate(f"{i:02}", load=load, created_at=i) for i, load in enumerate(loads)]
    shuffled = list(present)
    order.shuffle(shuffled)
    chosen = choose_victims(present, count)
    assert chosen == choose_victims(shuffled, count)
    assert len(chosen) == min(count, len(present))
    kept = [c.load for c in present if c.id not in chosen]
    gone = [c.load for c in present if c.id in chosen]
    assert not kept or not gone or max(gone) <= min(kept)
