"""Service times of a trace's requests."""

import pytest

from autoscaler.replay.chance import Service, constant, parse_service
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import open_trace
from autoscaler.replay.traces import Arrival, of_workload, with_service


@pytest.mark.parametrize(
    ("arrival", "service", "seconds"),
    [
        pytest.param(Arrival(1.0, 0.3), "trace", 0.3, id="the-trace-tells"),
        pytest.param(Arrival(1.0, 0.3), "2", 2.0, id="the-option-wins-over-the-trace"),
        pytest.param(Arrival(1.0, None, 100, 50), "tokens:100,50", 2.0, id="tokens"),
    ],
)
def test_service_times_come_from_where_they_should(arrival, service, seconds):
    assert list(with_service([arrival], parse_service(service), seed=1)) == [(1.0, seconds)]


def test_a_request_whose_service_is_not_known_is_named_with_the_remedy():
    arrivals = [Arrival(0.0, 1.0), Arrival(1.0)]
    with pytest.raises(ReplayError, match="request 2") as caught:
        list(with_service(arrivals, Service(), seed=1))
    assert "--service" in caught.value.hint


@pytest.mark.parametrize(
    ("service", "said"),
    [
        pytest.param("trace", "line 3, column service_s: it is empty", id="service"),
        pytest.param("tokens:9,9", "line 5, column prompt_tokens: it is empty", id="prompt"),
        pytest.param("tokens:9,9", "line 4, column generated_tokens: it is empty", id="generated"),
    ],
)
def test_an_empty_cell_that_is_needed_is_named_by_file_line_and_column(service, said, tmp_path):
    path = tmp_path / "requests.csv"
    rows = ["timestamp,service_s,prompt_tokens,generated_tokens", "0,0.1,1,1", "1,,1,1"]
    rows += ["2,0.1,1,"] if "generated" in said else ["2,0.1,1,1"]
    path.write_text("\n".join([*rows, "3,0.1,,1"]))
    trace = open_trace(path)
    with pytest.raises(ReplayError, match=f"^requests.csv, {said}") as caught:
        list(with_service(trace.read(), parse_service(service), seed=1, name=trace.name))
    assert "Fill it in" in caught.value.hint
    assert "--service" in caught.value.hint


def test_requests_that_the_trace_says_nothing_about_are_drawn():
    service = Service(draw=constant(0.7))
    arrivals = [Arrival(0.0, 1.0), Arrival(1.0)]
    assert list(with_service(arrivals, service, seed=1)) == [(0.0, 1.0), (1.0, 0.7)]


def test_equal_seeds_draw_equal_times():
    service = parse_service("lognormal:0.2,2")
    arrivals = [Arrival(float(i)) for i in range(50)]
    first = list(with_service(arrivals, service, seed=3))
    assert first == list(with_service(arrivals, service, seed=3))
    assert first != list(with_service(arrivals, service, seed=4))


def test_one_workload_of_many():
    arrivals = [Arrival(0.0, workload="a"), Arrival(1.0, workload="b")]
    assert [a.at_s for a in of_workload(arrivals, "b")] == [1.0]
    assert [a.at_s for a in of_workload(arrivals, None)] == [0.0, 1.0]
