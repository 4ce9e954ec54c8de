import msgspec
import pytest

from controlplane.lifecycle.plans import Held, Save, UnfitError
from controlplane.lifecycle.promotion import promote_workload
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.states import ProtonState, ReplacementStatus
from controlplane.model.workloads import Replacement, Runtime
from tests.unit.controlplane.lifecycle import worlds

HOME = Held(worlds.repository(last_version=4), 9)


def promote(now=None, repository=HOME):
    return promote_workload(now or worlds.present(), repository=repository, stamp=worlds.stamp())


def replacement(status: ReplacementStatus) -> Replacement:
    return Replacement(
        id="9" * 24,
        workload_id="b" * 24,
        name="r",
        user_id=worlds.OWNER,
        status=status,
        status_at=1.0,
        candidate_artifact_id="a" * 24,
        runtime=Runtime(),
        created_at=1.0,
        updated_at=1.0,
    )


def test_promoting_locks_the_artifact_as_the_next_version_and_leaves_the_proton_alone():
    plan = promote()
    workload, artifact, home = plan.writes
    assert workload == Save(record=plan.subject, expected=5)
    assert (artifact.record.status, artifact.record.version, artifact.expected) == ("locked", 5, 7)
    assert (home.record.last_version, home.expected) == (5, 9)


def test_promoting_ends_the_countdown_and_resets_the_statistics():
    draft = worlds.workload(expires_at=2_000.0, expiry_told=True)
    promoted = promote(worlds.present(of=draft)).subject
    assert (promoted.expires_at, promoted.expiry_told) == (None, False)
    assert promoted.stats_since == worlds.NOW
    kept = ("id", "name", "importance", "runtime", "roles", "active_proton_id", "created_at")
    assert all(getattr(promoted, name) == getattr(draft, name) for name in kept)


def test_promoting_is_told_in_the_journal_and_in_the_history():
    plan = promote()
    (event,) = plan.events
    assert event.type == "Workload Promoted"
    assert event.details == {"artifactId": "a" * 24, "version": 5, "protonId": "c" * 24}
    (record,) = plan.history
    assert (record.origin, record.status) == ("promote", ReplacementStatus.COMPLETED)
    assert record.candidate_artifact_id == record.previous_artifact_id == "a" * 24
    assert record.candidate_proton_id == "c" * 24
    assert record.ended_at == record.switched_at == worlds.NOW
    assert msgspec.json.decode(msgspec.json.encode(record), type=Replacement) == record


def test_a_locked_artifact_cannot_be_promoted():
    locked = worlds.artifact(status="locked", version=2)
    with pytest.raises(UnfitError, match="not a draft but locked as version 2"):
        promote(worlds.present(what=locked))


@pytest.mark.parametrize(
    "now",
    [
        worlds.present(ProtonState.STOPPED),
        worlds.present(ProtonState.STOPPING),
        worlds.present(without_proton=True),
    ],
)
def test_what_does_not_run_cannot_be_promoted(now):
    with pytest.raises(UnfitError, match="no active proton"):
        promote(now)


@pytest.mark.parametrize("status", ReplacementStatus)
def test_nothing_is_promoted_while_it_is_replaced(status):
    now = worlds.present(of=worlds.workload(replacement=replacement(status)))
    if status in {ReplacementStatus.COMPLETED, ReplacementStatus.ERRORED}:
        assert promote(now).subject.replacement == replacement(status)
        return
    with pytest.raises(UnfitError, match="in progress"):
        promote(now)


def test_an_edited_draft_is_not_locked_unseen():
    edited = worlds.artifact(spec=msgspec.structs.replace(worlds.SPEC, template_id="t"))
    with pytest.raises(UnfitError, match=r"was edited since proton c{24} started"):
        promote(worlds.present(what=edited))


def test_what_cannot_be_locked_cannot_be_promoted():
    with pytest.raises(UnfitError, match="no repository"):
        promote(repository=None)
    empty = ArtifactSpec()
    now = worlds.present(what=worlds.artifact(spec=empty), runs=worlds.proton(spec=empty))
    with pytest.raises(UnfitError, match="no primary container"):
        promote(now)
