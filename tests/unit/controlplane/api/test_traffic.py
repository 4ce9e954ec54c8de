from controlplane.api.traffic import request_stats
from controlplane.model.reports import LoadReport, ProtonLoad

WORKLOAD = "a" * 24


def report(worker, **load):
    loads = {"p": ProtonLoad(workload_id=WORKLOAD, **load)}
    return LoadReport(worker_id=worker, sent_at=100.0, clock_s=1.0, revision=1, protons=loads)


def test_without_reports_everything_is_zero():
    stats = request_stats([], WORKLOAD, now_s=0.0)
    assert stats.period.end is None
    assert set(stats.metrics.model_dump().values()) == {0}


def test_the_rate_is_that_of_the_last_whole_minute():
    stats = request_stats(
        iter([report("a", starts_by_minute={9: 3, 10: 7}), report("b", starts_by_minute={9: 2})]),
        WORKLOAD,
        now_s=10 * 60 + 59,
    )
    assert stats.metrics.requests_per_minute == 5


def test_what_was_abandoned_is_no_error():
    stats = request_stats([report("a", finished={"2xx": 1, "aborted": 1})], WORKLOAD, now_s=0.0)
    assert stats.metrics.aborted_requests == 1
    assert stats.metrics.total_error_rate == 0


def test_tunnels_count_as_ended_requests():
    stats = request_stats([report("a", finished={"1xx": 3, "5xx": 1})], WORKLOAD, now_s=0.0)
    assert stats.metrics.server_error_rate == 0.25
