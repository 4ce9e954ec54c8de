"""Traces from files: told by their first line, read as streams, errors with line and column."""

import itertools
from pathlib import Path

import pytest

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import READERS, Reading, detect, open_trace
from autoscaler.replay.logs import WINDOW
from autoscaler.replay.traces import Arrival

SHARED = Path(__file__).resolve().parents[5] / "shared" / "traces"

EXAMPLES = {
    "recording": '{"tidegateRecording": 1, "beganAt": 5.0}\n'
    '{"at_s": 1.0, "length_s": 1.0, "workload": "w", "started": 2}\n',
    "arrivals": "timestamp,service_s\n0.5,0.1\n2,0.2\n",
    "counts": "timestamp,count\n0,2\n60,1\n",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
    "2023-11-16 18:17:04.0319600,3180,8\n",
    "servegen": "0,0.01,1.0,Gamma,1.0,100.0\n600,0,0,,0,0\n1200,0.01,1.0,Weibull,1.0,100.0\n",
}


@pytest.fixture
def trace_file(tmp_path):
    def write(content):
        path = tmp_path / "trace"
        path.write_text(content)
        return path

    return write


def arrivals_of(path, **how):
    return list(open_trace(path, how=Reading(**how)).read())


@pytest.mark.parametrize("name", READERS)
def test_a_format_is_told_by_its_first_line(name, trace_file):
    path = trace_file(EXAMPLES[name])
    assert detect(path) == name
    trace = open_trace(path)
    assert trace.format == name
    moments = [arrival.at_s for arrival in trace.read()]
    assert moments == sorted(moments)
    assert moments
    assert list(trace.read()) == list(trace.read()), "the same each time"


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "0,1,2,Pareto,4,5\n", "hello"])
def test_an_unknown_beginning_is_refused_with_the_known_formats(content, trace_file):
    with pytest.raises(ReplayError, match="line 1") as caught:
        detect(trace_file(content))
    assert "timestamp" in caught.value.hint


def test_an_unknown_name_and_a_missing_file_are_refused(trace_file, tmp_path):
    with pytest.raises(ReplayError, match="'csv' is not a format"):
        open_trace(trace_file(EXAMPLES["counts"]), file_format="csv")
    with pytest.raises(ReplayError, match="cannot read"):
        open_trace(tmp_path / "gone")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("timestamp\n1\nx\n", "line 3, column timestamp", id="no-moment"),
        pytest.param("timestamp\n1\n\n\n,\n", "line 5, column timestamp", id="empty"),
        pytest.param("timestamp,count,count\n", "line 1, column count: it is there", id="twice"),
        pytest.param("timestamp\ninf\n", "line 2, column timestamp", id="infinite"),
        pytest.param("timestamp,service_s\n1,-2\n", "line 2, column service_s", id="negative"),
        pytest.param("timestamp,service_s\n1,a\n", "line 2, column service_s", id="text"),
        pytest.param("timestamp,prompt_tokens\n1,2.5\n", "column prompt_tokens", id="part"),
        pytest.param('timestamp\n"1\n', "line 2", id="open-quote"),
        pytest.param(
            "timestamp,service_s\n1,1\n2\n",
            "line 3, column service_s: it is missing; the line has 1 of 2 values",
            id="too-few",
        ),
        pytest.param(
            "timestamp,service_s\n1,1,7\n", "line 2, column 3: '7' is beyond the 2", id="too-many"
        ),
        pytest.param(
            "TIMESTAMP,ContextTokens\n1,2\n",
            "line 1: there is no column generatedtokens",
            id="no-column",
        ),
        pytest.param("timestamp,count\n0,\n", "line 2, column count", id="no-count"),
        pytest.param("timestamp,count\n60,1\n0,1\n", "line 3, column timestamp", id="backwards"),
        pytest.param("timestamp,count,length_s\n0,1,0\n", "column length_s", id="no-length"),
        pytest.param("timestamp,count,length_s\n0,1,90\n60,1,60\n", "length_s", id="overlap"),
        pytest.param("TIMESTAMP,ContextTokens\n1,\n", "column contexttokens", id="no-tokens"),
        pytest.param("0,1,1,Gamma,0,1\n", "line 1, column shape", id="no-shape"),
        pytest.param("0,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n", "column start_s", id="no-step"),
        pytest.param("0,0,0,Gamma,0,0\n600,1,1,Pareto,1,1\n", "pareto", id="other-gaps"),
        pytest.param('{"tidegateRecording": 2, "beganAt": 1}\n', "version 2", id="version"),
        pytest.param('{"tidegateRecording": 1}\n', "line 1", id="no-header"),
        pytest.param(EXAMPLES["recording"] + "x\n", "line 3", id="no-json"),
        pytest.param(
            EXAMPLES["recording"] + '{"at_s":0,"length_s":1,"workload":"w"}\n', "line 3", id="order"
        ),
    ],
)
def test_errors_name_line_and_column(content, said, trace_file):
    with pytest.raises(ReplayError, match=said):
        arrivals_of(trace_file(content))


def test_dates_and_epochs_begin_at_zero_and_are_remembered(trace_file):
    path = trace_file("timestamp\n2026-01-01T00:00:10Z\n2026-01-01T01:00:12+01:00\n")
    assert [a.at_s for a in arrivals_of(path)] == [0.0, 2.0]
    assert open_trace(path).began_at == 1_767_225_610.0
    assert [a.at_s for a in arrivals_of(trace_file("timestamp\n1767225600\n1767225601\n"))] == [
        0.0,
        1.0,
    ]
    relative = open_trace(trace_file("timestamp\n5\n6\n"))
    assert relative.began_at is None
    assert [a.at_s for a in relative.read()] == [5.0, 6.0]


def test_lines_slightly_out_of_order_are_put_in_order(trace_file):
    path = trace_file("timestamp\n" + "".join(f"{t}\n" for t in [0, 3, 1, 2, 5, 4]))
    assert [a.at_s for a in arrivals_of(path)] == [0, 1, 2, 3, 4, 5]


def test_lines_far_out_of_order_are_refused(trace_file):
    moments = [*range(10, WINDOW + 20), 1]
    with pytest.raises(ReplayError, match="out of order"):
        arrivals_of(trace_file("timestamp\n" + "".join(f"{t}\n" for t in moments)))


def test_a_part_begins_at_zero_and_one_workload_stays(trace_file):
    path = trace_file("timestamp,workload\n1,a\n2,b\n3,a\n4,a\n")
    assert [a.at_s for a in arrivals_of(path, from_s=2, until_s=4)] == [0.0, 1.0]
    assert [a.at_s for a in arrivals_of(path, workload="a")] == [1.0, 3.0, 4.0]
    assert open_trace(path, how=Reading(from_s=2, until_s=4)).duration_s == 2


def test_a_lower_rate_leaves_requests_out_and_a_higher_one_is_refused(trace_file):
    path = trace_file("timestamp\n" + "".join(f"{i}\n" for i in range(4000)))
    assert 1800 < len(arrivals_of(path, rate=0.5)) < 2200
    with pytest.raises(ReplayError, match="cannot be raised"):
        arrivals_of(path, rate=2.0)


def test_counts_are_spread_over_their_interval(trace_file):
    path = trace_file("timestamp,count\n0,500\n60,0\n120,500\n180,1\n")
    moments = [a.at_s for a in arrivals_of(path)]
    assert sum(m < 60 for m in moments) == 500
    assert not [m for m in moments if 60 <= m < 120]
    assert 25 < sum(moments[:500]) / 500 < 35
    assert len(arrivals_of(path, rate=3.0)) == 3003
    assert arrivals_of(path, seed=2) != arrivals_of(path, seed=1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_moments_are_even_over_their_interval_however_few(count, trace_file):
    lines = "".join(f"{i * 60},{count}\n" for i in range(2000))
    moments = [a.at_s % 60 for a in arrivals_of(trace_file("timestamp,count\n" + lines))]
    assert sum(moments) / len(moments) == pytest.approx(30.0, abs=1.5)
    assert sum(m < 15 for m in moments) / len(moments) == pytest.approx(0.25, abs=0.03)


def test_counts_of_several_workloads_share_their_interval(trace_file):
    path = trace_file("timestamp,count,workload\n0,3,a\n0,2,b\n60,1,a\n")
    found = arrivals_of(path)
    assert [a.at_s for a in found] == sorted(a.at_s for a in found)
    assert sorted(a.workload for a in found) == ["a", "a", "a", "a", "b", "b"]


def test_servegen_steps_have_their_rate(trace_file):
    path = trace_file("0,10,1.0,Gamma,1.0,0.1\n600,0,0,,0,0\n1200,5,1.0,Weibull,1.0,0.2\n")
    moments = [a.at_s for a in arrivals_of(path)]
    assert sum(m < 600 for m in moments) == pytest.approx(6000, rel=0.05)
    assert not [m for m in moments if 600 <= m < 1200]
    assert sum(m >= 1200 for m in moments) == pytest.approx(3000, rel=0.06)
    assert len(arrivals_of(path, rate=0.1)) == pytest.approx(900, rel=0.12)


@pytest.mark.parametrize(
    ("content", "how", "said"),
    [
        pytest.param(
            "timestamp,count\n0,6\n60,1000000000\n",
            {},
            "line 3: with it the trace comes to 1,000,000,006 requests; at most 10,000,000",
            id="counts",
        ),
        pytest.param("timestamp,count\n0,9\n", {"max_requests": 8}, "line 2", id="limit"),
        pytest.param("timestamp,count\n0,9\n", {"rate": 1e300}, "line 2", id="rate"),
        pytest.param(
            "0,1e9,1,Gamma,1,1e-9\n", {}, "line 1: .* 600,000,000,000 requests", id="servegen"
        ),
        pytest.param("0,1,1,Weibull,0.5,1e-9\n", {}, "300,000,000,000 requests", id="weibull"),
        pytest.param(
            '{"tidegateRecording": 1, "beganAt": 5.0}\n'
            '{"at_s": 1.0, "length_s": 1.0, "workload": "w", "started": 1000000000}\n',
            {},
            "second 1: .* 1,000,000,000 requests",
            id="recording",
        ),
    ],
)
def test_more_requests_than_the_limit_are_refused_before_they_are_made(
    content, how, said, trace_file
):
    with pytest.raises(ReplayError, match=said) as caught:
        arrivals_of(trace_file(content), **how)
    assert "--max-requests" in caught.value.hint


def test_what_is_beyond_the_part_does_not_count_against_the_limit(trace_file):
    path = trace_file("timestamp,count\n0,6\n60,1\n120,1000000000\n")
    assert len(arrivals_of(path, until_s=60)) == 6


@pytest.mark.parametrize("name", ["servegen", "counts", "recording", "arrivals"])
def test_a_rate_of_zero_leaves_nothing(name, trace_file):
    assert arrivals_of(trace_file(EXAMPLES[name]), rate=0.0) == []


def test_a_part_that_ends_before_it_begins_is_refused(trace_file):
    with pytest.raises(ReplayError, match="begins at second 100 cannot end at 50"):
        open_trace(trace_file(EXAMPLES["counts"]), how=Reading(from_s=100, until_s=50))


def test_a_large_file_is_read_as_a_stream(trace_file):
    path = trace_file("timestamp\n" + "".join(f"{i}\n" for i in range(20_000)))
    stream = open_trace(path).read()
    assert [a.at_s for a in itertools.islice(stream, 3)] == [0.0, 1.0, 2.0]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared traces")
def test_the_azure_trace_is_read_whole():
    found = arrivals_of(SHARED / "azure_llm_2023_code.csv")
    assert len(found) == 8819
    assert found[0] == Arrival(0.0, None, 4808, 10, line=2)
    assert found[-1].at_s == pytest.approx(57 * 60 + 15.948, abs=0.001)
    assert all(a.at_s <= b.at_s for a, b in itertools.pairwise(found))


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared traces")
def test_the_servegen_trace_has_its_rates():
    path = SHARED / "servegen_m-small_5.csv"
    found = arrivals_of(path, rate=0.01, until_s=1200)
    assert sum(a.at_s < 600 for a in found) == pytest.approx(3.789 * 600, rel=0.08)
    assert sum(a.at_s >= 600 for a in found) == pytest.approx(3.490 * 600, rel=0.08)
