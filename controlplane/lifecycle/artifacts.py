"""Plans for artifacts: drafts may change, locked ones never, versions count per repository."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from controlplane.lifecycle.contents import Permits, check_content
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
from controlplane.lifecycle.tags import tagged
from controlplane.model.artifacts import Artifact, ArtifactSpec, Repository

LOCKED: Final = "locked"
DRAFT: Final = "draft"

_ANYTHING: Final = Permits()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactContent:
    """What an owner says about an artifact."""

    name: str
    description: str = ""
    type: str = "service"
    spec: ArtifactSpec
    tags: Mapping[str, str] | None = None
    """All of them; None: as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEdit:
    """A partial change; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    spec: ArtifactSpec | None = None
    tags: Mapping[str, str] | None = None
    """All of them."""
    status: str | None = None
    """`locked` locks; `draft` is only true of drafts."""


def create_artifact(
    content: ArtifactContent,
    *,
    repository: Held[Repository] | None,
    stamp: Stamp,
    permits: Permits = _ANYTHING,
) -> Plan[Artifact]:
    """A new draft, in its own new repository unless one is given.

    A repository that is given is not written: authors who fill it at once must not stand in each
    other's way. One that is deleted at that very moment keeps the draft, which can be deleted.

    Raises:
        UnfitError: The repository holds another type of artifact.
        RuleError: See `check_content`.
    """
    check_content(content.type, content.spec, permits=permits)
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
        tags=tagged((), content.tags or {}, new_id=stamp.new_id),
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(subject=artifact, writes=(*writes, Save(record=artifact, expected=0)))


def replace_artifact(
    held: Held[Artifact],
    content: ArtifactContent,
    *,
    repository: Repository | None,
    stamp: Stamp,
    permits: Permits = _ANYTHING,
) -> Plan[Artifact]:
    """All of a draft's content at once; running protons keep the copy they have.

    Args:
        held: The artifact as it is.
        content: What it shall be.
        repository: Where it shall live; None only for artifacts that have none.
        stamp: Who, when.
        permits: What the caller may say.

    Raises:
        ForbiddenError: It is locked.
        UnfitError: The repository holds another type of artifact.
        RuleError: See `check_content`.
    """
    _check_draft(held.record)
    check_content(content.type, content.spec, permits=permits)
    if repository is not None:
        _check_type(content, repository)
    changed = msgspec.structs.replace(
        held.record,
        name=content.name,
        description=content.description,
        type=content.type,
        spec=content.spec,
        tags=held.record.tags
        if content.tags is None
        else tagged(held.record.tags, content.tags, new_id=stamp.new_id),
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
    permits: Permits = _ANYTHING,
) -> Plan[Artifact]:
    """A partial change of a draft, or its locking, or both in this order.

    Raises:
        ForbiddenError: It is locked already.
        UnfitError: It is to be locked and lacks something that every run needs.
        RuleError: See `check_content`.
    """
    _check_draft(held.record)
    if edit.spec is not None:
        check_content(held.record.type, edit.spec, permits=permits)
    changes: dict[str, object] = {
        name: value
        for name in ("name", "description", "spec")
        if (value := getattr(edit, name)) is not None
    }
    if edit.tags is not None:
        changes["tags"] = tagged(held.record.tags, edit.tags, new_id=stamp.new_id)
    if edit.status != LOCKED and not changes:
        return Plan(subject=held.record)
    artifact = msgspec.structs.replace(held.record, **changes, updated_at=stamp.now_s)
    if edit.status != LOCKED:
        return Plan(subject=artifact, writes=(Save(record=artifact, expected=held.version),))
    locked, writes = lock(Held(artifact, held.version), repository=repository, stamp=stamp)
    return Plan(subject=locked, writes=writes)


def lock(
    held: Held[Artifact], *, repository: Held[Repository] | None, stamp: Stamp
) -> tuple[Artifact, tuple[Save, ...]]:
    """A draft as the next version of its repository, and the writes that make it so.

    Raises:
        UnfitError: It lacks something that every run needs, or has no repository.
    """
    artifact = held.record
    check_complete(artifact)
    if repository is None:
        raise UnfitError(f"Artifact {artifact.id} has no repository to count its versions in.")
    version = repository.record.last_version + 1
    counted = msgspec.structs.replace(
        repository.record, last_version=version, updated_at=stamp.now_s
    )
    locked = msgspec.structs.replace(
        artifact, status=LOCKED, version=version, updated_at=stamp.now_s
    )
    return locked, (
        Save(record=locked, expected=held.version),
        Save(record=counted, expected=repository.version),
    )


def clone_artifact(
    original: Artifact, name: str, *, stamp: Stamp, permits: Permits = _ANYTHING
) -> Plan[Artifact]:
    """A new draft with everything that another artifact says, in the same repository.

    Raises:
        RuleError: See `check_content`: what the original may say is not what the caller may say.
    """
    check_content(original.type, original.spec, permits=permits)
    clone = Artifact(
        id=stamp.new_id(),
        name=name,
        description=original.description,
        type=original.type,
        repository_id=original.repository_id,
        spec=original.spec,
        tags=original.tags,
        creator_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(subject=clone, writes=(Save(record=clone, expected=0),))


def delete_artifact(
    held: Held[Artifact], *, users: Collection[str], stamp: Stamp
) -> Plan[Artifact]:
    """Soft delete of a draft that nothing uses.

    Args:
        held: The artifact.
        users: Ids of the live workloads that refer to it, themselves or with a proton.
        stamp: Who, when.

    Raises:
        StateError: It is locked, or workloads use it; their ids are named.
    """
    artifact = held.record
    if artifact.status == LOCKED:
        raise StateError(f"Artifact {artifact.id} is locked and can never be deleted.")
    if users:
        ids = ", ".join(sorted(users))
        raise StateError(f"Artifact {artifact.id} is in use by workloads {ids}: delete them first.")
    gone = msgspec.structs.replace(artifact, deleted_at=stamp.now_s, updated_at=stamp.now_s)
    return Plan(subject=gone, writes=(Save(record=gone, expected=held.version),))


def check_complete(artifact: Artifact) -> None:
    """That an artifact can run.

    Raises:
        UnfitError: It has no container that receives traffic, or one without an image.
    """
    if artifact.spec.primary() is None:
        raise UnfitError(
            f"Artifact {artifact.id} has no primary container:"
            " give spec.containerGroups one with an imageUri and a port."
        )
    for group in artifact.spec.container_groups:
        for container in group.containers:
            if container.image_uri is None:
                raise UnfitError(
                    f"Container {container.name!r} of artifact {artifact.id} has no"
                    " runtime_image_uri: this deployment builds no images, so give an imageUri."
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
