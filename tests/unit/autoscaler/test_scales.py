"""What the store hears of decisions, and what it does not."""

import itertools

import msgspec
import pytest

from autoscaler.reconcilers.base import Failure
from autoscaler.scales import (
    JOURNAL_EVERY_S,
    REASON_PAUSE_S,
    Finding,
    ScaleBook,
    Unwritten,
)
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.decisions import Decision, Reason
from controlplane.model.states import ProtonState, ReplicaPhase
from controlplane.model.workloads import Event, Proton, Replica, Runtime, Scale
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


def finding(
    replicas: int,
    reason: Reason = Reason.ON_TARGET,
    *,
    before: int | None = None,
    ready: int = 0,
    cold_starts_s: tuple[float, ...] = (),
    failure: Failure | None = None,
) -> Finding:
    decision = Decision(
        id="",
        at=99.0,
        workload_id="w",
        proton_id="p",
        replicas=replicas,
        previous_replicas=replicas if before is None else before,
        reason=reason,
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
    )


@pytest.fixture
def book() -> ScaleBook:
    numbers = itertools.count(1)
    return ScaleBook(decision_history=50, new_id=lambda: f"id-{next(numbers)}")


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


def test_the_same_again_is_not_written(book):
    book.note(finding(2), now_s=0.0)
    taken(book)
    assert not book.note(finding(2), now_s=1.0)
    assert book.take(10) == {}


def test_while_anything_runs_there_is_an_entry_a_minute(book):
    book.note(finding(2), now_s=0.0)
    taken(book)
    assert not book.note(finding(2), now_s=JOURNAL_EVERY_S - 1)
    assert book.note(finding(2), now_s=JOURNAL_EVERY_S)
    assert len(decisions(taken(book))) == 1


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


def test_quantiles_are_of_its_own_starts(book):
    book.note(finding(1, cold_starts_s=tuple(float(n) for n in range(100, 0, -1))), now_s=0.0)
    record = scale(taken(book))
    assert (record.cold_start_p50_s, record.cold_start_p90_s) == (51, 91)


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
        one = finding(1)
        book.note(Finding(proton=proton, decision=one.decision, replicas=one.replicas), now_s=0.0)
    assert len(book.take(3)) == 3
    assert len(book.take(3)) == 2
    assert book.take(3) == {}
