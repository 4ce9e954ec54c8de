"""What the store hears of decisions, and what it does not."""

import itertools

import msgspec
import pytest

from autoscaler.core.basis import Basis, decode
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.steps import DampingState
from autoscaler.reconcilers.base import Failure
from autoscaler.scales import (
    JOURNAL_EVERY_S,
    REASON_PAUSE_S,
    Finding,
    ScaleBook,
    Unwritten,
)
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.bundles import Bundle
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.grants import Grant, Refusal
from controlplane.model.states import ProtonState, ReplicaPhase
from controlplane.model.workloads import Event, GroupRuntime, Proton, Replica, Runtime, Scale
from controlplane.store.client import Delete, Put

PROTON = Proton(
    id="p",
    workload_id="w",
    artifact_id="a",
    spec=ArtifactSpec(),
    runtime=Runtime(),
    creator_id="u",
    created_at=0.0,
    updated_at=0.0,
)

BASIS = Basis(
    observation=Observation(at=99.0, ready=2),
    scaling=Scaling(workload_id="w", proton_id="p", fixed=2),
    state=DecisionState(wanted=2),
    now_s=7.25,
)


def refused(granted: int, refusal: Refusal = Refusal.HELD, **changes: object) -> Grant:
    grant = Grant(
        granted=granted,
        refusal=refusal,
        position=1,
        line=1,
        since=90.0,
        decided_reason="on_target",
        note=f"{granted} have room",
    )
    return msgspec.structs.replace(grant, **changes)


def finding(
    replicas: int,
    reason: Reason = Reason.ON_TARGET,
    *,
    before: int | None = None,
    ready: int = 0,
    cold_starts_s: tuple[float, ...] = (),
    failure: Failure | None = None,
    grant: Grant | None = None,
) -> Finding:
    decision = Decision(
        id="",
        at=99.0,
        workload_id="w",
        proton_id="p",
        replicas=replicas,
        previous_replicas=replicas if before is None else before,
        reason=reason,
        grant=grant,
    )
    running = [
        Replica(id=str(n), workload_id="w", proton_id="p", phase=ReplicaPhase.READY, created_at=0.0)
        for n in range(ready)
    ]
    return Finding(
        proton=PROTON,
        decision=decision,
        replicas=running,
        cold_starts_s=cold_starts_s,
        failure=failure,
        basis=BASIS,
        state=DecisionState(wanted=replicas),
    )


@pytest.fixture
def book() -> ScaleBook:
    numbers = itertools.count(1)
    return ScaleBook(decision_history=50, new_id=lambda: f"id-{next(numbers)}", code="1.2.3")


def taken(book: ScaleBook) -> Unwritten:
    return book.take(10)["p"]


def scale(unwritten: Unwritten) -> Scale:
    assert isinstance(unwritten.write, Put)
    assert isinstance(unwritten.write.record, Scale)
    return unwritten.write.record


def events(unwritten: Unwritten) -> list[Event]:
    return [
        msgspec.json.decode(entry, type=Event)
        for name, entry, _ in unwritten.entries
        if name == "events:w"
    ]


def decisions(unwritten: Unwritten) -> list[Decision]:
    return [
        msgspec.json.decode(entry, type=Decision)
        for name, entry, keep in unwritten.entries
        if name == "decisions:p" and keep == 50
    ]


def test_the_first_decision_is_written_and_journaled(book):
    assert book.note(finding(2, before=0), now_s=0.0)
    unwritten = taken(book)
    record = scale(unwritten)
    assert (record.id, record.wanted_replicas, record.ready_replicas) == ("p", 2, 0)
    assert record.state is ProtonState.PROVISIONING
    assert record.decision_id == "id-1"
    assert [d.id for d in decisions(unwritten)] == ["id-1"]


def test_an_entry_tells_its_steps_its_basis_and_the_code_that_made_it(book):
    book.note(finding(2), now_s=0.0)
    entry = decisions(taken(book))[0]
    assert [step.name for step in entry.steps] == ["fixed"]
    assert (entry.code, entry.inputs["ready"]) == ("1.2.3", 2)
    assert isinstance(entry.basis, msgspec.Raw)
    assert decode(entry.basis) == BASIS


def test_what_came_after_the_decision_stays_in_its_entry(book):
    found = finding(1)
    grant = Step(name="grant", value=1, note="1 of 2: no room")
    found.decision = msgspec.structs.replace(found.decision, steps=(grant,))
    book.note(found, now_s=0.0)
    entry = decisions(taken(book))[0]
    assert (entry.replicas, [step.name for step in entry.steps]) == (1, ["fixed", "grant"])


def test_panic_and_the_maximum_are_events_when_they_come_and_go(book):
    def in_panic(since_s: float | None, reason: Reason) -> Finding:
        found = finding(2, reason)
        found.state = DecisionState(wanted=2, damping=DampingState(panic_at_s=since_s))
        return found

    steps = [(None, Reason.ON_TARGET), (0.0, Reason.PANIC), (0.0, Reason.AT_MAX)]
    steps += [(1.0, Reason.PANIC), (1.0, Reason.AT_MAX), (None, Reason.AT_MAX)]
    for second, (since_s, reason) in enumerate(steps):
        book.note(in_panic(since_s, reason), now_s=float(second))
    for second in (10, 50, 111):
        book.note(in_panic(None, Reason.AT_MAX), now_s=float(second))
        book.note(in_panic(None, Reason.ON_TARGET), now_s=second + 0.5)
    told = [event.type for event in events(taken(book))]
    assert told == ["Panic Entered", "Maximum Reached", "Panic Left", "Maximum Reached"]


def test_the_same_again_is_not_written(book):
    book.note(finding(2), now_s=0.0)
    taken(book)
    assert not book.note(finding(2), now_s=1.0)
    assert book.take(10) == {}


def test_while_anything_runs_there_is_an_entry_a_minute(book):
    noted = [second for second in range(200) if book.note(finding(2), now_s=float(second))]
    assert len(decisions(taken(book))) == len(noted)
    first, second, *later = noted
    assert first == 0
    assert second < JOURNAL_EVERY_S  # each proton has its own second of the minute
    assert later == [second + JOURNAL_EVERY_S, second + 2 * JOURNAL_EVERY_S]


def test_regular_entries_of_many_protons_spread_over_the_minute(book):
    noted = set()
    for second in range(61):
        for number in range(300):
            found = finding(2)
            found.proton = msgspec.structs.replace(PROTON, id=f"p{number}")
            if book.note(found, now_s=float(second)) and second:
                noted.add(second)
    assert len(noted) > JOURNAL_EVERY_S * 0.9


def test_at_zero_there_is_none(book):
    book.note(finding(0, Reason.IDLE), now_s=0.0)
    taken(book)
    assert not book.note(finding(0, Reason.IDLE), now_s=JOURNAL_EVERY_S * 9)


def test_replicas_that_become_ready_are_written_but_not_journaled(book):
    book.note(finding(1), now_s=0.0)
    first = scale(taken(book))
    assert book.note(finding(1, ready=1, cold_starts_s=(1.25,)), now_s=0.1)
    unwritten = taken(book)
    record = scale(unwritten)
    assert record.ready_replicas == 1
    assert record.state is ProtonState.RUNNING
    assert record.decision_id == first.decision_id
    assert (record.cold_start_p50_s, record.cold_start_p90_s) == (1.25, 1.25)
    assert decisions(unwritten) == []


def test_the_bundle_that_most_replicas_have_stands_in_the_record_with_the_reason(book):
    book.note(finding(1), now_s=0.0)
    assert (scale(taken(book)).bundle, PROTON.runtime.group().bundles) == (None, ())
    bundles = tuple(Bundle(id=n, name=n, cpu_count=1, memory_bytes=1) for n in ("a", "b"))
    group = GroupRuntime(resource_bundles=("a", "b"), bundles=bundles)
    found = finding(1, ready=1)
    found.proton = msgspec.structs.replace(PROTON, runtime=Runtime(container_groups=(group,)))
    [only] = found.replicas
    why = "a: others have all of it"
    found.replicas = [msgspec.structs.replace(only, bundle="b", bundle_reason=why)]
    book.note(found, now_s=0.1)
    record = scale(taken(book))
    assert (record.bundle, record.bundle_reason) == ("b", why)


def test_quantiles_are_of_its_own_starts(book):
    book.note(finding(1, cold_starts_s=tuple(float(n) for n in range(100, 0, -1))), now_s=0.0)
    record = scale(taken(book))
    assert (record.cold_start_p50_s, record.cold_start_p90_s) == (50, 90)


def test_a_change_of_reason_alone_waits_for_its_turn(book):
    book.note(finding(1), now_s=0.0)
    taken(book)
    assert not book.note(finding(1, Reason.COOLDOWN), now_s=REASON_PAUSE_S - 0.5)
    assert book.note(finding(1, Reason.COOLDOWN), now_s=REASON_PAUSE_S)
    unwritten = taken(book)
    assert scale(unwritten).reason == "cooldown"
    assert [d.reason for d in decisions(unwritten)] == [Reason.COOLDOWN]


def test_a_change_of_count_does_not_wait(book):
    book.note(finding(1), now_s=0.0)
    assert book.note(finding(3, Reason.PANIC, before=1), now_s=0.1)
    assert book.note(finding(2, before=3), now_s=0.2)
    unwritten = taken(book)
    assert scale(unwritten).wanted_replicas == 2
    assert [d.replicas for d in decisions(unwritten)] == [1, 3, 2]


def test_events_tell_of_zero_and_back(book):
    book.note(finding(2, Reason.WAKE_UP, before=0), now_s=0.0)
    book.note(finding(2), now_s=1.0)
    book.note(finding(0, Reason.IDLE, before=2), now_s=2.0)
    book.note(finding(0, Reason.IDLE), now_s=3.0)
    found = events(taken(book))
    assert [e.type for e in found] == ["Scaled From Zero", "Scaled To Zero"]
    assert found[0].details == {"protonId": "p", "reason": "wake_up", "replicas": 2}
    assert found[0].id.startswith("id-")


def test_events_tell_of_trouble_once_and_of_its_end(book):
    broken = Failure(message="It exits.", log_tail=("boom",), sticky=True)
    passing = Failure(message="Not ready yet.")
    book.note(finding(1, failure=passing), now_s=0.0)
    assert scale(taken(book)).message == "Not ready yet."
    book.note(finding(0, Reason.ERRORED, before=1, failure=broken), now_s=1.0)
    book.note(finding(0, Reason.ERRORED, failure=broken), now_s=2.0)
    unwritten = taken(book)
    record = scale(unwritten)
    assert record.errored
    assert record.state is ProtonState.ERRORED
    assert (record.message, record.log_tail) == ("It exits.", ("boom",))
    assert [e.type for e in events(unwritten)] == ["Proton Errored"]
    book.note(finding(1, before=0), now_s=9.0)
    assert [e.type for e in events(taken(book))] == ["Proton Recovered"]


def test_what_is_granted_and_why_not_more_stands_in_the_record(book):
    book.note(finding(3, Reason.CAPACITY, grant=refused(1)), now_s=0.0)
    record = scale(taken(book))
    assert (record.wanted_replicas, record.granted_replicas) == (3, 1)
    assert record.message == "Waits for capacity: 1 have room."
    assert (record.state, record.interrupted) == (ProtonState.PROVISIONING, False)
    made_room = finding(3, Reason.CAPACITY, grant=refused(0, gave_way_to="other"))
    book.note(made_room, now_s=0.05)
    record = scale(taken(book))
    assert (record.state, record.interrupted) == (ProtonState.INTERRUPTED, True)
    failing = Failure(message="It exits.")
    book.note(finding(3, Reason.CAPACITY, grant=refused(2), failure=failing), now_s=0.1)
    record = scale(taken(book))
    assert (record.granted_replicas, record.message) == (2, "It exits.")
    book.note(finding(3), now_s=0.2)
    assert scale(taken(book)).granted_replicas is None


def test_other_words_about_the_same_refusal_wait_and_another_refusal_is_journaled(book):
    book.note(finding(3, Reason.CAPACITY, grant=refused(1)), now_s=0.0)
    book.take(10)
    moved = finding(3, Reason.CAPACITY, grant=refused(1, note="1 have room; 2. in line"))
    assert not book.note(moved, now_s=0.1)
    assert book.note(moved, now_s=0.1 + REASON_PAUSE_S)
    unwritten = taken(book)
    assert scale(unwritten).message.endswith("2. in line.")
    assert decisions(unwritten) == []
    other = finding(3, Reason.CAPACITY, grant=refused(1, Refusal.MIN_RUN, note="later"))
    assert book.note(other, now_s=0.2 + 2 * REASON_PAUSE_S)
    [entry] = decisions(taken(book))
    assert entry.grant is not None
    assert entry.grant.refusal is Refusal.MIN_RUN


def test_events_tell_of_refusals_of_giving_way_and_of_their_end(book):
    book.note(finding(2), now_s=0.0)
    gave_way = refused(1, gave_way_to="other")
    book.note(finding(2, Reason.CAPACITY, grant=gave_way), now_s=1.0)
    book.note(finding(2, Reason.CAPACITY, grant=gave_way), now_s=2.0)
    book.note(finding(2, Reason.CAPACITY, grant=refused(0, gave_way_to="other")), now_s=3.0)
    book.note(finding(2), now_s=4.0)
    book.note(finding(3, Reason.CAPACITY, grant=refused(2)), now_s=5.0)
    found = events(taken(book))
    assert [e.type for e in found] == [
        "Replicas Preempted",
        "Replicas Preempted",
        "Capacity Granted",
        "Capacity Refused",
    ]
    assert found[0].details == {
        "protonId": "p",
        "reason": "capacity",
        "wanted": 2,
        "granted": 1,
        "refusal": "held",
        "message": "1 have room",
        "workloadId": "other",
    }
    assert found[2].details == {"protonId": "p", "reason": "on_target", "granted": 2}


def test_an_earlier_terms_record_is_the_starting_point(book):
    book.note(finding(1, ready=1), now_s=0.0)
    earlier = scale(taken(book))
    other = ScaleBook(decision_history=50, new_id=lambda: "x")
    other.open(earlier)
    assert other.note(finding(1, ready=1), now_s=500.0)  # the entry of the minute
    other.take(10)
    assert not other.note(finding(1, ready=1), now_s=501.0)


def test_a_gone_proton_leaves_a_delete_and_no_entries(book):
    book.note(finding(1), now_s=0.0)
    book.remove("p")
    unwritten = taken(book)
    assert unwritten.write == Delete(Scale, "p")
    assert unwritten.entries == []


def test_a_failed_write_comes_first_again_and_the_newest_record_wins(book):
    book.note(finding(1, before=0), now_s=0.0)
    failed = book.take(10)
    book.note(finding(4, before=1), now_s=1.0)
    book.give_back(failed)
    unwritten = taken(book)
    assert scale(unwritten).wanted_replicas == 4
    assert [d.replicas for d in decisions(unwritten)] == [1, 4]
    book.give_back({"p": unwritten})
    assert taken(book).entries == unwritten.entries


def test_a_long_outage_keeps_only_the_newest_entries(book):
    for count in range(1, 300):
        book.note(finding(count, before=count - 1), now_s=float(count))
    found = decisions(taken(book))
    assert len(found) == 100
    assert found[-1].replicas == 299


def test_batches_are_limited(book):
    for number in range(5):
        proton = msgspec.structs.replace(PROTON, id=f"p{number}")
        found = finding(1)
        found.proton = proton
        book.note(found, now_s=0.0)
    assert len(book.take(3)) == 3
    assert len(book.take(3)) == 2
    assert book.take(3) == {}
