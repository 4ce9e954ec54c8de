"""How a replacement goes on: every status, every way out of it."""

from dataclasses import dataclass, replace

import msgspec
import pytest

from controlplane.lifecycle.plans import Held, Plan, Remove, Save
from controlplane.lifecycle.replacements import advance, cancel
from controlplane.lifecycle.underway import Evidence, Patience, Sight, Situation
from controlplane.lifecycle.weights import Judgement, Verdict
from controlplane.model.behavior import Schedule
from controlplane.model.states import ProtonRole, ReplacementStatus
from controlplane.model.workloads import (
    Autoscaling,
    GroupRuntime,
    Proton,
    Replacement,
    ReplacementConfig,
    Runtime,
    ScalingPolicy,
    WeightRule,
    WeightStep,
    Workload,
)
from tests.unit.controlplane.lifecycle.worlds import NOW, proton, stamp, workload

OLD, NEW = "c" * 24, "d" * 24
OLD_ARTIFACT, NEW_ARTIFACT = "a" * 24, "9" * 24
PATIENCE = Patience(candidate_s=100, drain_s=30, window_s=60, draft_ttl_s=5000)
FINE = Judgement(verdict=Verdict.FINE, note="fine.")
WORSE = Judgement(verdict=Verdict.WORSE, note="much worse.")
TOO_FEW = Judgement(verdict=Verdict.TOO_FEW, note="too few.")
S = ReplacementStatus


AROUND_NOW = Schedule(cron="16 0 * * *", duration_s=120, min_replicas=3)
"""From 40 s before NOW, which is 00:16:40 UTC."""


def elastic(low: int, high: int, *schedules: Schedule) -> Runtime:
    """An autoscaled runtime."""
    auto = Autoscaling(
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=1),),
        min_replicas=low,
        max_replicas=high,
        schedules=schedules,
    )
    return Runtime(container_groups=(GroupRuntime(autoscaling=auto),))


@dataclass(frozen=True)
class World:
    """A situation with what is seen of it; versions are 5 (workload), 6 (old), 7 (new)."""

    situation: Situation
    seen: Evidence

    def look(self, *, at: float = NOW) -> Plan[Workload]:
        return advance(self.situation, self.seen, patience=PATIENCE, stamp=stamp(at=at))

    def cancel(self) -> Plan[Workload]:
        return cancel(self.situation, self.seen, patience=PATIENCE, stamp=stamp())


def world(
    status: ReplacementStatus,
    *,
    new: Sight | None = None,
    old: Sight | None = None,
    record: dict[str, object] | None = None,
    candidate: dict[str, object] | None = None,
    previous: dict[str, object] | None = None,
    without: tuple[str, ...] = (),
    seen: dict[str, object] | None = None,
    expires_at: float | None = None,
    **changes: object,
) -> World:
    """A replacement in a status, `status_at` and `created_at` being NOW."""
    fields: dict[str, object] = {
        "id": "8" * 24,
        "workload_id": "b" * 24,
        "name": "a workload",
        "user_id": "f" * 24,
        "status": status,
        "status_at": NOW,
        "candidate_artifact_id": NEW_ARTIFACT,
        "candidate_proton_id": NEW,
        "previous_artifact_id": OLD_ARTIFACT,
        "previous_proton_id": OLD,
        "runtime": Runtime(enclaves=("new",)),
        "previous_runtime": Runtime(enclaves=("old",)),
        "created_at": NOW,
        "updated_at": NOW,
    }
    replacement = Replacement(**(fields | changes))
    switched = status in {S.SWITCHING, S.COMPLETED}
    roles = (
        (ProtonRole.DRAINING, ProtonRole.ACTIVE)
        if switched
        else (ProtonRole.ACTIVE, ProtonRole.CANDIDATE)
    )
    weights = (0, 100) if switched else (100, 0)
    olds = {"id": OLD, "role": roles[0], "weight": weights[0]} | (previous or {})
    news = {"id": NEW, "role": roles[1], "weight": weights[1], "least_replicas": 1}
    protons = {
        "old": Held(proton(**olds), 6),
        "new": Held(proton(**(news | (candidate or {}))), 7),
    }
    live = {"active_proton_id": NEW if switched else OLD, "expires_at": expires_at}
    return World(
        situation=Situation(
            workload=Held(workload(replacement=replacement, **(live | (record or {}))), 5),
            replacement=replacement,
            candidate=None if "new" in without else protons["new"],
            previous=None if "old" in without else protons["old"],
        ),
        seen=Evidence(
            sights={OLD: old or Sight(ready=1, wanted=1), NEW: new or Sight()}, **(seen or {})
        ),
    )


def saved(plan: Plan[Workload], record_id: str) -> Proton:
    """A proton as a plan writes it."""
    (found,) = [w.record for w in plan.writes if isinstance(w, Save) and w.record.id == record_id]
    assert isinstance(found, Proton)
    return found


def after(plan: Plan[Workload]) -> Replacement:
    """The replacement as a plan leaves it on its workload."""
    assert plan.writes[0] == Save(record=plan.subject, expected=5)
    assert plan.subject.replacement is not None
    return plan.subject.replacement


def told(plan: Plan[Workload]) -> list[str]:
    """What the journal says."""
    return [event.type for event in plan.events]


# ---- submitted, initializing


def test_a_candidate_that_nobody_has_looked_at_is_waited_for():
    assert world(S.SUBMITTED).look().writes == ()


def test_it_initializes_as_soon_as_replicas_were_asked_for():
    plan = world(S.SUBMITTED, new=Sight(wanted=1)).look(at=NOW + 1)
    assert (after(plan).status, after(plan).status_at) == (S.INITIALIZING, NOW + 1)
    assert world(S.INITIALIZING, new=Sight(wanted=1)).look().writes == ()


@pytest.mark.parametrize("status", [S.SUBMITTED, S.INITIALIZING])
def test_enough_ready_replicas_end_the_start(status):
    plan = world(status, new=Sight(wanted=1, ready=1)).look(at=NOW + 2)
    assert after(plan).status is S.AWAITING_PROMOTION
    assert after(plan).ready_at == NOW + 2
    assert len(plan.writes) == 1


def test_a_candidate_needs_as_many_replicas_as_serve_now():
    asked = {"runtime": elastic(0, 5)}
    plan = world(
        S.INITIALIZING, new=Sight(wanted=1, ready=1), old=Sight(ready=3), candidate=asked
    ).look()
    assert after(plan).status is S.INITIALIZING
    assert saved(plan, NEW).least_replicas == 3
    there = world(
        S.INITIALIZING, new=Sight(wanted=3, ready=3), old=Sight(ready=3), candidate=asked
    ).look()
    assert after(there).status is S.AWAITING_PROMOTION
    assert saved(there, NEW).least_replicas == 3


@pytest.mark.parametrize(
    ("at", "least"),
    [
        pytest.param(NOW, 3, id="while-it-holds"),
        pytest.param(NOW - 41, None, id="before"),
        pytest.param(NOW + 80, None, id="after"),
    ],
)
def test_a_candidate_needs_the_minimum_of_a_schedule_while_it_holds(at, least):
    asked = {"runtime": elastic(1, 5, AROUND_NOW)}
    plan = world(S.INITIALIZING, new=Sight(wanted=1), candidate=asked).look(at=at)
    assert (saved(plan, NEW).least_replicas if plan.writes else None) == least


def test_before_a_weight_step_it_needs_only_its_share():
    config = ReplacementConfig(steps=(WeightStep(percent=10, duration_s=1),))
    plan = world(
        S.INITIALIZING,
        new=Sight(wanted=1, ready=1),
        old=Sight(ready=4),
        candidate={"runtime": elastic(0, 5)},
        config=config,
    ).look()
    assert after(plan).status is S.AWAITING_PROMOTION


@pytest.mark.parametrize("status", [S.SUBMITTED, S.INITIALIZING, S.AWAITING_PROMOTION])
def test_a_candidate_that_was_given_up_is_cleaned_up(status):
    plan = world(status, new=Sight(errored=True, message="Exit code 3: fix it.")).look()
    assert after(plan).status is S.CLEANING_UP
    assert after(plan).message == "The candidate failed: Exit code 3: fix it."
    assert plan.history == ()


@pytest.mark.parametrize("status", [S.INITIALIZING, S.AWAITING_PROMOTION])
def test_a_candidate_whose_record_is_gone_has_failed(status):
    plan = world(status, without=("new",)).look()
    assert after(plan).message == "The candidate failed: it could not be started."


@pytest.mark.parametrize(
    ("message", "says"),
    [
        pytest.param("", "after 100 s.", id="nothing-known"),
        pytest.param("No probe.", "s. No probe.", id="why"),
    ],
)
def test_a_candidate_that_is_not_ready_in_time_has_failed(message, says):
    late = world(S.INITIALIZING, new=Sight(wanted=2, message=message))
    assert late.look(at=NOW + 100).writes == ()
    plan = late.look(at=NOW + 101)
    assert after(plan).status is S.CLEANING_UP
    assert "0 of 1 replicas ready" in (after(plan).message or "")
    assert (after(plan).message or "").endswith(says)


# ---- awaiting promotion: warm-up and switch


def test_a_ready_candidate_warms_up():
    warm = world(
        S.AWAITING_PROMOTION,
        new=Sight(ready=1),
        ready_at=NOW,
        config=ReplacementConfig(warmup_s=20),
    )
    assert warm.look(at=NOW + 19).writes == ()
    assert after(warm.look(at=NOW + 20)).status is S.SWITCHING


def test_a_candidate_without_a_ready_replica_starts_again_without_traffic():
    plan = world(
        S.AWAITING_PROMOTION,
        candidate={"weight": 30},
        previous={"weight": 70, "least_replicas": 2},
        step_at=NOW,
    ).look()
    assert (after(plan).status, after(plan).step_at) == (S.INITIALIZING, None)
    assert (saved(plan, NEW).weight, saved(plan, OLD).weight) == (0, 100)
    assert saved(plan, OLD).least_until == NOW + 60


def test_the_switch_is_one_commit():
    plan = world(
        S.AWAITING_PROMOTION,
        new=Sight(ready=2),
        old=Sight(ready=2),
        candidate={"runtime": elastic(0, 5)},
        ready_at=NOW,
    ).look(at=NOW + 1)
    new, old, now = saved(plan, NEW), saved(plan, OLD), plan.subject
    assert (new.role, new.weight, new.least_replicas) == (ProtonRole.ACTIVE, 100, 2)
    assert new.least_until == NOW + 61
    assert (old.role, old.weight, old.least_replicas) == (ProtonRole.DRAINING, 0, 2)
    assert (now.active_proton_id, now.artifact_id) == (NEW, NEW_ARTIFACT)
    assert now.runtime == Runtime(enclaves=("new",))
    assert (after(plan).status, after(plan).switched_at) == (S.SWITCHING, NOW + 1)
    assert told(plan) == ["Replacement Switched"]
    assert now.expires_at is None


def test_a_switch_works_without_an_old_proton():
    plan = world(S.AWAITING_PROMOTION, new=Sight(ready=1), without=("old",)).look()
    assert after(plan).status is S.SWITCHING


def test_a_draft_gets_another_term_with_the_switch():
    plan = world(
        S.AWAITING_PROMOTION, new=Sight(ready=1), expires_at=7.0, record={"expiry_told": True}
    ).look()
    assert (plan.subject.expires_at, plan.subject.expiry_told) == (NOW + 5000, False)


def test_the_switch_waits_until_the_candidate_can_take_the_whole_load():
    growing = world(
        S.AWAITING_PROMOTION,
        new=Sight(ready=1),
        old=Sight(ready=3),
        candidate={"runtime": elastic(0, 5)},
        ready_at=NOW,
    )
    plan = growing.look()
    assert after(plan).status is S.AWAITING_PROMOTION
    assert saved(plan, NEW).least_replicas == 3
    asked = replace(
        growing,
        situation=replace(
            growing.situation,
            candidate=Held(proton(id=NEW, runtime=elastic(0, 5), least_replicas=3), 7),
        ),
    )
    assert asked.look(at=NOW + 100).writes == ()
    assert after(asked.look(at=NOW + 101)).status is S.CLEANING_UP


# ---- weight steps


def weighed(*, step: int = 0, verdict: Judgement | None = None, **changes: object) -> World:
    """In the first of two steps, 20 % for 60 s and 50 % for 60 s, begun at NOW."""
    steps = (WeightStep(percent=20, duration_s=60), WeightStep(percent=50, duration_s=60))
    rule = changes.pop("rule", WeightRule(hold_s=30))
    fields: dict[str, object] = {
        "new": Sight(ready=1),
        "ready_at": NOW,
        "step": step,
        "step_at": NOW,
        "config": ReplacementConfig(steps=steps, rule=rule),
        "candidate": {"weight": 20},
        "previous": {"weight": 80, "least_replicas": 1},
        "seen": {"judgement": verdict},
    }
    return world(S.AWAITING_PROMOTION, **(fields | changes))


def test_a_step_begins_with_weights_for_both_and_an_event():
    plan = weighed(step_at=None, candidate={}, previous={}, old=Sight(ready=3)).look()
    assert (saved(plan, NEW).weight, saved(plan, OLD).weight) == (20, 80)
    assert (saved(plan, OLD).least_replicas, saved(plan, OLD).least_until) == (3, None)
    assert after(plan).step_at == NOW
    assert after(plan).message == "Step 1 of 2: 20 % of the traffic."
    assert told(plan) == ["Replacement Step"]


def test_an_end_of_an_earlier_floor_does_not_raise_the_new_one():
    plan = weighed(
        step_at=None, candidate={}, previous={"least_replicas": 9, "least_until": 3.0}
    ).look()
    assert (saved(plan, OLD).least_replicas, saved(plan, OLD).least_until) == (1, None)


def test_the_share_is_capped_by_the_ready_replicas_and_that_is_told():
    plan = weighed(step=1, step_at=None, old=Sight(ready=3)).look()
    assert (saved(plan, NEW).weight, saved(plan, OLD).weight) == (25, 75)
    assert after(plan).message == (
        "Step 2 of 2: 25 % of the traffic, 50 % asked: the candidate has 1 replicas ready,"
        " the active proton 3."
    )


def test_a_step_whose_capacity_changes_follows():
    plan = weighed(candidate={"weight": 10}, previous={"weight": 90}).look()
    assert (saved(plan, NEW).weight, saved(plan, OLD).weight) == (20, 80)
    assert after(plan).message == "Step 1 of 2: 20 % of the traffic."
    assert told(plan) == []


@pytest.mark.parametrize(
    ("verdict", "at", "step"),
    [
        pytest.param(None, 1000, 0, id="nothing-measured"),
        pytest.param(FINE, 59, 0, id="too-early"),
        pytest.param(FINE, 60, 1, id="passed"),
        pytest.param(TOO_FEW, 89, 0, id="too-few-requests-wait-for-more"),
        pytest.param(TOO_FEW, 90, 1, id="but-not-for-ever"),
    ],
)
def test_a_step_takes_its_time_and_enough_requests(verdict, at, step):
    plan = weighed(verdict=verdict).look(at=NOW + at)
    assert plan.subject.replacement is not None
    assert plan.subject.replacement.step == step
    assert bool(plan.writes) == bool(step)


def test_the_last_step_leads_to_the_switch():
    plan = weighed(step=1, verdict=FINE, candidate={"weight": 50}, previous={"weight": 50}).look(
        at=NOW + 60
    )
    assert (after(plan).step, after(plan).step_at) == (2, NOW + 60)
    assert after(plan).message == "Step 2 of 2 passed: fine."
    assert after(weighed(step=2).look()).status is S.SWITCHING


def test_a_step_does_not_pass_on_a_share_that_it_was_not_given():
    few = weighed(
        step=1,
        verdict=FINE,
        old=Sight(ready=10),
        candidate={"weight": 9, "runtime": elastic(0, 9), "least_replicas": 5},
        previous={"weight": 91, "least_replicas": 10},
    )
    assert few.look(at=NOW + 160).writes == ()
    plan = few.look(at=NOW + 161)
    assert after(plan).status is S.CLEANING_UP
    assert "1 of 5 replicas ready" in (after(plan).message or "")


def test_a_worse_candidate_is_not_switched_to_after_its_last_step():
    plan = weighed(step=2, verdict=WORSE).look(at=NOW + 5)
    assert (after(plan).status, after(plan).held_at) == (S.AWAITING_PROMOTION, NOW + 5)
    assert after(plan).message == "The switch, held: much worse."
    assert told(plan) == ["Replacement Held"]
    for verdict in (WORSE, TOO_FEW, None):
        held = weighed(step=2, verdict=verdict, held_at=NOW)
        assert held.look(at=NOW + 29).writes == ()
    plan = weighed(step=2, verdict=WORSE, held_at=NOW).look(at=NOW + 30)
    assert after(plan).status is S.CLEANING_UP
    assert (after(plan).message or "").startswith("Rolled back at the switch, held for 30 s")


def test_one_that_recovers_after_its_last_step_is_switched_to():
    plan = weighed(step=2, verdict=FINE, held_at=NOW).look(at=NOW + 5)
    assert (after(plan).status, after(plan).held_at) == (S.AWAITING_PROMOTION, None)
    assert told(plan) == ["Replacement Resumed"]
    assert after(weighed(step=2, verdict=FINE).look(at=NOW + 6)).status is S.SWITCHING


def test_one_that_has_lost_all_replicas_after_its_last_step_takes_that_again():
    plan = weighed(step=2, new=Sight(), held_at=NOW).look(at=NOW + 5)
    assert (after(plan).status, after(plan).step, after(plan).step_at) == (S.INITIALIZING, 1, None)


def test_after_the_last_step_the_wait_for_capacity_ends_too():
    waiting = weighed(
        step=2, old=Sight(ready=3), candidate={"runtime": elastic(0, 5), "least_replicas": 3}
    )
    assert waiting.look(at=NOW + 100).writes == ()
    assert after(waiting.look(at=NOW + 101)).status is S.CLEANING_UP


def test_a_worse_candidate_is_held_and_that_is_told_once():
    plan = weighed(verdict=WORSE).look(at=NOW + 5)
    assert (after(plan).held_at, after(plan).step) == (NOW + 5, 0)
    assert after(plan).message == "Step 1 of 2, held: much worse."
    assert told(plan) == ["Replacement Held"]
    assert weighed(verdict=WORSE, held_at=NOW).look(at=NOW + 29).writes == ()


def test_a_held_candidates_share_still_follows_its_capacity():
    plan = weighed(
        verdict=WORSE, held_at=NOW, message="held", candidate={"weight": 5}, previous={"weight": 95}
    ).look()
    assert saved(plan, NEW).weight == 20
    assert after(plan).message == "held"


def test_a_candidate_that_recovers_goes_on():
    plan = weighed(verdict=FINE, held_at=NOW).look(at=NOW + 99)
    assert (after(plan).held_at, after(plan).step) == (None, 0)
    assert told(plan) == ["Replacement Resumed"]


def test_too_few_requests_do_not_clear_a_held_candidate():
    assert weighed(verdict=TOO_FEW, held_at=NOW).look(at=NOW + 29).writes == ()
    plan = weighed(verdict=TOO_FEW, held_at=NOW).look(at=NOW + 30)
    assert after(plan).status is S.CLEANING_UP
    assert "held for 30 s: too few." in (after(plan).message or "")


@pytest.mark.parametrize(
    ("rule", "held_at", "says"),
    [
        pytest.param(WeightRule(on_worse="rollback"), None, "step 1 of 2: much", id="by-rule"),
        pytest.param(WeightRule(hold_s=30), NOW - 30, "held for 30 s", id="held-too-long"),
    ],
)
def test_a_worse_candidate_is_rolled_back(rule, held_at, says):
    plan = weighed(verdict=WORSE, rule=rule, held_at=held_at).look()
    assert after(plan).status is S.CLEANING_UP
    assert says in (after(plan).message or "")
    assert (saved(plan, NEW).weight, saved(plan, OLD).weight) == (0, 100)
    assert saved(plan, OLD).least_until == NOW + 60


# ---- switching


FREE = {"acknowledged": 6}


@pytest.mark.parametrize(
    ("seen", "at"),
    [
        pytest.param({"acknowledged": 6}, 9, id="it-is-to-be-kept"),
        pytest.param({"acknowledged": 5}, 20, id="a-gateway-does-not-know-yet"),
        pytest.param({"acknowledged": None}, 20, id="no-gateway-reports"),
        pytest.param({"acknowledged": 6, "queued": {OLD: 1}}, 20, id="somebody-waits-for-it"),
    ],
)
def test_an_old_proton_stays_for_its_time_and_while_gateways_need_it(seen, at):
    kept = world(S.SWITCHING, seen=seen, switched_at=NOW, config=ReplacementConfig(keep_old_s=10))
    assert kept.look(at=NOW + at).writes == ()
    assert after(kept.look(at=NOW + 40)).status is S.COMPLETED


def test_an_old_proton_that_is_free_goes_and_the_replacement_is_complete():
    plan = world(S.SWITCHING, seen=FREE, switched_at=NOW).look(at=NOW + 1)
    assert plan.writes[1] == Remove(kind=Proton, id=OLD, expected=6)
    assert (after(plan).status, after(plan).ended_at) == (S.COMPLETED, NOW + 1)
    assert plan.history == (after(plan),)
    assert told(plan) == ["Replacement Completed"]
    assert plan.events[0].details == {
        "replacementId": "8" * 24,
        "artifactId": NEW_ARTIFACT,
        "message": "Completed.",
        "protonStatuses": {
            OLD: {"state": "unknown", "readyReplicas": 1, "message": None},
            NEW: {"state": "unknown", "readyReplicas": 0, "message": None},
        },
        "candidateProtonIds": [NEW],
    }


def test_without_an_old_proton_there_is_nothing_to_wait_for():
    assert after(world(S.SWITCHING, without=("old",)).look()).status is S.COMPLETED


def test_a_completed_one_is_shown_for_a_second():
    over = world(S.COMPLETED, ended_at=NOW)
    assert over.look(at=NOW + 0.9).writes == ()
    gone = over.look(at=NOW + 1)
    assert gone.subject.replacement is None
    assert gone.history == gone.events == ()


# ---- cleaning up


def test_a_failed_candidate_goes_when_it_is_free_and_the_failure_stays():
    busy = world(S.CLEANING_UP, seen={"acknowledged": 6}, message="why")
    assert busy.look(at=NOW + 29).writes == ()
    for plan in (
        world(S.CLEANING_UP, seen={"acknowledged": 7}, message="why").look(),
        busy.look(at=NOW + 30),
    ):
        assert plan.writes[1] == Remove(kind=Proton, id=NEW, expected=7)
        assert (after(plan).status, after(plan).message) == (S.ERRORED, "why")
        assert plan.history == (after(plan),)
        assert told(plan) == ["Replacement Errored"]


def test_a_cancelled_one_leaves_the_workload_at_once():
    plan = world(S.CLEANING_UP, deleted_at=NOW, without=("new",)).look()
    assert plan.subject.replacement is None
    assert [(r.status, r.deleted_at) for r in plan.history] == [(S.ERRORED, NOW)]
    assert told(plan) == []


def test_a_workload_without_an_old_proton_is_cleaned_up_too():
    failed = Sight(errored=True, message="why")
    plan = world(S.INITIALIZING, new=failed, without=("old",)).look()
    assert after(plan).status is S.CLEANING_UP


def test_a_failure_stays_as_it_is():
    assert world(S.ERRORED).look(at=NOW + 1e6).writes == ()


def test_every_status_has_a_look():
    for status in ReplacementStatus:
        plan = world(status).look()
        assert msgspec.json.decode(msgspec.json.encode(plan.subject), type=Workload)
