"""Request numbers of a workload, from what the gateway workers report."""

from collections.abc import Iterable
from typing import Final

from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.wire.base import maybe_timestamp
from controlplane.wire.deployments import RequestMetrics, RequestStats, StatsPeriod

_MINUTE_S: Final = 60


def request_stats(reports: Iterable[LoadReport], workload_id: str, *, now_s: float) -> RequestStats:
    """Sum up one workload over all workers and protons.

    Args:
        reports: One of each live worker.
        workload_id: Whose numbers.
        now_s: Epoch seconds; the rate is that of the last whole minute before.

    Returns:
        Totals since each of these workers started, and what is under way now. Requests that the
        gateway refused (queue full, cold start too slow) count as errors, ones that a client
        abandoned do not.
    """
    reports = list(reports)
    loads = [
        load
        for report in reports
        for load in report.protons.values()
        if load.workload_id == workload_id
    ]
    server, user = _finished(loads, "5xx"), _finished(loads, "4xx")
    refused = _finished(loads, "refused")
    ended = sum(sum(load.finished.values()) for load in loads)
    minute = int(now_s // _MINUTE_S) - 1
    return RequestStats(
        period=StatsPeriod(
            start=None,
            end=maybe_timestamp(max((report.sent_at for report in reports), default=None)),
        ),
        metrics=RequestMetrics(
            total_requests=sum(load.started for load in loads),
            requests_per_minute=sum(load.starts_by_minute.get(minute, 0) for load in loads),
            concurrent_requests=sum(load.in_flight + load.queued for load in loads),
            queued_requests=sum(load.queued for load in loads),
            server_errors=server,
            user_errors=user,
            refused_requests=refused,
            aborted_requests=_finished(loads, "aborted"),
            total_error_rate=_ratio(server + user + refused, ended),
            server_error_rate=_ratio(server, ended),
            user_error_rate=_ratio(user, ended),
            cold_starts=sum(load.cold_starts for load in loads),
        ),
    )


def _finished(loads: Iterable[ProtonLoad], kind: str) -> int:
    return sum(load.finished.get(kind, 0) for load in loads)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
