"""Our own recordings: service times with the exact mean, from about the same moment."""

from statistics import fmean

import pytest

from autoscaler.replay.formats import Reading, open_trace
from autoscaler.replay.outcome import bucket
from autoscaler.replay.recording import Step, write_header, write_step


@pytest.fixture
def recorded(tmp_path):
    def write(*steps):
        path = tmp_path / "recording.jsonl"
        with path.open("w") as file:
            write_header(file, began_at=1000.0)
            for step in steps:
                write_step(file, step)
        return path

    return write


def step(at_s, *, started=10, service_s=0.5, waited_s=0.0, workload="w", answered=10):
    return Step(
        at_s=at_s,
        length_s=1.0,
        workload=workload,
        started=started,
        answered=answered,
        working_s=service_s * answered,
        response_s=(service_s + waited_s) * answered,
        histogram={bucket(service_s + waited_s): answered} if answered else {},
    )


def times(path, **how):
    return [a.service_s for a in open_trace(path, how=Reading(**how)).read()]


def test_requests_fall_into_their_step(recorded):
    path = recorded(step(3.0), step(4.5))
    found = list(open_trace(path).read())
    assert len(found) == 20
    assert all(3.0 <= a.at_s < 4.0 for a in found[:10])
    assert all(4.5 <= a.at_s < 5.5 for a in found[10:])
    assert open_trace(path).began_at == 1000.0


def test_waiting_is_taken_out_of_response_times(recorded):
    assert fmean(times(recorded(step(0.0, service_s=0.5, waited_s=1.5)))) == pytest.approx(
        0.5, rel=0.02
    )


def test_service_times_follow_the_recording(recorded):
    steps = [step(float(i), started=100, answered=100, service_s=0.2) for i in range(30)]
    steps += [step(30.0 + i, started=100, answered=100, service_s=2.0) for i in range(90)]
    found = times(recorded(*steps))
    assert fmean(found[:3000]) == pytest.approx(0.2, rel=0.02)
    assert fmean(found[-1000:]) == pytest.approx(2.0, rel=0.1)


def test_requests_before_the_first_answer_have_the_times_of_the_first_answers(recorded):
    assert times(recorded(step(0.0, answered=0), step(1.0, service_s=0.4)))[0] == pytest.approx(
        0.4, rel=0.02
    )


def test_a_workload_without_any_answer_has_no_times(recorded):
    assert set(times(recorded(step(0.0, answered=0)))) == {None}


def test_workloads_of_one_step_are_mixed_in_order(recorded):
    path = recorded(step(0.0, workload="a"), step(0.0, workload="b", service_s=3.0))
    found = list(open_trace(path).read())
    assert [a.at_s for a in found] == sorted(a.at_s for a in found)
    assert {a.workload: round(a.service_s, 1) for a in found} == {"a": 0.5, "b": 3.0}


def test_rates_multiply(recorded):
    assert len(times(recorded(step(0.0, started=1000)), rate=2.5)) == 2500
