import json

import pytest

from loadtests.overhead.children import BenchError
from loadtests.overhead.load import Aim, Wrk, parse_summary, summary

AIM = Aim(url="http://127.0.0.1:1/x", token="secret", core=0)
GOOD = {
    "requests": 50_000,
    "duration_us": 2_000_000,
    "p50_us": 1_500,
    "p99_us": 4_000,
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
    assert (result.count, result.duration_s, result.p50_ms, result.p99_ms) == (50_000, 2, 1.5, 4)
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


def test_a_run_without_summary_is_refused_with_what_was_said():
    with pytest.raises(BenchError, match="unable to connect"):
        parse_summary("unable to connect to x", url="http://x/")


def test_our_own_clients_sum_up_in_the_same_words():
    times_ms = [float(ms) for ms in range(1, 101)]
    result = parse_summary(summary(100, 0.5, times_ms), url="")
    assert (result.count, result.per_second) == (100, 200)
    assert (result.p50_ms, result.p99_ms) == (51, 100)


def test_a_client_that_timed_nothing_still_sums_up():
    assert parse_summary(summary(3, 1.0, []), url="").p99_ms == 0


@pytest.mark.parametrize(
    ("load", "environ", "headers"),
    [
        pytest.param(Wrk(connections=2), {}, ["Authorization: Bearer secret"], id="plain"),
        pytest.param(
            Wrk(connections=2, reconnect=True),
            {},
            ["Authorization: Bearer secret", "Connection: close"],
            id="new-connections",
        ),
        pytest.param(
            Wrk(connections=2, varied=True),
            {"WRK_VARIED": "1"},
            ["Authorization: Bearer secret"],
            id="varied-heads",
        ),
        pytest.param(
            Wrk(connections=2, upload_bytes=7),
            {"WRK_UPLOAD_BYTES": "7"},
            ["Authorization: Bearer secret"],
            id="uploads",
        ),
        pytest.param(
            Wrk(connections=2, paths=("/a", "/b")),
            {"WRK_PATHS": "/a /b"},
            ["Authorization: Bearer secret"],
            id="several-targets",
        ),
    ],
)
def test_each_kind_of_load_is_told_to_wrk(load, environ, headers):
    command = load.command("wrk", AIM, 3)
    assert load.environ() == environ
    assert [command[i + 1] for i, word in enumerate(command) if word == "-H"] == headers
    assert {"-c2", "-d3s"} <= set(command)
    assert command[-1] == AIM.url
