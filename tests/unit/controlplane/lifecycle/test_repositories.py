import pytest

from controlplane.lifecycle.plans import Held, Save, StateError
from controlplane.lifecycle.repositories import MOST_ARTIFACTS, delete_repository
from tests.unit.controlplane.lifecycle import worlds

HOME = Held(worlds.repository(), 3)
FIRST, SECOND = "1" * 24, "2" * 24


def delete(*artifacts, in_use=()):
    return delete_repository(
        HOME,
        artifacts=[Held(artifact, 4) for artifact in artifacts],
        in_use=set(in_use),
        stamp=worlds.stamp(),
    )


def test_a_repository_goes_with_all_its_drafts_in_one_commit():
    plan = delete(worlds.artifact(id=FIRST), worlds.artifact(id=SECOND))
    home, *drafts = plan.writes
    assert home == Save(record=plan.subject, expected=3)
    assert plan.subject.deleted_at == worlds.NOW
    assert [(w.record.id, w.record.deleted_at, w.expected) for w in drafts] == [
        (FIRST, worlds.NOW, 4),
        (SECOND, worlds.NOW, 4),
    ]


def test_an_empty_one_goes_alone():
    assert len(delete().writes) == 1


def test_locked_artifacts_keep_it_and_are_named():
    with pytest.raises(StateError, match=f"locked artifacts, which are never deleted: {SECOND}"):
        delete(worlds.artifact(id=FIRST), worlds.artifact(id=SECOND, status="locked", version=1))


def test_artifacts_in_use_keep_it_and_are_named():
    with pytest.raises(StateError, match=f"that workloads use: {SECOND}"):
        delete(worlds.artifact(id=FIRST), worlds.artifact(id=SECOND), in_use=[SECOND])


def test_more_artifacts_than_fit_in_a_commit_keep_it():
    many = [worlds.artifact(id=f"{n:024x}") for n in range(MOST_ARTIFACTS + 1)]
    with pytest.raises(StateError, match="901 artifacts"):
        delete(*many)
    assert len(delete(*many[1:]).writes) == MOST_ARTIFACTS + 1
