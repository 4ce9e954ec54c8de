"""What the lifecycle needs to know about a workload before it plans anything."""

import contextlib
from collections.abc import AsyncIterator

from controlplane.api.call import Call
from controlplane.api.views import Views
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import Held, NotFoundError
from controlplane.lifecycle.rules import Limits
from controlplane.lifecycle.workloads import Present
from controlplane.model.artifacts import Artifact
from controlplane.model.people import Credential
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
        beside=[
            Held(other, call.services.mirror.version(Proton, other.id))
            for other in call.services.protons[workload_id].values()
            if other.id != record.active_proton_id
        ],
    )


def limits(call: Call) -> Limits:
    """The installation's limits."""
    api = call.services.settings.api
    return Limits(
        concurrent_workloads=api.max_concurrent_workloads,
        workload_replicas=api.max_workload_replicas,
        credentials=call.services.mirror.all(Credential),
        draft_ttl_s=api.draft_ttl_s,
        offer=call.services.offer(),
    )


@contextlib.asynccontextmanager
async def one_at_a_time(call: Call) -> AsyncIterator[None]:
    """Around everything that may start a workload, where their number is limited.

    Of two starts at once both would find room. The lock is this process's: API processes beside
    each other may together exceed the limit by what they start within the same milliseconds.
    """
    if not limits(call).concurrent_workloads:
        yield
        return
    async with call.services.starts:
        yield
