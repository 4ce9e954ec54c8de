"""The engine: who waits, who is served where, what replicas cost; the same for the same seed."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.replay.chance import constant
from autoscaler.replay.simulate import LOOKS_APART_S, WAKE_LAG_S, run
from autoscaler.replay.world import World


class Script:
    """A scaler that wants what it was told, from given moments on."""

    name = "script"
    hears_replicas = False

    def __init__(self, *steps, every_s=1.0, wake_pause_s=None, wakes_to=None):
        self.steps = steps or ((0.0, 1),)
        self.next_s = 0.0
        self.wake_pause_s = wake_pause_s
        self.wakes_to = wakes_to
        self.every_s = every_s
        self.seen = []

    def look(self, seen):
        self.seen.append(seen)
        if seen.now_s >= self.next_s:
            self.next_s = seen.now_s + self.every_s
        if self.wakes_to is not None:
            return self.wakes_to if seen.woken or seen.wanted else 0
        return [wanted for at_s, wanted in self.steps if at_s <= seen.now_s][-1]


def simulated(arrivals, scaler=None, *, until_s=None, seed=1, **world):
    defaults = {"start_up": constant(2.0), "initial": 1}
    return run(
        arrivals, World(**defaults | world), scaler or Script(), duration_s=until_s, seed=seed
    )


def test_a_free_replica_serves_at_once():
    outcome = simulated([(0.0, 1.0), (5.0, 1.0)])
    assert (outcome.requests, outcome.answered, outcome.failed) == (2, 2, 0)
    assert outcome.waited_s(1.0) == 0.0
    assert outcome.duration_s == 6.0
    assert outcome.replica_seconds == 6.0
    assert outcome.idle_seconds == 4.0


def test_beyond_the_limit_requests_wait_in_the_gateway_first_come_first_served():
    outcome = simulated([(0.0, 4.0), (1.0, 4.0), (2.0, 1.0)], replica_limit=1)
    # The second begins at 4 (waited 3), the third at 8 (waited 6).
    assert outcome.wait_seconds == pytest.approx(9.0)
    assert outcome.waited_s(1.0) == pytest.approx(6.0, rel=0.02)
    assert outcome.duration_s == 9.0
    assert outcome.cold == 0


def test_beyond_its_concurrency_requests_wait_inside_the_replica():
    scaler = Script(every_s=0.5)
    outcome = simulated([(0.0, 4.0), (0.1, 4.0)], scaler, concurrency=1)
    assert outcome.wait_seconds == pytest.approx(3.9)
    seen = scaler.seen[4]
    assert (seen.in_flight, seen.queued) == (2, 0)
    assert seen.working_seconds == pytest.approx(2.0)


def test_without_a_replica_requests_wait_for_its_start():
    outcome = simulated([(1.0, 0.5)], Script((0.0, 0), (1.5, 1)), initial=0)
    assert outcome.cold == 1
    assert outcome.waited_s(1.0) == pytest.approx(3.0, rel=0.02), "looked at 2, ready at 4"
    assert outcome.starts == 1


def test_a_full_queue_refuses_with_503():
    outcome = simulated([(0.1, 1.0)] * 5, Script((0.0, 0), (2.0, 1)), initial=0, queue_limit=3)
    assert (outcome.queue_full, outcome.answered, outcome.failed) == (2, 3, 2)


def test_a_request_that_waits_too_long_is_answered_504():
    arrivals = [(0.0, 1.0), (6.0, 1.0)]
    outcome = simulated(arrivals, Script((0.0, 0), (12.0, 1)), initial=0, hold_timeout_s=10.0)
    assert outcome.timed_out == 1
    assert outcome.answered == 1
    assert outcome.delayed == 2


def test_a_burst_is_spread_over_the_replicas():
    outcome = simulated([(0.0, 1.0)] * 10, Script((0.0, 5)), initial=5, replica_limit=2)
    assert outcome.waited_s(1.0) == 0.0


def test_no_replica_gets_more_than_its_limit_however_many_there_are():
    scaler = Script((0.0, 3), every_s=0.5)
    outcome = simulated([(0.1, 1.0)] * 9, scaler, initial=3, replica_limit=2)
    assert {seen.in_flight for seen in scaler.seen if 0.2 < seen.now_s < 1.0} == {6}
    assert outcome.wait_seconds == pytest.approx(3.0)


def test_patience_ends_for_later_requests_too():
    arrivals = [(0.0, 1.0), (30.0, 1.0), (31.0, 1.0)]
    outcome = simulated(arrivals, Script((0.0, 0)), initial=0, hold_timeout_s=10.0)
    assert outcome.timed_out == 3
    assert outcome.duration_s == 41.0


def test_the_idlest_replica_leaves_and_finishes_what_it_has():
    arrivals = [(0.0, 20.0), (0.0, 20.0), (0.0, 20.0), (15.0, 1.0)]
    scaler = Script((0.0, 3), (5.0, 1))
    outcome = simulated(arrivals, scaler, initial=3, replica_limit=1)
    assert outcome.cut == 0
    assert outcome.answered == 4
    assert {seen.draining for seen in scaler.seen if 6 < seen.now_s < 19} == {2}
    assert outcome.stops == 2
    # Two drain for 15 s longer than they were wanted; the last serves until 21.
    assert outcome.replica_seconds == pytest.approx(20.0 + 20.0 + 21.0)


def test_a_drain_that_takes_too_long_cuts_its_requests():
    outcome = simulated(
        [(0.0, 100.0), (0.0, 100.0)],
        Script((0.0, 2), (5.0, 0)),
        initial=2,
        replica_limit=1,
        drain_timeout_s=10.0,
    )
    assert outcome.cut == 2
    assert outcome.replica_seconds == pytest.approx(30.0)
    assert outcome.requests == outcome.answered + outcome.failed


def test_a_draining_replica_comes_back_instead_of_a_new_one():
    scaler = Script((0.0, 2), (5.0, 1), (8.0, 2))
    outcome = simulated([(0.0, 30.0), (0.0, 30.0)], scaler, initial=2, replica_limit=1)
    assert outcome.starts == 2, "the two of the beginning"
    assert outcome.answered == 2
    assert outcome.cut == 0
    assert outcome.idle_seconds == 0.0


def test_a_drain_deadline_of_an_earlier_drain_cuts_nothing():
    scaler = Script((0.0, 2), (5.0, 1), (8.0, 2), (12.0, 1))
    outcome = simulated(
        [(0.0, 21.0), (0.0, 21.0)], scaler, initial=2, replica_limit=1, drain_timeout_s=10.0
    )
    assert outcome.cut == 0, "the second drain, from 12, has time until 22"


def test_a_start_that_is_not_wanted_any_more_is_taken_back():
    outcome = simulated([(0.0, 1.0)], Script((0.0, 2), (1.0, 1)), until_s=10.0)
    assert outcome.max_ready == 1
    assert outcome.stops == 1
    assert outcome.replica_seconds == pytest.approx(11.0)


def test_who_hears_of_waiting_looks_at_once_and_not_too_often():
    scaler = Script(every_s=100.0, wake_pause_s=0.05, wakes_to=1)
    outcome = simulated([(1.0 + i / 1000, 0.5) for i in range(200)], scaler, initial=0)
    woken = [seen for seen in scaler.seen if seen.woken]
    assert woken[0].now_s == pytest.approx(1.0 + WAKE_LAG_S)
    assert all(b.now_s - a.now_s >= LOOKS_APART_S - 1e-9 for a, b in itertools.pairwise(woken))
    assert 4 <= len(woken) <= 6, "every 50 ms while more come"
    assert outcome.waited_s(0.0) == pytest.approx(2.0, rel=0.1)


def test_who_does_not_hear_of_waiting_looks_when_it_said():
    scaler = Script((0.0, 0), (1.0, 1), every_s=10.0)
    outcome = simulated([(1.0, 0.5)], scaler, initial=0)
    assert outcome.waited_s(1.0) == pytest.approx(11.0, rel=0.02)


def test_a_scaler_that_rests_looks_with_the_next_request():
    class Resting(Script):
        def look(self, seen):
            super().look(seen)
            self.next_s = math.inf
            return 1

    scaler = Resting()
    simulated([(50.0, 1.0), (70.0, 1.0)], scaler)
    assert [seen.now_s for seen in scaler.seen] == [0.0, 50.0, 70.0]


def test_who_hears_of_replicas_looks_when_one_is_ready_or_gone():
    scaler = Script((0.0, 2), every_s=100.0)
    scaler.hears_replicas = True
    simulated([(0.0, 0.5)], scaler, until_s=10.0)
    assert [seen.now_s for seen in scaler.seen] == [0.0, 2.0]


def test_integrals_are_exact():
    scaler = Script(every_s=0.7)
    simulated([(0.0, 2.0), (1.0, 2.0)], scaler, replica_limit=1, until_s=8.0)
    seen = scaler.seen[-1]
    assert seen.load_seconds == pytest.approx(2.0 + 2.0 + 1.0)
    assert seen.queued_seconds == pytest.approx(1.0)
    assert seen.ready_seconds == pytest.approx(seen.now_s)
    assert (seen.started, seen.refused, seen.load) == (2, 0, 0)


def test_the_timeline_adds_up_to_the_totals():
    arrivals = [(i * 0.37, 0.8) for i in range(200)]
    outcome = simulated(arrivals, Script((0.0, 1), (20.0, 3)), replica_limit=1, until_s=80.0)
    rows = outcome.timeline.rows
    assert sum(row.arrivals for row in rows) == 200
    assert sum(sum(row.waits.values()) for row in rows) == outcome.answered
    assert sum(row.ready_seconds for row in rows) == pytest.approx(outcome.ready_seconds)
    assert sum(row.length_s for row in rows) == pytest.approx(outcome.duration_s)
    assert max(row.ready for row in rows) == outcome.max_ready


def test_a_tail_is_simulated_and_paid_for():
    outcome = run([(2.0, 1.0)], World(initial=1), Script(), tail_s=20.0)
    assert outcome.duration_s == 22.0
    assert outcome.replica_seconds == 22.0


def test_changes_and_flaps_are_counted():
    scaler = Script((0.0, 1), (10.0, 2), (20.0, 1), (100.0, 2))
    outcome = simulated([(0.0, 1.0)], scaler, until_s=200.0)
    assert (outcome.changes, outcome.flaps) == (3, 1)


@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40),
    services=st.lists(st.floats(0.0, 5.0), min_size=60, max_size=60),
    wants=st.lists(st.integers(0, 4), min_size=1, max_size=10),
    workers=st.integers(1, 3),
    concurrency=st.none() | st.integers(1, 3),
)
def test_every_request_ends_exactly_once_whatever_is_wanted(
    gaps, services, wants, workers, concurrency
):
    at_s, arrivals = 0.0, []
    for gap, service_s in zip(gaps, services, strict=False):
        at_s += gap
        arrivals.append((at_s, service_s))
    script = [(i * 7.0, wanted) for i, wanted in enumerate(wants)]

    def once():
        return simulated(
            arrivals,
            Script(*script, wake_pause_s=0.05),
            workers=workers,
            concurrency=concurrency,
            replica_limit=2,
            hold_timeout_s=20.0,
            queue_limit=10,
            drain_timeout_s=3.0,
        )

    outcome = once()
    assert outcome.requests == len(arrivals)
    assert outcome.answered + outcome.failed == outcome.requests
    assert sum(outcome.waits.values()) >= outcome.answered
    assert -1e-6 <= outcome.idle_seconds <= outcome.ready_seconds + 1e-6
    assert outcome.ready_seconds <= outcome.replica_seconds + 1e-6
    again = once()
    assert outcome == again, "equal arguments, equal outcomes"
    assert outcome.timeline.rows == again.timeline.rows
