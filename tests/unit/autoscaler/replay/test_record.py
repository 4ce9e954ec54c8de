"""Recording: differences of cumulative reports, exact whatever happens to the reports."""

from autoscaler.replay.record import Differences
from controlplane.model.reports import LoadReport, ProtonLoad


def report(clock_s, *, worker="a", proton="p", **counters):
    load = ProtonLoad(workload_id="w1", **counters)
    return LoadReport(
        worker_id=worker, sent_at=clock_s, clock_s=clock_s, revision=1, protons={proton: load}
    )


def stepped(differences, *reports, names=None):
    return differences.step(reports, names or {}, at_s=0.0, length_s=1.0)


def test_what_was_before_the_recording_is_in_no_step():
    differences = Differences()
    assert stepped(differences, report(5.0, started=100, load_seconds=50.0)) == []
    assert stepped(differences, report(6.0, started=100, load_seconds=50.0)) == []


def test_a_step_is_a_difference_over_all_workers():
    differences = Differences()
    stepped(differences, report(5.0, started=10), report(7.0, worker="b", started=1))
    (step,) = stepped(
        differences,
        report(
            6.0,
            started=14,
            load_seconds=3.0,
            queued_seconds=1.0,
            response_time={5: 2, 9: 1},
            response_seconds=2.5,
        ),
        report(8.0, worker="b", started=2),
        names={"w1": "summarise"},
    )
    assert (step.workload, step.started, step.answered) == ("summarise", 5, 3)
    assert step.working_s == 2.0
    assert step.response_s == 2.5
    assert step.histogram == {5: 2, 9: 1}


def test_late_and_doubled_reports_count_once():
    differences = Differences()
    stepped(differences, report(5.0, started=10))
    assert stepped(differences, report(6.0, started=12))[0].started == 2
    assert stepped(differences, report(6.0, started=12)) == []
    assert stepped(differences, report(5.5, started=11)) == []
    assert stepped(differences, report(7.0, started=13))[0].started == 1


def test_a_worker_that_starts_later_counts_from_its_zero():
    differences = Differences()
    stepped(differences, report(5.0, started=10))
    assert stepped(differences, report(0.5, worker="new", started=3))[0].started == 3


def test_a_proton_that_a_worker_counts_anew_goes_on():
    differences = Differences()
    stepped(differences, report(5.0, started=10))
    assert stepped(differences, report(6.0, started=2))[0].started == 2


def test_an_unknown_workload_goes_by_its_id():
    differences = Differences()
    stepped(differences)
    assert stepped(differences, report(6.0, started=2))[0].workload == "w1"
