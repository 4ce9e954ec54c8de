"""Plans for artifacts: drafts may change, locked ones never, versions count per repository."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from controlplane.lifecycle.plans import (
    ForbiddenError,
    Held,
    Plan,
    Remove,
    Save,
    Stamp,
    StateError,
    UnfitError,
)
from controlplane.model.artifacts import Artifact, ArtifactSpec, Repository
from controlplane.model.workloads import Workload

LOCKED = "locked"
DRAFT = "draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactContent:
    """What an owner says about an artifact."""

    name: str
    description: str = ""
    type: str = "service"
    spec: ArtifactSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEdit:
    """A partial change; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    spec: ArtifactSpec | None = None
    status: str | None = None
    """`locked` locks; `draft` is only true of drafts."""


def create_artifact(
    content: ArtifactContent, *, repository: Held[Repository] | None, stamp: Stamp
) -> Plan[Artifact]:
    """A new draft, in its own new repository unless one is given.

    Raises:
        UnfitError: The repository holds another type of artifact.
    """
    writes: list[Save | Remove] = []
    if repository is None:
        home = Repository(
            id=stamp.new_id(),
            name=content.name,
            type=content.type,
            creator_id=stamp.actor_id,
            created_at=stamp.now_s,
            updated_at=stamp.now_s,
        )
        writes.append(Save(record=home, expected=0))
    else:
        home = repository.record
        _check_type(content, home)
    artifact = Artifact(
        id=stamp.new_id(),
        name=content.name,
        description=content.description,
        type=content.type,
        repository_id=home.id,
        spec=content.spec,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(subject=artifact, writes=(*writes, Save(record=artifact, expected=0)))


def replace_artifact(
    held: Held[Artifact], content: ArtifactContent, *, repository: Repository | None, stamp: Stamp
) -> Plan[Artifact]:
    """All of a draft's content at once; running protons keep the copy they have.

    Args:
        held: The artifact as it is.
        content: What it shall be.
        repository: Where it shall live; None only for artifacts that have none.
        stamp: Who, when.

    Raises:
        ForbiddenError: It is locked.
        UnfitError: The repository holds another type of artifact.
    """
    _check_draft(held.record)
    if repository is not None:
        _check_type(content, repository)
    changed = msgspec.structs.replace(
        held.record,
        name=content.name,
        description=content.description,
        type=content.type,
        spec=content.spec,
        repository_id=repository.id if repository is not None else None,
        updated_at=stamp.now_s,
    )
    return Plan(subject=changed, writes=(Save(record=changed, expected=held.version),))


def edit_artifact(
    held: Held[Artifact],
    edit: ArtifactEdit,
    *,
    repository: Held[Repository] | None,
    stamp: Stamp,
) -> Plan[Artifact]:
    """A partial change of a draft, or its locking, or both in this order.

    Raises:
        ForbiddenError: It is locked already.
        UnfitError: It is to be locked and lacks something that every run needs.
    """
    _check_draft(held.record)
    changes: dict[str, object] = {
        name: value
        for name in ("name", "description", "spec")
        if (value := getattr(edit, name)) is not None
    }
    if edit.status != LOCKED and not changes:
        return Plan(subject=held.record)
    artifact = msgspec.structs.replace(held.record, **changes, updated_at=stamp.now_s)
    if edit.status != LOCKED:
        return Plan(subject=artifact, writes=(Save(record=artifact, expected=held.version),))
    check_complete(artifact)
    if repository is None:
        raise UnfitError(f"Artifact {artifact.id} has no repository to count its versions in.")
    version = repository.record.last_version + 1
    counted = msgspec.structs.replace(
        repository.record, last_version=version, updated_at=stamp.now_s
    )
    locked = msgspec.structs.replace(artifact, status=LOCKED, version=version)
    return Plan(
        subject=locked,
        writes=(
            Save(record=locked, expected=held.version),
            Save(record=counted, expected=repository.version),
        ),
    )


def delete_artifact(
    held: Held[Artifact], *, users: Sequence[Workload], stamp: Stamp
) -> Plan[Artifact]:
    """Soft delete of a draft that no workload uses.

    Raises:
        StateError: It is locked, or workloads use it; their ids are named.
    """
    artifact = held.record
    if artifact.status == LOCKED:
        raise StateError(f"Artifact {artifact.id} is locked and can never be deleted.")
    if users:
        ids = ", ".join(sorted(workload.id for workload in users))
        raise StateError(f"Artifact {artifact.id} is in use by workloads {ids}: delete them first.")
    gone = msgspec.structs.replace(artifact, deleted_at=stamp.now_s, updated_at=stamp.now_s)
    return Plan(subject=gone, writes=(Save(record=gone, expected=held.version),))


def check_complete(artifact: Artifact) -> None:
    """That an artifact can run.

    Raises:
        UnfitError: It has no container that receives traffic.
    """
    if artifact.spec.primary() is None:
        raise UnfitError(
            f"Artifact {artifact.id} has no primary container:"
            " give spec.containerGroups one with an imageUri and a port."
        )


def _check_draft(artifact: Artifact) -> None:
    if artifact.status != DRAFT:
        raise ForbiddenError(
            f"Artifact {artifact.id} is locked as version {artifact.version} and cannot change:"
            " create a new artifact in its repository."
        )


def _check_type(content: ArtifactContent, repository: Repository) -> None:
    if content.type != repository.type:
        raise UnfitError(
            f"Repository {repository.id} holds artifacts of type {repository.type},"
            f" not {content.type}."
        )
