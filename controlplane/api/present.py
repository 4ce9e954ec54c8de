"""What the lifecycle needs to know about a workload before it plans anything."""

from controlplane.api.call import Call
from controlplane.api.views import Views
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import Held, NotFoundError
from controlplane.lifecycle.rules import Limits
from controlplane.lifecycle.workloads import Present
from controlplane.model.artifacts import Artifact
from controlplane.model.workloads import Proton


def present(call: Call, workload_id: str) -> Present:
    """A workload of the caller's with its active proton, artifact and state.

    Raises:
        NotFoundError: No such workload.
        ForbiddenError: The caller is not an owner.
    """
    workload = call.workload(workload_id, access.OWNERS)
    record = workload.record
    artifact = call.services.held(Artifact, record.artifact_id)
    if artifact is None:
        raise NotFoundError(f"There is no artifact {record.artifact_id}.")
    active = Views(call).active_proton(record)
    proton: Held[Proton] | None = None
    if active is not None:
        proton = Held(active, call.services.mirror.version(Proton, active.id))
    return Present(
        workload=workload,
        proton=proton,
        artifact=artifact,
        state=Views(call).workload_status(record).state,
    )


def limits(call: Call) -> Limits:
    """The installation's limits."""
    api = call.services.settings.api
    return Limits(
        concurrent_workloads=api.max_concurrent_workloads,
        workload_replicas=api.max_workload_replicas,
    )
