"""How a replacement begins: by another artifact, or by other settings."""

import msgspec
import pytest

from controlplane.lifecycle.candidates import (
    MismatchError,
    Wanted,
    begin_replacement,
    change_settings,
)
from controlplane.lifecycle.plans import ForbiddenError, Held, Remove, Save, StateError, UnfitError
from controlplane.lifecycle.rules import InferenceError, Limits
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, Resources
from controlplane.model.bundles import Bundle
from controlplane.model.sizing import Offer
from controlplane.model.states import Desired, ProtonRole, ProtonState, ReplacementStatus
from controlplane.model.workloads import (
    Autoscaling,
    ContainerResources,
    GroupRuntime,
    Proton,
    ReplacementConfig,
    Runtime,
    ScalingPolicy,
    WeightStep,
    Workload,
)
from tests.unit.controlplane.lifecycle import test_replacements, worlds
from tests.unit.controlplane.lifecycle.worlds import NOW

OTHER = "9" * 24
SPEC = ArtifactSpec(
    container_groups=(
        ContainerGroup(
            containers=(Container(name="main", primary=True, port=9000, image_uri="i"),)
        ),
    )
)
SIZES = (ContainerResources(name="main", resources=Resources(cpu=2)),)
LOCKED = {"status": "locked", "version": 1}
UP = [ProtonState.RUNNING, ProtonState.SUSPENDED, ProtonState.LAUNCHING, ProtonState.ERRORED]
S = ReplacementStatus


def begin(present=None, *, active_ready=1, others=(), limits=None, version=8, **wanted):
    artifact = {"id": OTHER, "spec": SPEC} | wanted.pop("artifact", {})
    return begin_replacement(
        present or worlds.present(),
        Wanted(artifact=Held(worlds.artifact(**artifact), version), **wanted),
        active_ready=active_ready,
        others=others,
        limits=limits or Limits(),
        stamp=worlds.stamp(),
    )


def settings(present=None, *, limits=None, **group):
    return change_settings(
        present or worlds.present(),
        Runtime(container_groups=(GroupRuntime(**group),)),
        active_ready=1,
        others=[],
        limits=limits or Limits(),
        stamp=worlds.stamp(),
    )


def saved(plan, kind):
    (found,) = [w for w in plan.writes if isinstance(w, Save) and isinstance(w.record, kind)]
    return found


# ---- another artifact


@pytest.mark.parametrize("state", UP)
def test_a_candidate_is_made_beside_the_active_proton(state):
    plan = begin(worlds.present(state))
    new = saved(plan, Proton)
    assert new.expected == 0
    assert (new.record.role, new.record.weight) == (ProtonRole.CANDIDATE, 0)
    assert (new.record.artifact_id, new.record.spec) == (OTHER, SPEC)
    assert new.record.least_replicas == 1
    now = plan.subject
    assert saved(plan, Workload) == Save(record=now, expected=5)
    assert (now.active_proton_id, now.artifact_id) == (worlds.proton().id, worlds.artifact().id)
    assert now.replacement is not None
    assert (now.replacement.status, now.replacement.status_at) == (S.SUBMITTED, NOW)
    assert now.replacement.candidate_proton_id == new.record.id
    assert now.replacement.previous_proton_id == worlds.proton().id
    assert now.replacement.previous_artifact_id == worlds.artifact().id
    assert (now.replacement.origin, now.replacement.user_id) == ("artifact", worlds.OWNER)
    assert [event.type for event in plan.events] == ["Replacement Started"]
    assert plan.history == ()


def test_the_draft_is_claimed_and_a_locked_artifact_is_not():
    assert Save(record=worlds.artifact(id=OTHER, spec=SPEC), expected=8) in begin().writes
    locked = begin(worlds.present(what=worlds.artifact(**LOCKED)), artifact=LOCKED)
    assert len(locked.writes) == 2


def test_without_a_runtime_the_workloads_own_stays():
    own = Runtime(container_groups=(GroupRuntime(replica_count=3),))
    plan = begin(worlds.present(of=worlds.workload(runtime=own)))
    assert saved(plan, Proton).record.runtime == own
    assert plan.subject.replacement.runtime == own
    other = Runtime(container_groups=(GroupRuntime(replica_count=2),))
    changed = begin(worlds.present(of=worlds.workload(runtime=own)), runtime=other)
    assert saved(changed, Proton).record.runtime == other
    assert changed.subject.runtime == own, "until the switch"


def elastic(low, high, *schedules):
    auto = Autoscaling(
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=1),),
        min_replicas=low,
        max_replicas=high,
        schedules=schedules,
    )
    return Runtime(container_groups=(GroupRuntime(autoscaling=auto),))


@pytest.mark.parametrize(
    ("steps", "least"),
    [
        pytest.param((), 4, id="the-whole-load"),
        pytest.param((WeightStep(percent=50, duration_s=1),), 2, id="the-first-steps-share"),
    ],
)
def test_it_asks_for_the_replicas_that_its_share_needs(steps, least):
    plan = begin(
        worlds.present(of=worlds.workload(runtime=elastic(0, 9))),
        active_ready=4,
        config=ReplacementConfig(steps=steps),
    )
    assert saved(plan, Proton).record.least_replicas == least


def test_it_asks_for_the_minimum_of_a_schedule_that_holds_now():
    runtime = elastic(0, 9, test_replacements.AROUND_NOW)
    plan = begin(worlds.present(of=worlds.workload(runtime=runtime)), active_ready=1)
    assert saved(plan, Proton).record.least_replicas == 3


@pytest.mark.parametrize(("old", "new"), [({}, LOCKED), (LOCKED, {})])
def test_a_draft_and_a_locked_artifact_do_not_replace_each_other(old, new):
    with pytest.raises(MismatchError, match=r"^Artifact status mismatch: ") as caught:
        begin(worlds.present(what=worlds.artifact(**old)), artifact=new)
    assert caught.value.status == 400


def test_the_same_locked_artifact_is_refused_and_the_same_draft_is_not():
    same = {"id": worlds.artifact().id}
    with pytest.raises(UnfitError, match="already"):
        begin(worlds.present(what=worlds.artifact(**LOCKED)), artifact=same | LOCKED)
    assert begin(artifact=same).subject.replacement is not None


@pytest.mark.parametrize("status", [s for s in S if s not in {S.COMPLETED, S.ERRORED}])
def test_a_second_one_is_refused_while_one_is_under_way(status):
    busy = test_replacements.world(status).situation.workload.record
    with pytest.raises(StateError, match="under way"):
        begin(worlds.present(of=busy))
    with pytest.raises(StateError, match="under way"):
        settings(worlds.present(of=busy), replica_count=2)


@pytest.mark.parametrize("status", [S.COMPLETED, S.ERRORED])
def test_one_that_is_over_gives_way(status):
    over = test_replacements.world(status).situation.workload.record
    assert begin(worlds.present(of=over)).subject.replacement.id != over.replacement.id


def test_it_waits_for_a_stop_to_end():
    with pytest.raises(StateError, match="still stopping"):
        begin(worlds.present(ProtonState.STOPPING))
    with pytest.raises(StateError, match="still stopping"):
        settings(worlds.present(ProtonState.STOPPING), replica_count=2)


def test_what_cannot_run_is_refused():
    with pytest.raises(UnfitError, match="no primary container"):
        begin(artifact={"spec": ArtifactSpec()})
    with pytest.raises(UnfitError, match="no container named"):
        begin(runtime=Runtime(container_groups=(GroupRuntime(containers=SIZES_OF_ANOTHER),)))
    with pytest.raises(ForbiddenError, match="exceeds the maximum"):
        begin(
            runtime=Runtime(container_groups=(GroupRuntime(replica_count=3),)),
            limits=Limits(workload_replicas=2),
        )


SIZES_OF_ANOTHER = (ContainerResources(name="sidecar", resources=Resources(cpu=2)),)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(worlds.workload(id="7" * 24, artifact_id=OTHER), id="runs-it"),
        pytest.param(
            msgspec.structs.replace(
                test_replacements.world(S.INITIALIZING).situation.workload.record, id="7" * 24
            ),
            id="is-being-replaced-by-it",
        ),
    ],
)
def test_a_draft_that_another_workload_has_is_refused(other):
    with pytest.raises(StateError, match="backs the running workload"):
        begin(others=[other])


@pytest.mark.parametrize("without_proton", [False, True])
def test_a_stopped_workload_starts_with_it_and_that_is_all(without_proton):
    stopped = worlds.present(ProtonState.STOPPED, without_proton=without_proton)
    plan = begin(stopped, config=ReplacementConfig(warmup_s=60))
    now = plan.subject
    assert (now.desired, now.artifact_id) == (Desired.RUNNING, OTHER)
    new = saved(plan, Proton).record
    assert (new.role, new.weight, new.id) == (ProtonRole.ACTIVE, 100, now.active_proton_id)
    old = Remove(kind=Proton, id=worlds.proton().id, expected=6)
    assert (old in plan.writes) is not without_proton
    assert saved(plan, Workload).record is now
    assert now.replacement.status is S.COMPLETED
    assert plan.history == (now.replacement,)
    assert [event.type for event in plan.events] == ["Workload Started"]


# ---- other settings


def test_scaling_of_what_is_errored_starts_replicas_anew():
    plan = settings(worlds.present(ProtonState.ERRORED), replica_count=3)
    assert saved(plan, Proton).record.role is ProtonRole.CANDIDATE
    assert plan.subject.replacement.status is S.SUBMITTED


@pytest.mark.parametrize("state", [s for s in UP if s is not ProtonState.ERRORED])
def test_scaling_alone_changes_in_place(state):
    plan = settings(worlds.present(state), replica_count=3, concurrency_limit=2)
    assert plan.subject.active_proton_id == worlds.proton().id
    proton = saved(plan, Proton)
    assert (proton.expected, proton.record.id) == (6, worlds.proton().id)
    assert proton.record.runtime.group().replica_count == 3
    assert proton.record.runtime.group().concurrency_limit == 2
    assert plan.events[0].type == "Settings Changed"
    done = plan.subject.replacement
    assert (done.status, done.origin) == (S.COMPLETED, "settings")
    assert done.candidate_proton_id == worlds.proton().id
    assert plan.history == (done,)


def test_a_forbidden_count_changes_nothing_in_place():
    with pytest.raises(ForbiddenError, match="exceeds the maximum"):
        settings(replica_count=3, limits=Limits(workload_replicas=2))


def sized(**changes):
    """Something that runs at the size of a bundle."""
    bundle = Bundle(**{"id": "b", "name": "b", "cpu_count": 1, "memory_bytes": 1} | changes)
    group = GroupRuntime(replica_count=1, resource_bundles=("b",), bundles=(bundle,))
    runs = worlds.proton(runtime=Runtime(container_groups=(group,)))
    return worlds.present(runs=runs), bundle


def test_scaling_in_place_keeps_the_size_that_the_replicas_began_with():
    present, old = sized()
    _, new = sized(cpu_count=2)
    grown = settings(
        present,
        replica_count=3,
        resource_bundles=("b",),
        limits=Limits(offer=Offer(bundles=(new,))),
    )
    group = saved(grown, Proton).record.runtime.group()
    assert (group.replica_count, group.bundles) == (3, (old,))


def test_settings_that_do_not_change_take_up_the_catalogue_as_it_is_now():
    present, _ = sized()
    _, new = sized(cpu_count=2)
    begun = settings(
        present,
        replica_count=1,
        resource_bundles=("b",),
        limits=Limits(offer=Offer(bundles=(new,))),
    )
    candidate = saved(begun, Proton).record
    assert (candidate.role, candidate.runtime.group().bundles) == (ProtonRole.CANDIDATE, (new,))


def test_a_size_that_no_bundle_has_is_a_failed_replacement_while_something_runs():
    present, bundle = sized()
    limits = Limits(offer=Offer(bundles=(bundle,)))
    plan = settings(present, containers=SIZES, limits=limits)
    failed = plan.subject.replacement
    assert (failed.status, failed.ended_at, failed.candidate_proton_id) == (S.ERRORED, NOW, None)
    assert failed.message.startswith("ResourceBundleInferenceError (not_enough_cpu): No bundle has")
    assert [write.record for write in plan.writes] == [plan.subject]
    assert plan.subject.runtime == present.workload.record.runtime
    assert plan.history == (failed,)
    assert [(e.type, e.details["message"]) for e in plan.events] == [
        ("Replacement Errored", failed.message)
    ]
    for state, without_proton in ((ProtonState.STOPPED, False), (ProtonState.RUNNING, True)):
        idle = worlds.present(state, without_proton=without_proton)
        with pytest.raises(InferenceError):
            settings(idle, containers=SIZES, limits=limits)


@pytest.mark.parametrize(
    ("group", "present"),
    [
        pytest.param({"containers": SIZES}, worlds.present(), id="other-sizes"),
        pytest.param(
            {"replica_count": 1},
            worlds.present(
                runs=worlds.proton(
                    runtime=Runtime(container_groups=(GroupRuntime(replica_count=1),))
                )
            ),
            id="nothing-differs",
        ),
        pytest.param(
            {"replica_count": 3},
            worlds.present(what=worlds.artifact(spec=SPEC)),
            id="the-draft-was-edited",
        ),
    ],
)
def test_anything_else_is_a_candidate(group, present):
    plan = settings(present, **group)
    new = saved(plan, Proton).record
    assert (new.role, new.spec) == (ProtonRole.CANDIDATE, present.artifact.record.spec)
    begun = plan.subject.replacement
    assert (begun.status, begun.origin) == (S.SUBMITTED, "settings")
    assert begun.candidate_artifact_id == worlds.artifact().id


def test_a_locked_artifact_is_no_reason_to_refuse_settings():
    plan = settings(worlds.present(what=worlds.artifact(**LOCKED)), containers=SIZES)
    assert plan.subject.replacement.status is S.SUBMITTED


def test_settings_of_a_stopped_workload_start_it_with_them():
    plan = settings(worlds.present(ProtonState.STOPPED), containers=SIZES)
    assert plan.subject.desired is Desired.RUNNING
    assert saved(plan, Proton).record.runtime.group().containers == SIZES
    assert plan.events[0].type == "Settings Changed"
    assert plan.subject.replacement.status is S.COMPLETED


def test_settings_without_a_proton_make_one():
    plan = settings(worlds.present(without_proton=True), replica_count=2)
    assert saved(plan, Proton).expected == 0
