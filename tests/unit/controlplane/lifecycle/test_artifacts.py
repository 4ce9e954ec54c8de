import pytest

from controlplane.lifecycle.artifacts import (
    ArtifactContent,
    ArtifactEdit,
    clone_artifact,
    create_artifact,
    delete_artifact,
    edit_artifact,
    replace_artifact,
)
from controlplane.lifecycle.contents import ImageError, ImageRules, Permits
from controlplane.lifecycle.plans import ForbiddenError, Held, Save, StateError, UnfitError
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, Repository
from tests.unit.controlplane.lifecycle import worlds

CONTENT = ArtifactContent(name="new", description="d", spec=worlds.SPEC)


def test_a_first_artifact_opens_a_repository_in_the_same_commit():
    plan = create_artifact(CONTENT, repository=None, stamp=worlds.stamp())
    home, artifact = plan.writes
    assert isinstance(home, Save)
    assert isinstance(artifact, Save)
    assert isinstance(home.record, Repository)
    assert (home.expected, artifact.expected) == (0, 0)
    assert plan.subject.repository_id == home.record.id
    assert (plan.subject.status, plan.subject.version) == ("draft", None)
    assert plan.subject.created_at == worlds.NOW


def test_an_artifact_joins_a_repository_of_its_type():
    plan = create_artifact(CONTENT, repository=Held(worlds.repository(), 3), stamp=worlds.stamp())
    assert len(plan.writes) == 1
    assert plan.subject.repository_id == worlds.repository().id


def test_a_repository_of_another_type_is_refused():
    home = Held(worlds.repository(type="nim"), 3)
    with pytest.raises(UnfitError, match="type nim, not service"):
        create_artifact(CONTENT, repository=home, stamp=worlds.stamp())
    with pytest.raises(UnfitError, match="type nim, not service"):
        replace_artifact(
            Held(worlds.artifact(), 2), CONTENT, repository=home.record, stamp=worlds.stamp()
        )


def test_replacing_a_draft_changes_all_of_it_and_keeps_who_and_when():
    held = Held(worlds.artifact(description="old"), 2)
    plan = replace_artifact(held, CONTENT, repository=worlds.repository(), stamp=worlds.stamp())
    assert plan.writes == (Save(record=plan.subject, expected=2),)
    assert (plan.subject.name, plan.subject.description) == ("new", "d")
    assert (plan.subject.id, plan.subject.created_at) == (held.record.id, 1.0)


def test_replacing_an_artifact_without_repository_leaves_it_without():
    held = Held(worlds.artifact(repository_id=None), 2)
    plan = replace_artifact(held, CONTENT, repository=None, stamp=worlds.stamp())
    assert plan.subject.repository_id is None


def test_an_edit_changes_what_it_names():
    held = Held(worlds.artifact(description="old"), 2)
    plan = edit_artifact(held, ArtifactEdit(name="n"), repository=None, stamp=worlds.stamp())
    assert (plan.subject.name, plan.subject.description) == ("n", "old")
    assert plan.writes == (Save(record=plan.subject, expected=2),)


@pytest.mark.parametrize("status", [None, "draft"])
def test_an_edit_of_nothing_writes_nothing(status):
    held = Held(worlds.artifact(), 2)
    plan = edit_artifact(held, ArtifactEdit(status=status), repository=None, stamp=worlds.stamp())
    assert (plan.subject, plan.writes) == (held.record, ())


def test_locking_takes_the_next_version_of_the_repository():
    home = Held(worlds.repository(last_version=4), 9)
    plan = edit_artifact(
        Held(worlds.artifact(), 2),
        ArtifactEdit(name="n", status="locked"),
        repository=home,
        stamp=worlds.stamp(),
    )
    artifact, counted = plan.writes
    assert (plan.subject.status, plan.subject.version, plan.subject.name) == ("locked", 5, "n")
    assert artifact == Save(record=plan.subject, expected=2)
    assert isinstance(counted, Save)
    assert counted.expected == 9
    assert counted.record.last_version == 5


def test_locking_an_incomplete_artifact_is_refused():
    held = Held(worlds.artifact(spec=ArtifactSpec()), 2)
    with pytest.raises(UnfitError, match="no primary container"):
        edit_artifact(
            held,
            ArtifactEdit(status="locked"),
            repository=Held(worlds.repository(), 1),
            stamp=worlds.stamp(),
        )


def test_locking_needs_a_repository():
    with pytest.raises(UnfitError, match="no repository"):
        edit_artifact(
            Held(worlds.artifact(), 2),
            ArtifactEdit(status="locked"),
            repository=None,
            stamp=worlds.stamp(),
        )


def test_a_locked_artifact_never_changes():
    held = Held(worlds.artifact(status="locked", version=3), 2)
    for edit in (ArtifactEdit(name="n"), ArtifactEdit(status="locked")):
        with pytest.raises(ForbiddenError, match="locked as version 3"):
            edit_artifact(held, edit, repository=None, stamp=worlds.stamp())
    with pytest.raises(ForbiddenError):
        replace_artifact(held, CONTENT, repository=None, stamp=worlds.stamp())


def test_deleting_a_draft_keeps_its_record():
    plan = delete_artifact(Held(worlds.artifact(), 2), users=set(), stamp=worlds.stamp())
    assert plan.subject.deleted_at == worlds.NOW
    assert plan.writes == (Save(record=plan.subject, expected=2),)


def test_deleting_a_locked_artifact_is_refused():
    held = Held(worlds.artifact(status="locked", version=1), 2)
    with pytest.raises(StateError, match="never be deleted"):
        delete_artifact(held, users=set(), stamp=worlds.stamp())


def test_deleting_an_artifact_in_use_names_the_workloads():
    with pytest.raises(StateError, match="b" * 24):
        delete_artifact(
            Held(worlds.artifact(), 2), users={worlds.workload().id}, stamp=worlds.stamp()
        )


UNBUILT = ArtifactSpec(
    container_groups=(
        ContainerGroup(
            containers=(
                Container(name="main", primary=True, port=8000, image_build_config={"a": 1}),
            )
        ),
    )
)


def test_an_unbuilt_image_may_be_in_a_draft_and_is_never_locked():
    held = Held(worlds.artifact(spec=UNBUILT), 2)
    with pytest.raises(UnfitError, match="has no runtime_image_uri"):
        edit_artifact(
            held,
            ArtifactEdit(status="locked"),
            repository=Held(worlds.repository(), 1),
            stamp=worlds.stamp(),
        )


@pytest.mark.parametrize("status", ["draft", "locked"])
def test_a_clone_is_a_draft_of_its_own_in_the_same_repository(status):
    original = worlds.artifact(
        status=status, version=3, description="d", type="nim", creator_id="9" * 24
    )
    plan = clone_artifact(original, "clone", stamp=worlds.stamp())
    assert plan.writes == (Save(record=plan.subject, expected=0),)
    clone = plan.subject
    assert clone.id != original.id
    assert (clone.name, clone.status, clone.version) == ("clone", "draft", None)
    assert (clone.creator_id, clone.created_at) == (worlds.OWNER, worlds.NOW)
    kept = ("description", "type", "repository_id", "spec", "tags")
    assert all(getattr(clone, name) == getattr(original, name) for name in kept)


def test_every_way_to_say_something_about_a_spec_checks_its_images():
    permits = Permits(images=ImageRules(enabled=True, denied=("i:*",)))
    held = Held(worlds.artifact(), 2)
    stamp = worlds.stamp()
    for attempt in (
        lambda: create_artifact(CONTENT, repository=None, stamp=stamp, permits=permits),
        lambda: replace_artifact(held, CONTENT, repository=None, stamp=stamp, permits=permits),
        lambda: edit_artifact(
            held, ArtifactEdit(spec=worlds.SPEC), repository=None, stamp=stamp, permits=permits
        ),
        lambda: clone_artifact(held.record, "c", stamp=stamp, permits=permits),
    ):
        with pytest.raises(ImageError):
            attempt()
    renamed = edit_artifact(
        held, ArtifactEdit(name="n"), repository=None, stamp=stamp, permits=permits
    )
    assert renamed.subject.name == "n"


def test_an_edit_replaces_the_tags_and_a_replacement_without_any_keeps_them():
    held = Held(worlds.artifact(), 2)
    edit = ArtifactEdit(tags={"team": "search"})
    tagged = edit_artifact(held, edit, repository=None, stamp=worlds.stamp()).subject
    assert [(tag.name, tag.value) for tag in tagged.tags] == [("team", "search")]
    again = replace_artifact(Held(tagged, 3), CONTENT, repository=None, stamp=worlds.stamp())
    assert again.subject.tags == tagged.tags
