"""Routes of replacements: start, follow, cancel one; the history of all."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.journals import journal_page
from controlplane.api.pages import NewPage, OldPage, Page
from controlplane.api.present import limits, one_at_a_time, present
from controlplane.api.sights import evidence, patience, ready_replicas, situation
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import replacements as rules
from controlplane.lifecycle.candidates import Wanted, begin_replacement
from controlplane.lifecycle.plans import NotFoundError, Plan
from controlplane.lifecycle.underway import NONE_ACTIVE
from controlplane.model.workloads import Replacement, ReplacementConfig, Workload
from controlplane.wire.replacements import ReplacementFormatted, StartReplacement

common: Final = APIRouter(tags=["replacements"], responses=RESPONSES)
"""Routes that both families have alike."""
new: Final = APIRouter(tags=["replacements"], responses=RESPONSES)
old: Final = APIRouter(tags=["replacements"], responses=RESPONSES)


@common.post("/{workload_id}/replacement", status_code=202, response_model=ReplacementFormatted)
async def start_replacement(
    call: PlainCall, workload_id: str, body: StartReplacement
) -> ReplacementFormatted:
    """Put another artifact behind a workload, without a broken request.

    A candidate starts beside the active proton, warms up, takes its weight steps where there are
    any, and gets all traffic when it can take it; the old proton is kept for a while, then it
    drains. A candidate that fails leaves everything as it was.
    """

    def plan() -> Plan[Workload]:
        now = present(call, workload_id)
        call.check_if_match(now.workload)
        return begin_replacement(
            now,
            Wanted(
                artifact=call.artifact(body.artifact_id, access.READERS),
                runtime=None if body.runtime is None else body.runtime.to_model(),
                config=ReplacementConfig() if body.config is None else body.config.to_model(),
            ),
            active_ready=ready_replicas(call.services, now.workload.record),
            others=call.services.live_workloads(),
            limits=limits(call),
            stamp=call.stamp(),
        )

    async with one_at_a_time(call):
        outcome = await carry_out(call, plan, insist=True)
    call.tag(outcome.version)
    return formatted(call, outcome.record)


@common.get("/{workload_id}/replacement", response_model=ReplacementFormatted)
async def get_replacement(call: PlainCall, workload_id: str) -> ReplacementFormatted:
    """The replacement under way, or the last one if it failed."""
    held = call.workload(workload_id, access.READERS)
    call.tag(held.version)
    return formatted(call, held.record)


@common.delete("/{workload_id}/replacement", status_code=202, response_model=ReplacementFormatted)
async def cancel_replacement(call: PlainCall, workload_id: str) -> ReplacementFormatted:
    """Cancel the replacement under way; the old proton serves on.

    After the switch it goes back to the old proton, as long as that is kept.
    """
    services = call.services

    def plan() -> Plan[Workload]:
        held = call.workload(workload_id, access.OWNERS)
        call.check_if_match(held)
        found = situation(services, held)
        if found is None:
            raise NotFoundError(NONE_ACTIVE)
        return rules.cancel(
            found,
            evidence(services, found, reports=()),
            patience=patience(services.settings),
            stamp=call.stamp(),
        )

    outcome = await carry_out(call, plan, insist=True)
    return formatted(call, outcome.record)


@new.get("/{workload_id}/history", response_model=Page[ReplacementFormatted])
async def list_history(
    call: ListCall, workload_id: str, query: Annotated[NewPage, Query()]
) -> dict[str, Any]:
    """Everything that has been behind a workload: ended replacements and promotes, newest first."""
    return await _history(call, workload_id, query)


@old.get("/{workload_id}/history", response_model=Page[ReplacementFormatted])
async def list_console_history(
    call: ListCall, workload_id: str, query: Annotated[OldPage, Query()]
) -> dict[str, Any]:
    """Everything that has been behind a workload: ended replacements and promotes, newest first."""
    return await _history(call, workload_id, query)


def formatted(call: Call, workload: Workload) -> ReplacementFormatted:
    """The answer for a workload's replacement.

    Raises:
        NotFoundError: It has none.
    """
    if workload.replacement is None:
        raise NotFoundError(NONE_ACTIVE)
    return ReplacementFormatted.of(workload.replacement, call.family)


async def _history(call: Call, workload_id: str, query: NewPage | OldPage) -> dict[str, Any]:
    call.workload(workload_id, access.READERS)
    return await journal_page(
        call,
        f"history:{workload_id}",
        query,
        Replacement,
        lambda entry: ReplacementFormatted.of(entry, call.family),
    )
