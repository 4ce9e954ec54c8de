import pytest

from controlplane.lifecycle.expiry import WARNING_S, expire, expires_at, expiry, is_purgeable
from controlplane.lifecycle.plans import PLATFORM, Held, Remove, Save, Stamp
from controlplane.model.states import Desired
from controlplane.model.workloads import Proton
from tests.unit.controlplane.lifecycle import worlds

DRAFT = worlds.artifact()
LOCKED = worlds.artifact(status="locked", version=1)
TTL_S = 28_800.0
END = 100_000.0


@pytest.mark.parametrize(
    ("artifact", "ttl_s", "expected"),
    [
        pytest.param(DRAFT, TTL_S, 1_000 + TTL_S, id="draft"),
        pytest.param(DRAFT, 0, None, id="drafts-live-for-ever-here"),
        pytest.param(LOCKED, TTL_S, None, id="locked"),
    ],
)
def test_only_drafts_give_a_lifetime(artifact, ttl_s, expected):
    assert expiry(artifact, ttl_s=ttl_s, now_s=1_000) == expected


@pytest.mark.parametrize(("artifact", "expected"), [(DRAFT, END), (LOCKED, None), (None, None)])
def test_the_lifetime_follows_the_artifact(artifact, expected):
    assert expires_at(worlds.workload(expires_at=END), artifact) == expected
    assert expires_at(worlds.workload(), artifact) is None


def look(at: float, *, artifact=DRAFT, protons=(), **changes):
    numbers = iter(range(1, 10))
    stamp = Stamp(actor_id=PLATFORM, now_s=at, new_id=lambda: f"{next(numbers):024x}")
    workload = worlds.workload(**({"expires_at": END} | changes))
    return expire(Held(workload, 5), artifact, protons=protons, stamp=stamp)


@pytest.mark.parametrize(
    ("at", "told", "event"),
    [
        pytest.param(END - WARNING_S - 0.1, False, None, id="long-before"),
        pytest.param(END - WARNING_S, False, "Workload Expiring", id="half-an-hour-before"),
        pytest.param(END - WARNING_S, True, None, id="told-already"),
        pytest.param(END - 0.1, True, None, id="just-before"),
        pytest.param(END, True, "Workload Expired", id="the-end"),
        pytest.param(END + 1e6, False, "Workload Expired", id="nobody-looked-for-long"),
    ],
)
def test_what_happens_to_a_draft_when(at, told, event):
    plan = look(at, expiry_told=told)
    assert [e.type for e in plan.events] == ([event] if event else [])
    assert bool(plan.writes) is (event is not None)
    assert (plan.subject.deleted_at is not None) is (event == "Workload Expired")
    assert all(e.actor_id is None for e in plan.events)


def test_the_warning_is_kept_on_the_record_and_changes_nothing_else():
    plan = look(END - 60)
    assert plan.writes == (Save(record=plan.subject, expected=5),)
    assert plan.subject == worlds.workload(expires_at=END, expiry_told=True)
    assert plan.events[0].details["expiresInSeconds"] == 60


def test_an_expired_workload_goes_like_a_deleted_one():
    candidate = worlds.proton(id="d" * 24)
    plan = look(END, protons=[Held(worlds.proton(), 6), Held(candidate, 7)])
    gone, *removed = plan.writes
    assert gone == Save(record=plan.subject, expected=5)
    assert (plan.subject.desired, plan.subject.active_proton_id) == (Desired.STOPPED, None)
    assert removed == [
        Remove(kind=Proton, id="c" * 24, expected=6),
        Remove(kind=Proton, id="d" * 24, expected=7),
    ]
    assert plan.events[0].details == {"expiredAt": END}


def test_a_workload_whose_artifact_was_locked_meanwhile_stays():
    assert look(END + 1, artifact=LOCKED).writes == ()
    assert look(END + 1, expires_at=None).writes == ()


@pytest.mark.parametrize(
    ("deleted_at", "retention_s", "expected"),
    [
        pytest.param(None, 10, False, id="alive"),
        pytest.param(991.0, 10, False, id="too-young"),
        pytest.param(990.0, 10, True, id="old-enough"),
        pytest.param(1.0, 0, False, id="kept-for-ever"),
    ],
)
def test_what_was_deleted_is_kept_for_a_while(deleted_at, retention_s, expected):
    record = worlds.workload(deleted_at=deleted_at)
    assert is_purgeable(record, retention_s=retention_s, now_s=1_000.0) is expected
