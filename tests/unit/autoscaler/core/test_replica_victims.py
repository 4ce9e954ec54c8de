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


def test_who_has_not_run_for_its_least_time_goes_last():
    mixed = [
        Candidate(id="young-idle", phase=READY, load=0, created_at=9, young=True),
        Candidate(id="old-busy", phase=READY, load=5, created_at=1),
        Candidate(id="young-new", phase=ReplicaPhase.LAUNCHING, load=0, created_at=9, young=True),
        Candidate(id="failed", phase=ReplicaPhase.FAILED, load=0, created_at=9),
    ]
    expected = ["failed", "old-busy", "young-new", "young-idle"]
    assert choose_victims(mixed, 4) == expected


def with_streams(name: str, *, load: int, streams: int = 0, active: int = 0) -> Candidate:
    return Candidate(
        id=name, phase=READY, load=load, streams=streams, active_streams=active, created_at=0
    )


STREAMING = [
    with_streams("two-in-use", load=2, streams=2, active=2),
    with_streams("one-in-use", load=1, streams=1, active=1),
    with_streams("two-silent", load=2, streams=2),
    with_streams("one-silent", load=1, streams=1),
    with_streams("requests", load=9),
    with_streams("idle", load=0),
]


def test_a_replica_with_open_streams_is_not_idle_and_those_in_use_count_most():
    order = ["idle", "requests", "one-silent", "two-silent", "one-in-use", "two-in-use"]
    assert choose_victims(STREAMING, 9) == order


def test_of_the_draining_those_come_back_whose_streams_would_be_cut():
    draining = [
        Candidate(
            id=c.id,
            phase=DRAINING,
            load=c.load,
            streams=c.streams,
            active_streams=c.active_streams,
            created_at=0,
        )
        for c in STREAMING
    ]
    assert choose_returning(draining, 3) == ["two-in-use", "one-in-use", "two-silent"]


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
