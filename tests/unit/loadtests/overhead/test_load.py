import json

import pytest

from loadtests.overhead.children import BenchError
from loadtests.overhead.load import parse_summary

GOOD = {
    "requests": 50_000,
    "duration_us": 2_000_000,
    "p50_us": 1_500,
    "p99_us": 4_000,
    "max_us": 9_000,
    "connect_errors": 0,
    "read_errors": 0,
    "write_errors": 0,
    "status_errors": 0,
    "timeouts": 0,
}


def _output(**changes):
    return f"Running 2s test\nSUMMARY {json.dumps(GOOD | changes)}\n"


def test_totals_are_wrks_own():
    result = parse_summary(_output(), url="http://x/")
    assert (result.requests, result.duration_s, result.p50_ms, result.p99_ms) == (50_000, 2, 1.5, 4)
    assert result.per_second == 25_000


@pytest.mark.parametrize(
    "error", ["connect_errors", "read_errors", "write_errors", "status_errors", "timeouts"]
)
def test_one_error_of_any_kind_refuses_the_run(error):
    with pytest.raises(BenchError, match=error):
        parse_summary(_output(**{error: 1}), url="http://x/")


def test_a_run_without_requests_is_refused():
    with pytest.raises(BenchError, match="0 requests"):
        parse_summary(_output(requests=0), url="http://x/")


def test_a_run_without_summary_is_refused_with_what_wrk_said():
    with pytest.raises(BenchError, match="unable to connect"):
        parse_summary("unable to connect to x", url="http://x/")
