"""Deleting a repository takes its drafts with it, and nothing else."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from controlplane.lifecycle.artifacts import LOCKED
from controlplane.lifecycle.plans import Held, Plan, Save, Stamp, StateError
from controlplane.model.artifacts import Artifact, Repository

MOST_ARTIFACTS: Final = 900
"""That go in one commit: a store takes 1,000 writes at once."""


def delete_repository(
    held: Held[Repository],
    *,
    artifacts: Sequence[Held[Artifact]],
    in_use: Collection[str],
    stamp: Stamp,
) -> Plan[Repository]:
    """Soft delete of a repository with all its artifacts.

    Args:
        held: The repository.
        artifacts: All its live artifacts.
        in_use: Ids of artifacts that workloads or protons refer to.
        stamp: Who, when.

    Raises:
        StateError: It holds locked artifacts, or some in use: their ids are named; or too many.
    """
    repository = held.record
    locked = sorted(a.record.id for a in artifacts if a.record.status == LOCKED)
    if locked:
        raise StateError(
            f"Repository {repository.id} holds locked artifacts, which are never deleted:"
            f" {', '.join(locked)}."
        )
    used = sorted(a.record.id for a in artifacts if a.record.id in in_use)
    if used:
        raise StateError(
            f"Repository {repository.id} holds artifacts that workloads use: {', '.join(used)}."
            " Delete those workloads first."
        )
    if len(artifacts) > MOST_ARTIFACTS:
        raise StateError(
            f"Repository {repository.id} holds {len(artifacts)} artifacts, more than"
            f" {MOST_ARTIFACTS}: delete some of them first."
        )
    gone = msgspec.structs.replace(repository, deleted_at=stamp.now_s, updated_at=stamp.now_s)
    drafts = (
        Save(
            record=msgspec.structs.replace(
                artifact, deleted_at=stamp.now_s, updated_at=stamp.now_s
            ),
            expected=version,
        )
        for artifact, version in artifacts
    )
    return Plan(subject=gone, writes=(Save(record=gone, expected=held.version), *drafts))
