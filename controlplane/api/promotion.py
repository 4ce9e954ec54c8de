"""Route that takes a draft to production: `POST /workloads/{id}/promote`."""

from typing import Final

from fastapi import APIRouter

from controlplane.api.call import PlainCall
from controlplane.api.counted import settle
from controlplane.api.errors import RESPONSES
from controlplane.api.present import present
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import promotion as rules
from controlplane.lifecycle.plans import Plan
from controlplane.model.artifacts import Repository
from controlplane.model.workloads import Workload
from controlplane.wire.workloads import Empty, WorkloadFormatted

router: Final = APIRouter(tags=["workloads"], responses=RESPONSES)


@router.post("/{workload_id}/promote", status_code=202, response_model=WorkloadFormatted)
async def promote_workload(
    call: PlainCall, workload_id: str, body: Empty | None = None
) -> WorkloadFormatted:
    """Lock the draft artifact that a workload runs, in place.

    The artifact gets the next version of its repository, the workload expires no more, its
    statistics begin anew and its history gets an entry. No replica restarts. It needs the role
    OWNER on the artifact, too.
    """

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        access.require(call.user, now.artifact.record, access.OWNERS)
        home = now.artifact.record.repository_id
        return rules.promote_workload(
            now,
            repository=None if home is None else call.services.held(Repository, home),
            stamp=call.stamp(),
        )

    await settle(call.services, present(call, workload_id).workload.record)
    outcome = await carry_out(call, plan, insist=True)
    call.tag(outcome.version)
    return Views(call).workload(outcome.record)
