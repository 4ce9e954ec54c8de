"""Routes of statistics: of one workload, over time, of many, and their reset."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query

from controlplane import audit
from controlplane.api.call import Call, ListCall
from controlplane.api.counted import counted, retention_s, rewrite, settle
from controlplane.api.errors import RESPONSES
from controlplane.api.queries import WorkloadFilters
from controlplane.api.turns import in_turns
from controlplane.api.views import Views
from controlplane.api.workloads import find_workloads
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle.overviews import Totals
from controlplane.lifecycle.plans import NotFoundError, Plan, Save
from controlplane.lifecycle.resets import Part
from controlplane.lifecycle.series import piece_tiles, pieces, series_start
from controlplane.lifecycle.statistics import (
    NUMBERS,
    Asked,
    Horizon,
    Metric,
    RangeError,
    Window,
    names,
    numbers,
    tiles,
    total,
    value,
    window,
)
from controlplane.lifecycle.statistics import counted as counted_window
from controlplane.model.events import EVENTS_KEPT, EventType
from controlplane.model.kinds import Kind
from controlplane.model.workloads import Proton, Workload
from controlplane.store.statistics import Statistics
from controlplane.wire.base import maybe_timestamp, whole
from controlplane.wire.deployments import DeploymentMetrics, DeploymentStats
from controlplane.wire.statistics import (
    MetricsShape,
    PeriodShape,
    ResetQuery,
    SeriesBucket,
    SeriesFormatted,
    SeriesQuery,
    SeriesSummary,
    StatsFormatted,
    StatsQuery,
    TotalsFormatted,
)

router: Final = APIRouter(tags=["statistics"], responses=RESPONSES)

_VALUE_DIGITS: Final = 6


@router.get("/stats", response_model=TotalsFormatted)
async def get_totals(call: ListCall, query: Annotated[WorkloadFilters, Query()]) -> TotalsFormatted:
    """Requests to all workloads that fit, in the last 24 hours.

    Counted are those of workloads on which the caller is an owner or user.
    """
    found = find_workloads(call, query)
    views = Views(call)
    services = call.services
    active, readable = 0, []
    async for workload in in_turns(found):
        active += views.workload_status(workload).ready_replicas > 0
        if access.role_on(call.user, workload) in access.READERS:
            readable.append(workload)
    statistics = Statistics(services.store)
    summaries = await statistics.summaries([w.id for w in readable])
    totals = Totals(now_s=services.clock())
    async for workload in in_turns(readable):
        summary = statistics.summary_of(workload.id, summaries[workload.id])
        if summary.since == workload.stats_since:
            totals.add(summary)
    return TotalsFormatted.of(totals.compared(), total=len(found), active=active)


@router.get("/{workload_id}/stats", response_model=StatsFormatted)
async def get_stats(
    call: ListCall, workload_id: str, query: Annotated[StatsQuery, Query()]
) -> StatsFormatted:
    """Requests to the active proton, or to `protonId`, as the gateways counted them.

    Without times: since the proton's start or the statistics' reset, as far as they are kept. The
    period in the answer is what was counted: it begins and ends at whole minutes in the last 3
    hours, at whole hours in the last 8 days, else at whole days.
    """
    workload = call.workload(workload_id, access.READERS).record
    proton_id = await _proton_id(call, workload, query.proton_id)
    horizon = horizon_of(call, workload, proton_id)
    span = window(query.start_time, query.end_time, horizon)
    covering = tiles(span, horizon)
    fields = names(covering, [] if proton_id is None else [proton_id])
    found = await counted(call.services, workload, fields)
    period = counted_window(covering, span, horizon)
    return StatsFormatted(
        period=PeriodShape.of(period),
        metrics=MetricsShape.of(numbers(total(found.buckets, fields), period, query.asked())),
    )


@router.get("/{workload_id}/stats/{metric_name}", response_model=SeriesFormatted)
async def get_series(
    call: ListCall,
    workload_id: str,
    metric_name: Metric,
    query: Annotated[SeriesQuery, Query()],
) -> SeriesFormatted:
    """One number over time. Buckets are whole, but the running one ends now.

    Minutes are kept for 3 hours, hours for 8 days, days for 30; of drafts everything for 24 hours.
    """
    workload = call.workload(workload_id, access.READERS).record
    proton_id = await _proton_id(call, workload, query.proton_id)
    horizon = horizon_of(call, workload, proton_id)
    span = window(query.start_time, query.end_time, horizon)
    if span.end_s > horizon.floor_s:
        start_s = series_start(query.start_time, query.resolution, horizon)
        if start_s >= span.end_s:
            raise RangeError(
                f"Buckets of {query.resolution} do not reach back to endTime: ask for a later one,"
                " or for a longer resolution."
            )
        span = Window(max(start_s, span.start_s), span.end_s)
        parts = pieces(span, query.resolution)
    else:
        parts = []
    protons = [] if proton_id is None else [proton_id]
    fields = [names(piece_tiles(piece, query.resolution), protons) for piece in parts]
    found = await counted(call.services, workload, [name for row in fields for name in row])
    asked = query.asked()
    buckets = []
    for piece, row in zip(parts, fields, strict=True):
        bucket = total(found.buckets, row)
        lived = Window(max(piece.start_s, horizon.since_s), piece.end_s)
        got = value(metric_name, numbers(bucket, lived, asked), ended=bucket.ended)
        buckets.append(
            SeriesBucket(
                period=PeriodShape.of(piece),
                value=None if got is None else whole(round(got, _VALUE_DIGITS)),
            )
        )
    covered = Window(parts[0].start_s, parts[-1].end_s) if parts else span
    return SeriesFormatted(
        metric=metric_name,
        summary=SeriesSummary(proton_id=proton_id, period=PeriodShape.of(covered)),
        buckets=buckets,
    )


@router.delete("/{workload_id}/stats", status_code=204)
async def reset_stats(
    call: ListCall, workload_id: str, query: Annotated[ResetQuery, Query()]
) -> None:
    """Forget what was counted: all of it, or a stretch of time, a proton, a number.

    Requests that the gateways have not reported yet, half a second at most, count after it.
    """
    workload = call.workload(workload_id, access.OWNERS).record
    if query.proton_id is not None:
        await _proton_id(call, workload, query.proton_id)
    services = call.services
    # Whatever is wrong with the times is an error here as it is where they are read.
    horizon = Horizon(since_s=workload.created_at, retention_s=0, now_s=services.clock())
    window(query.start_time, query.end_time, horizon)
    details = {
        "protonId": query.proton_id,
        "startTime": maybe_timestamp(query.start_time),
        "endTime": maybe_timestamp(query.end_time),
        "metricName": query.metric_name,
    }
    if not any(value is not None for value in details.values()):
        await settle(services, workload)
        await carry_out(call, lambda: _begin_anew(call, workload_id, details), insist=True)
        return
    await rewrite(
        services,
        workload,
        reset=Part(
            numbers=None if query.metric_name is None else NUMBERS[query.metric_name],
            proton_id=query.proton_id,
            start_s=query.start_time,
            end_s=query.end_time,
        ),
    )
    stamp = call.stamp()
    event = stamp.event(workload.id, EventType.STATISTICS_RESET, **details)
    line = audit.AuditLine(
        id=stamp.new_id(),
        at=stamp.now_s,
        by=call.by(),
        kind=Kind.WORKLOAD,
        record_id=workload.id,
        record_name=workload.name,
        action="updated",
        changes=(audit.FieldChange(field="statistics", after=details),),
    )
    await services.store.commit(
        [],
        journal=[
            (f"events:{workload.id}", msgspec.json.encode(event), EVENTS_KEPT),
            *audit.entries([line], keep=services.settings.api.audit_kept),
        ],
    )
    audit.log([line])


def _begin_anew(call: Call, workload_id: str, details: Mapping[str, object]) -> Plan[Workload]:
    """A reset of everything: what is stored is void, and the period begins now."""
    workload, version = call.workload(workload_id, access.OWNERS)
    stamp = call.stamp()
    reset = msgspec.structs.replace(workload, stats_since=stamp.now_s, updated_at=stamp.now_s)
    return Plan(
        subject=reset,
        writes=(Save(record=reset, expected=version),),
        events=(stamp.event(workload_id, EventType.STATISTICS_RESET, **details),),
    )


async def deployment_stats(call: Call, workload: Workload) -> DeploymentStats:
    """The statistics of the old family: of a whole workload, as long as they are kept."""
    services = call.services
    horizon = horizon_of(call, workload, None)
    span = window(None, None, horizon)
    covering = tiles(span, horizon)
    known = (await Statistics(services.store).summary(workload.id)).protons
    fields = names(covering, {*known, *services.protons[workload.id]})
    found = await counted(services, workload, fields)
    bucket = total(found.buckets, fields)
    period = counted_window(covering, span, horizon)
    metrics = MetricsShape.of(numbers(bucket, period, Asked()))
    return DeploymentStats(
        period=PeriodShape.of(period),
        metrics=DeploymentMetrics(
            **metrics.model_dump(by_alias=False),
            queued_requests=found.queued,
            refused_requests=bucket.refused,
            aborted_requests=bucket.aborted,
            cold_starts=bucket.cold_starts,
        ),
    )


def horizon_of(call: Call, workload: Workload, proton_id: str | None) -> Horizon:
    """What a workload's statistics, or those of one proton, can speak of."""
    services = call.services
    proton = None if proton_id is None else services.mirror.get(Proton, proton_id)
    since_s = workload.created_at if workload.stats_since is None else workload.stats_since
    if proton is not None:
        since_s = max(since_s, proton.created_at)
    now_s = services.clock()
    return Horizon(
        # A clock that is ahead of ours may have written the record.
        since_s=min(since_s, now_s),
        retention_s=retention_s(services, workload),
        now_s=now_s,
    )


async def _proton_id(call: Call, workload: Workload, asked: str | None) -> str | None:
    """The proton that is asked for; one that is gone is known as long as its numbers are."""
    if asked is None:
        return workload.active_proton_id
    proton = call.services.mirror.get(Proton, asked)
    if proton is None:
        known = asked in (await Statistics(call.services.store).summary(workload.id)).protons
    else:
        known = proton.workload_id == workload.id
    if not known:
        raise NotFoundError(f"Workload {workload.id} has no proton {asked}.")
    return asked
