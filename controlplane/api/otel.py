"""Reading telemetry: a workload's logs, traces and metrics. Roles that may read its settings may.

Where no telemetry is kept (`telemetry.max_bytes` is 0) there is none: empty lists.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Path, Query

from controlplane.api.call import Call, ListCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import link
from controlplane.api.platform_values import HOUR_S, platform_values
from controlplane.lifecycle import access
from controlplane.lifecycle.plans import NotFoundError, UnfitError
from controlplane.model.workloads import Workload
from controlplane.telemetry import queries
from controlplane.telemetry.archive import SlowQueryError
from controlplane.telemetry.queries import Found, Window
from controlplane.wire.base import timestamp
from controlplane.wire.otel import (
    LogFormatted,
    LogPage,
    MetricFormatted,
    MetricPage,
    MetricValueFormatted,
    MetricValues,
    PlatformValues,
    SpanFormatted,
    TraceDetail,
    TraceFormatted,
    TracePage,
)
from controlplane.wire.otel_queries import (
    InWindow,
    LogParameters,
    MetricParameters,
    SpanParameters,
    TraceParameters,
    ValueParameters,
)

router: Final = APIRouter(tags=["telemetry"], responses=RESPONSES)

EntityType = Annotated[Literal["workload"], Path(alias="entityType")]
EntityId = Annotated[str, Path(alias="entityId", description="The workload's id.")]

T = TypeVar("T")

_BASE: Final = "/otel/{entityType}/{entityId}"


@router.get(f"{_BASE}/logs", response_model=LogPage)
async def list_otel_logs(
    call: ListCall,
    entity_type: EntityType,
    entity_id: EntityId,
    query: Annotated[LogParameters, Query()],
) -> dict[str, Any]:
    """Log lines of a workload, newest first: its replicas' output, and what they send by OTLP.

    A page ends at `limit` lines or 4 MiB of them: follow `next`.
    """
    workload = _readable(call, entity_id)
    wanted = query.query(workload.id)
    found = await _read(
        call, lambda db: queries.find_logs(db, wanted, offset=query.offset, limit=query.limit)
    )
    return _page(call, found, LogFormatted.of, query)


@router.get(f"{_BASE}/traces", response_model=TracePage)
async def list_otel_traces(
    call: ListCall,
    entity_type: EntityType,
    entity_id: EntityId,
    query: Annotated[TraceParameters, Query()],
) -> dict[str, Any]:
    """Traces of a workload, newest first."""
    workload = _readable(call, entity_id)
    wanted = query.query(workload.id)
    found = await _read(
        call, lambda db: queries.find_traces(db, wanted, offset=query.offset, limit=query.limit)
    )
    return _page(call, found, TraceFormatted.of, query)


@router.get(f"{_BASE}/traces/{{traceId}}", response_model=TraceDetail)
async def get_otel_trace(
    call: ListCall,
    entity_type: EntityType,
    entity_id: EntityId,
    trace_id: Annotated[str, Path(alias="traceId")],
    query: Annotated[SpanParameters, Query()],
) -> dict[str, Any]:
    """One trace with its spans, the gateway's among them.

    A page ends at `limit` spans or 4 MiB of them: follow `next`.
    """
    workload = _readable(call, entity_id)
    wanted = trace_id.lower()

    def find(db: sqlite3.Connection) -> tuple[sqlite3.Row | None, Found]:
        db.execute("BEGIN")  # both as they were together
        return queries.find_trace(db, workload.id, wanted), queries.find_spans(
            db, workload.id, wanted, offset=query.offset, limit=query.limit
        )

    trace, found = await _read(call, find) or (None, None)
    if trace is None:
        raise NotFoundError(f"Workload {workload.id} has no trace {trace_id[:64]}.")
    page = _page(call, found, SpanFormatted.of, query)
    told = TraceFormatted.of(trace)
    return {
        "trace_id": told.trace_id,
        "root_span_name": told.root_span_name,
        "root_service_name": told.root_service_name,
        "timestamp": told.timestamp,
        "duration": told.duration,
        "span_count": told.spans_count,
        "error_spans_count": told.error_spans_count,
        "total_count": told.spans_count,
        "next": page["next"],
        "previous": page["previous"],
        "spans": page["data"],
    }


@router.get(f"{_BASE}/metrics", response_model=MetricPage)
@router.get(
    f"{_BASE}/metrics/summary", response_model=MetricPage, operation_id="summarizeOtelMetrics"
)
async def list_otel_metrics(
    call: ListCall,
    entity_type: EntityType,
    entity_id: EntityId,
    query: Annotated[MetricParameters, Query()],
) -> dict[str, Any]:
    """Metrics that a workload reports, by name."""
    workload = _readable(call, entity_id)
    rows = await _read(call, lambda db: queries.metric_names(db, workload.id))
    found = [
        MetricFormatted.of(row)
        for row in rows or []
        if (query.search is None or query.search in row["name"])
        and query.metric_type in {None, row["type"]}
    ]
    return {"count": len(found), "data": found}


@router.get(f"{_BASE}/metrics/values", response_model=MetricValues)
async def get_otel_metric_values(
    call: ListCall,
    entity_type: EntityType,
    entity_id: EntityId,
    query: Annotated[ValueParameters, Query()],
) -> dict[str, Any]:
    """What the metrics that a workload reports say over a window, by default the last hour."""
    workload = _readable(call, entity_id)
    window = _with_ends(query.window(workload.id), call.services.clock())
    found = await _read(call, lambda db: queries.metric_values(db, window))
    return {
        **_ends(window),
        "metric_aggregations": [
            MetricValueFormatted.of(value, buckets=query.histogram_buckets) for value in found or []
        ],
    }


@router.get(f"{_BASE}/metrics/autocollectedValues", response_model=PlatformValues)
async def get_otel_platform_values(
    call: ListCall,
    entity_type: EntityType,
    entity_id: EntityId,
    query: Annotated[InWindow, Query()],
) -> dict[str, Any]:
    """What the platform itself knows: requests of the last hour, load, replicas, CPU, memory."""
    workload = _readable(call, entity_id)
    now_s = call.services.clock()
    window = _with_ends(query.window(workload.id), now_s)
    values = await platform_values(call.services, workload, window, now_s=now_s)
    return {**_ends(window), "count": len(values), "data": values}


def _readable(call: Call, workload_id: str) -> Workload:
    return call.workload(workload_id, access.READERS).record


async def _read(call: Call, query: Callable[[sqlite3.Connection], T]) -> T | None:
    intake = call.services.intake
    if intake is None:
        return None
    try:
        async with call.services.otlp_reads:
            return await asyncio.to_thread(intake.archive.read, query)
    except SlowQueryError as exc:
        raise UnfitError(
            "This looks at more records than can be read in time: narrow it with startTime and"
            " endTime, or with fewer filters."
        ) from exc


def _page(
    call: Call,
    found: Found | None,
    form: Callable[[sqlite3.Row], T],
    query: LogParameters | TraceParameters | SpanParameters,
) -> dict[str, Any]:
    """A page: the next one begins after its last row, the one before ends at its first."""
    rows, more, before = found or Found([], more=False)
    # With the end of the window fixed: what comes meanwhile moves nothing.
    until = {}
    if isinstance(query, InWindow) and query.end_time is None:
        until["endTime"] = timestamp(call.services.clock())
    after = (query.offset + len(rows), query.limit) if more else None
    return {
        "count": len(rows),
        "next": link(call.request, *after, more=until) if after else None,
        "previous": link(call.request, *before, more=until) if before else None,
        "data": [form(row) for row in rows],
    }


def _with_ends(window: Window, now_s: float) -> Window:
    end_ns = int(now_s * 1_000_000) * 1000 if window.end_ns is None else window.end_ns
    start_ns = end_ns - HOUR_S * 10**9 if window.start_ns is None else window.start_ns
    return Window(workload_id=window.workload_id, start_ns=max(0, start_ns), end_ns=end_ns)


def _ends(window: Window) -> dict[str, str]:
    start_ns, end_ns = window.start_ns or 0, window.end_ns or 0
    return {
        "start_time": timestamp(min(start_ns / 1e9, _LAST_S)),
        "end_time": timestamp(min(end_ns / 1e9, _LAST_S)),
    }


_LAST_S: Final = 253_402_300_799.0
"""The end of the year 9999: the last time that can be written."""
