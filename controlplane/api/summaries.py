"""The statistics in answers about workloads: `requestStats` and `lastResponse`."""

from collections.abc import Sequence

from controlplane.api.call import Call
from controlplane.api.counted import retention_s
from controlplane.lifecycle import access
from controlplane.lifecycle.overviews import week
from controlplane.model.statistics import NO_SUMMARY
from controlplane.model.workloads import Workload
from controlplane.store.errors import StoreError
from controlplane.store.statistics import Statistics
from controlplane.wire.base import maybe_timestamp
from controlplane.wire.statistics import RequestStatsShape
from controlplane.wire.workloads import WorkloadFormatted


async def add_statistics(
    call: Call, answers: Sequence[WorkloadFormatted], *, request_stats: bool = False
) -> None:
    """Add what was counted, with one call to the store.

    Args:
        call: The request; consumers of a workload see no statistics of it.
        answers: They get `lastResponse`, unless the store is away.
        request_stats: They get `requestStats` too, and a store that is away is an error.
    """
    services = call.services
    readable: dict[str, tuple[Workload, WorkloadFormatted]] = {}
    for answer in answers:
        workload = services.mirror.get(Workload, answer.id)
        if workload is not None and access.role_on(call.user, workload) in access.READERS:
            readable[workload.id] = (workload, answer)
    if not readable or not (request_stats or services.store.available):
        return
    statistics = Statistics(services.store)
    try:
        found = await statistics.summaries(list(readable))
    except StoreError:
        if request_stats:
            raise
        return
    now_s = services.clock()
    for workload, answer in readable.values():
        summary = statistics.summary_of(workload.id, found[workload.id])
        if summary.since != workload.stats_since:  # from before a reset
            summary = NO_SUMMARY
        answer.last_response = maybe_timestamp(summary.last_response_at)
        if request_stats:
            kept_s = retention_s(services, workload)
            answer.request_stats = RequestStatsShape.of(
                week(summary, retention_s=kept_s, now_s=now_s)
            )
