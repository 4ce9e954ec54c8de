"""Routes of deployments, v2.41's wrapper of a workload; both families serve them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import (
    Page,
    Sorting,
    importance_rank,
    matches,
    name_key,
    page_of,
    status_rank,
)
from controlplane.api.present import present
from controlplane.api.queries import DeploymentQuery, NewDeploymentQuery, OldDeploymentQuery
from controlplane.api.statistics import deployment_stats
from controlplane.api.views import Views
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import deployments as rules
from controlplane.lifecycle.plans import Plan
from controlplane.model.workloads import Deployment, Workload
from controlplane.wire.deployments import (
    DeploymentFormatted,
    DeploymentInput,
    DeploymentPatch,
    DeploymentStats,
)

common: Final = APIRouter(tags=["deployments"], responses=RESPONSES)
"""Routes that both families have alike."""
new: Final = APIRouter(tags=["deployments"], responses=RESPONSES)
old: Final = APIRouter(tags=["deployments"], responses=RESPONSES)


@common.post("", status_code=201, response_model=DeploymentFormatted)
async def create_deployment(call: PlainCall, body: DeploymentInput) -> DeploymentFormatted:
    """Give a workload whose artifact is locked an invoke URL of its own."""

    def plan() -> Plan[Deployment]:
        now = present(call, body.workload_id)
        return rules.create_deployment(
            rules.DeploymentContent(
                name=body.name,
                description=body.description or "",
                importance=body.importance,
            ),
            workload=now.workload,
            artifact=now.artifact.record,
            stamp=call.stamp(),
        )

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).deployment(outcome.record)


@new.get("", response_model=Page[DeploymentFormatted])
async def list_deployments(
    call: ListCall, query: Annotated[NewDeploymentQuery, Query()]
) -> dict[str, Any]:
    """Deployments of workloads on which the caller has a role."""
    return await _list(call, query)


@old.get("", response_model=Page[DeploymentFormatted])
async def list_console_deployments(
    call: ListCall, query: Annotated[OldDeploymentQuery, Query()]
) -> dict[str, Any]:
    """Deployments of workloads on which the caller has a role."""
    return await _list(call, query)


@common.get("/{deployment_id}", response_model=DeploymentFormatted)
async def get_deployment(call: PlainCall, deployment_id: str) -> DeploymentFormatted:
    """One deployment."""
    held = call.deployment(deployment_id, access.ANYONE)
    call.tag(held.version)
    return Views(call).deployment(held.record)


@common.patch("/{deployment_id}", response_model=DeploymentFormatted)
async def edit_deployment(
    call: PlainCall, deployment_id: str, body: DeploymentPatch
) -> DeploymentFormatted:
    """Change name, description or importance."""

    def plan() -> Plan[Deployment]:
        held = call.deployment(deployment_id, access.OWNERS)
        call.check_if_match(held)
        edit = rules.DeploymentEdit(
            name=body.name, description=body.description, importance=body.importance
        )
        return rules.edit_deployment(held, edit, stamp=call.stamp())

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return Views(call).deployment(outcome.record)


@common.delete("/{deployment_id}", status_code=204)
async def delete_deployment(call: PlainCall, deployment_id: str) -> None:
    """Delete a deployment; its workload runs on."""

    def plan() -> Plan[Deployment]:
        held = call.deployment(deployment_id, access.OWNERS)
        call.check_if_match(held)
        return rules.delete_deployment(held, stamp=call.stamp())

    await carry_out(call, plan)


@common.get("/{deployment_id}/stats", response_model=DeploymentStats)
async def get_deployment_stats(call: PlainCall, deployment_id: str) -> DeploymentStats:
    """Requests of the deployment's workload, by whichever URL they came, over all its protons.

    They count since the workload's creation, or the last reset of its statistics.
    """
    held = call.deployment(deployment_id, access.READERS)
    workload = call.workload(held.record.workload_id, access.READERS).record
    return await deployment_stats(call, workload)


async def _list(call: Call, query: DeploymentQuery) -> dict[str, Any]:
    views = Views(call)
    found = [
        deployment
        for deployment in call.services.mirror.all(Deployment).values()
        if deployment.deleted_at is None
        and _visible(call, deployment)
        and (not query.ids or deployment.id in query.ids)
        and (not query.importance or deployment.importance in query.importance)
        and query.workload_id in {None, deployment.workload_id}
        and query.created_by in {None, deployment.creator_id}
        and matches(
            query.search,
            name=deployment.name,
            description=deployment.description,
            record_id=deployment.id,
        )
    ]
    sorting = Sorting[Deployment](
        keys={
            "name": lambda d: name_key(d.name),
            "createdAt": lambda d: d.created_at,
            "updatedAt": lambda d: d.updated_at,
            "status": lambda d: status_rank(views.deployment_state(d)),
            "importance": lambda d: importance_rank(d.importance),
        }
    )
    return await page_of(call, query, found, sorting=sorting, view=views.deployment)


def _visible(call: Call, deployment: Deployment) -> bool:
    workload = call.services.mirror.get(Workload, deployment.workload_id)
    return workload is not None and access.role_on(call.user, workload) is not None
