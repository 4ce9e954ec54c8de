"""Routes of agent cards: what an agent says about itself at its well-known path (A2A).

The card is asked for through the gateway, at the workload's invoke URL and with the caller's own
token, so that whoever may not invoke an agent does not see its card. That wakes an agent at zero
replicas: asking for one by its id does, listing all does not. Nothing is kept here.
"""

import asyncio
import contextlib
from typing import Annotated, Any, Final

import httpx2
import msgspec
from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import NewPage, Page, envelope
from controlplane.api.views import Views
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import NotFoundError, RuleError, StateError
from controlplane.model.artifacts import Artifact
from controlplane.model.states import ProtonState
from controlplane.model.workloads import Workload
from controlplane.wire.base import ErrorShape
from controlplane.wire.related import AgentCardEntry, AgentCardFilters

workload_router: Final = APIRouter(tags=["agents"], responses=RESPONSES)
list_router: Final = APIRouter(tags=["agents"], responses=RESPONSES)

AGENT: Final = "agent"
"""The type of artifact that has cards."""

PATHS: Final = (".well-known/agent-card.json", ".well-known/agent.json")
"""Where agents serve their cards: A2A's path since 0.3, and the one before."""

TIMEOUT_S: Final = 20.0
"""For one card, cold start included; the contract's clients wait 30 s for the list."""

MAX_CARD_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
"""Objects and lists inside each other."""


class AgentCardQuery(AgentCardFilters, NewPage):
    """Query of the agent card list."""


class BadCombinationError(RuleError):
    """Parameters that exclude each other."""

    status = 400


@workload_router.get(
    "/{workload_id}/agentCard",
    response_model=dict[str, Any],
    responses={
        409: {"model": ErrorShape, "description": "No answer now, or one that is no card."},
    },
)
async def get_agent_card(call: PlainCall, workload_id: str) -> dict[str, Any]:
    """The card of an agent, as it serves it now; this wakes an agent at zero replicas."""
    workload = call.workload(workload_id, access.ANYONE).record
    kind = _type(call, workload)
    if kind != AGENT:
        raise NotFoundError(
            f"Workload {workload_id} has no agent card: its artifact is of type {kind}."
        )
    return await _card(call, workload)


@list_router.get("", response_model=Page[AgentCardEntry])
async def list_agent_cards(
    call: ListCall, query: Annotated[AgentCardQuery, Query()]
) -> dict[str, Any]:
    """Agents on which the caller has a role, oldest first, with their cards.

    Without ids only agents that run are asked for their cards; with ids all of them are, and wake
    up for it.
    """
    wanted = _wanted(call, query)
    page = wanted[query.offset : query.offset + query.limit]
    asked = query.workload_ids is not None or query.deployment_ids is not None
    entries = await asyncio.gather(
        *(_entry(call, workload, deployment, wake=asked) for workload, deployment in page)
    )
    return envelope(
        call.request, entries, total=len(wanted), offset=query.offset, limit=query.limit
    )


def _wanted(call: Call, query: AgentCardQuery) -> list[tuple[Workload, str | None]]:
    """Agents, each with the deployment by which it was asked for."""
    if query.workload_ids is not None and query.deployment_ids is not None:
        raise BadCombinationError("Give workloadIds or deploymentIds, not both.")
    if query.external_ids is not None:
        return []
    services = call.services
    found: list[tuple[Workload, str | None]] = []
    for workload in services.live_workloads():
        if access.role_on(call.user, workload) is None or _type(call, workload) != AGENT:
            continue
        if query.deployment_ids is not None:
            found += [
                (workload, deployment.id)
                for deployment in services.deployments[workload.id].values()
                if deployment.deleted_at is None and deployment.id in query.deployment_ids
            ]
        elif query.workload_ids is None or workload.id in query.workload_ids:
            found.append((workload, None))
    return sorted(found, key=lambda pair: (pair[0].created_at, pair[0].id, pair[1] or ""))


async def _entry(
    call: Call, workload: Workload, deployment_id: str | None, *, wake: bool
) -> AgentCardEntry:
    card: dict[str, Any] | None = None
    message = ""
    state = Views(call).workload_state(workload)
    if wake or state is ProtonState.RUNNING:
        try:
            card = await _card(call, workload)
        except RuleError as exc:
            message = str(exc)
    else:
        message = f"Workload {workload.id} is {state}: ask for its card by its id to wake it."
    return AgentCardEntry(
        id=workload.id,
        name=workload.name,
        workload_id=workload.id if deployment_id is None else None,
        deployment_id=deployment_id,
        agent_card=card,
        message=message,
    )


def _type(call: Call, workload: Workload) -> str | None:
    artifact = call.services.mirror.get(Artifact, workload.artifact_id)
    return None if artifact is None else artifact.type


async def _card(call: Call, workload: Workload) -> dict[str, Any]:
    """An agent's card.

    Raises:
        NotFoundError: The agent serves none.
        StateError: It does not answer now, or not with a card.
    """
    endpoint = Views(call).endpoint("workloads", workload.id, inside=True)
    headers = {"Authorization": call.request.headers["authorization"]}
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=None) as client,
        ):
            for path in PATHS:
                status, body = await _fetch(client, f"{endpoint}{path}")
                if status != httpx2.codes.NOT_FOUND:
                    return _checked(workload, status, body)
    except TimeoutError as exc:
        raise StateError(
            f"Workload {workload.id} did not give its agent card within {TIMEOUT_S:g} s: look at"
            " its status, then try again."
        ) from exc
    except httpx2.HTTPError as exc:
        raise StateError(f"Workload {workload.id} cannot be asked for its card: {exc}.") from exc
    raise NotFoundError(f"Workload {workload.id} serves no agent card at /{' or /'.join(PATHS)}.")


async def _fetch(client: httpx2.AsyncClient, url: str) -> tuple[int, bytes]:
    async with client.stream("GET", url) as response:
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_CARD_BYTES:
                break
        return response.status_code, body


def _checked(workload: Workload, status: int, body: bytes) -> dict[str, Any]:
    if status != httpx2.codes.OK:
        raise StateError(f"Workload {workload.id} answered {status} when asked for its agent card.")
    card: object = None
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        card = msgspec.json.decode(body)
    if len(body) > MAX_CARD_BYTES or not isinstance(card, dict) or not _is_shallow(card):
        raise StateError(
            f"What workload {workload.id} serves as its agent card is no JSON object of at most"
            f" {MAX_CARD_BYTES} bytes and {MAX_DEPTH} levels."
        )
    return card


def _is_shallow(value: object, left: int = MAX_DEPTH) -> bool:
    """Whether answers can hold a value: they cannot be nested without end."""
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or (
        left > 0 and all(_is_shallow(item, left - 1) for item in value)
    )
