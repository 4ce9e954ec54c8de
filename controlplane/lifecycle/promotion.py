"""Promote: from a draft that lives for hours to production, without a restart.

what             before                      after
---------------  --------------------------  ------------------------------------------
artifact         draft                       locked, next version of its repository
lifetime         `api.draft_ttl_s`           for ever
statistics       since creation              since now
history                                      one entry, completed
proton           runs                        the same one runs on, with every replica
id, endpoint, sharing, runtime, importance   untouched
"""

import msgspec

from controlplane.lifecycle.artifacts import DRAFT, lock
from controlplane.lifecycle.plans import Held, Plan, Save, Stamp, UnfitError
from controlplane.lifecycle.underway import is_under_way
from controlplane.lifecycle.workloads import Present
from controlplane.model.artifacts import Repository
from controlplane.model.events import EventType
from controlplane.model.states import Desired, ReplacementStatus
from controlplane.model.workloads import Replacement, Workload


def promote_workload(
    present: Present, *, repository: Held[Repository] | None, stamp: Stamp
) -> Plan[Workload]:
    """Lock a running draft in place.

    Args:
        present: The workload with its proton and artifact.
        repository: The artifact's.
        stamp: Who, when.

    Raises:
        UnfitError: The artifact is no draft, or is not what runs; nothing runs; a replacement is
            under way; or the artifact cannot be locked.
    """
    workload, version = present.workload
    artifact = present.artifact.record
    if artifact.status != DRAFT:
        raise UnfitError(
            f"Artifact {artifact.id} is not a draft but locked as version {artifact.version}:"
            f" workload {workload.id} is in production already."
        )
    if is_under_way(workload.replacement):
        raise UnfitError(
            f"A replacement of workload {workload.id} is in progress: wait for its end, or cancel"
            " it, then promote."
        )
    if present.proton is None or workload.desired is Desired.STOPPED:
        raise UnfitError(
            f"Workload {workload.id} has no active proton: start it, see that it works, then"
            " promote."
        )
    proton = present.proton.record
    if artifact.spec != proton.spec:
        raise UnfitError(
            f"Draft artifact {artifact.id} was edited since proton {proton.id} started, so what"
            " runs is not what would be locked: stop and start the workload, then promote."
        )
    locked, locking = lock(present.artifact, repository=repository, stamp=stamp)
    promoted = msgspec.structs.replace(
        workload,
        expires_at=None,
        expiry_told=False,
        stats_since=stamp.now_s,
        updated_at=stamp.now_s,
    )
    record = Replacement(
        id=stamp.new_id(),
        workload_id=workload.id,
        name=workload.name,
        user_id=stamp.actor_id,
        origin="promote",
        status=ReplacementStatus.COMPLETED,
        status_at=stamp.now_s,
        candidate_artifact_id=artifact.id,
        candidate_proton_id=proton.id,
        previous_artifact_id=artifact.id,
        runtime=workload.runtime,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
        switched_at=stamp.now_s,
        ended_at=stamp.now_s,
        message=f"Promoted: artifact {artifact.id} is locked as version {locked.version}.",
    )
    return Plan(
        subject=promoted,
        writes=(Save(record=promoted, expected=version), *locking),
        events=(
            stamp.event(
                workload.id,
                EventType.WORKLOAD_PROMOTED,
                artifactId=artifact.id,
                version=locked.version,
                protonId=proton.id,
            ),
        ),
        history=(record,),
    )
