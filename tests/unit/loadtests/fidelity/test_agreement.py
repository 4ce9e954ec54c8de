"""The bounds of the simulator's fidelity: what is close holds, what is not is outside."""

from dataclasses import replace

import pytest

from loadtests.fidelity import runs
from loadtests.fidelity.__main__ import table
from loadtests.fidelity.agreement import compare
from loadtests.fidelity.page import page, picture
from loadtests.fidelity.runs import Observed, simulated

SECONDS = 25.0
START_UP_S = 1.6
END_S = 18.0


@pytest.fixture(scope="module")
def run():
    return simulated(SECONDS, start_up_s=START_UP_S, until_s=END_S)


def outside(measures):
    return {measure.name for measure in measures if not measure.holds}


def test_a_run_agrees_with_itself_and_with_itself_a_little_later(run):
    assert outside(compare(run, run)) == set()
    later = replace(run, at_s=[at_s + 0.3 for at_s in run.at_s])
    assert outside(compare(run, later)) == set()


def test_the_simulated_demo_goes_from_zero_to_its_bound_and_back(run):
    assert run.ready[0] == 0
    assert max(run.ready) == 6
    assert run.ready[-1] == 0
    assert run.failed == 0


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param(lambda r: {"ready": [n // 2 for n in r.ready]}, "most ready", id="half"),
        pytest.param(
            lambda r: {"at_s": [t + 3.0 for t in r.at_s]}, "wanted, mean", id="three-seconds-late"
        ),
        pytest.param(
            lambda r: {"replica_seconds": 1.4 * r.replica_seconds}, "replica-seconds", id="more"
        ),
        pytest.param(
            lambda r: {"waits_s": {k: v + 2.0 for k, v in r.waits_s.items()}},
            "wait p50, s",
            id="two-seconds-more",
        ),
        pytest.param(lambda r: {"failed": 1}, "failed", id="one-failed"),
    ],
)
def test_what_is_too_far_apart_is_outside(run, change, name):
    assert name in outside(compare(run, replace(run, **change(run))))


def test_a_simulator_in_which_nobody_waits_is_outside(run):
    blind = replace(run, waits_s=dict.fromkeys(run.waits_s, 0.0), longest_wait_s=0.0)
    assert outside(compare(run, blind)) != set()


def test_a_replica_that_starts_much_later_is_outside(run):
    slow = simulated(SECONDS, start_up_s=4 * START_UP_S, until_s=END_S)
    assert outside(compare(run, slow)) != set()


@pytest.mark.parametrize("start_up_s", [1.0, 1.1, 1.3, 1.4, 1.5])
def test_the_demo_has_no_edge_at_which_a_slightly_later_start_changes_everything(start_up_s):
    usual, other = (simulated(60.0, start_up_s=s, until_s=55.0) for s in (1.2, start_up_s))
    assert outside(compare(usual, other)) == set()
    assert other.replica_seconds == pytest.approx(usual.replica_seconds, rel=0.1)


def test_another_window_and_replicas_without_a_limit_are_outside(run, monkeypatch):
    monkeypatch.setattr(runs, "LIMIT_PER_TARGET", 100)
    no_queue = simulated(SECONDS, start_up_s=START_UP_S, until_s=END_S)
    assert outside(compare(run, no_queue)) != set()
    monkeypatch.undo()
    slow = replace(runs.tuning(SECONDS), stable_window_s=60.0)
    monkeypatch.setattr(runs, "tuning", lambda _: slow)
    other = simulated(SECONDS, start_up_s=START_UP_S, until_s=END_S)
    assert "wanted, mean" in outside(compare(run, other))


def test_the_page_and_the_picture_show_both(run):
    other: Observed = replace(run, failed=1)
    measures = compare(run, other)
    runs = [measures, compare(run, run)]
    made = page(runs, seconds=SECONDS, start_up_s=START_UP_S, machine="2 cores")
    assert "| failed | 0 | 0 | 0 | 1 | 0 | **outside** |" in made
    assert "2 runs, the last one shown." in made
    assert "outside" in table(measures)
    drawn = picture(run, other)
    assert drawn.startswith("<svg xmlns")
    assert drawn.count("<svg") == 4
