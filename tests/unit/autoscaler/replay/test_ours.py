"""Our own autoscaler in the simulator: the live code at the live moments."""

import math
import random

import pytest

from autoscaler.replay.chance import constant
from autoscaler.replay.ours import Tidegate
from autoscaler.replay.simulate import run
from autoscaler.replay.world import World
from controlplane.model.behavior import Schedule
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings, Settings
from controlplane.model.workloads import Autoscaling, ScalingPolicy

QUICK = Settings(
    autoscaler=AutoscalerSettings(stable_window_s=20.0, cooldown_s=30.0, scale_down_delay_s=0.0)
)


def policy(metric="httpRequestsConcurrency", target=2.0, low=0, high=10, **more):
    return Autoscaling(
        policies=(ScalingPolicy(metric=metric, target=target),),
        min_replicas=low,
        max_replicas=high,
        **more,
    )


def simulated(arrivals, autoscaling, *, until_s=None, scaler=None, settings=QUICK, **world):
    defaults = {"start_up": constant(2.0), "replica_limit": 4, "workers": 2}
    world = World(**defaults | {"initial": autoscaling.min_replicas} | world)
    scaler = scaler or Tidegate(autoscaling, settings, keep_decisions=1000)
    return run(arrivals, world, scaler, duration_s=until_s), scaler


def traffic(per_s, *, from_s=0.0, to_s=60.0, service_s=0.5, seed=1):
    rng = random.Random(seed)
    at_s, found = from_s + rng.expovariate(per_s), []
    while at_s < to_s:
        found.append((at_s, service_s))
        at_s += rng.expovariate(per_s)
    return found


def test_the_first_request_wakes_a_replica_at_once_and_the_last_one_lets_it_go():
    outcome, scaler = simulated([(10.0, 0.5)], policy(), until_s=120.0)
    assert outcome.waited_s(1.0) == pytest.approx(2.005, rel=0.02)
    assert [decision.reason for decision in scaler.decisions] == [Reason.WAKE_UP, Reason.IDLE]
    assert next(step.name for step in scaler.decisions[0].steps).startswith("policy:")
    # Started at 10, ready and busy until 12.5, then idle for the cooldown of 30 s.
    assert outcome.replica_seconds == pytest.approx(33.0, abs=2.0)


def test_steady_load_gets_what_its_target_says():
    outcome, _ = simulated(traffic(20.0, to_s=200.0), policy(), until_s=200.0)
    # 20 requests per second, half a second each: 10 in flight, 2 per replica.
    assert outcome.timeline.rows[150].ready in {5, 6}
    assert outcome.failed == 0


def test_a_burst_brings_more_replicas_within_a_second():
    arrivals = [*traffic(2.0, to_s=60.0), *traffic(40.0, from_s=60.0, to_s=90.0)]
    outcome, _ = simulated(arrivals, policy(high=20), until_s=100.0, initial=1)
    assert outcome.timeline.rows[61].wanted >= 6
    assert outcome.max_ready >= 8


def test_a_quiet_night_costs_no_looks_and_nothing_is_decided_otherwise():
    class Restless:
        """Looks at every tick of the night."""

        def __init__(self, autoscaling):
            self.scaler = Tidegate(autoscaling, QUICK)
            self.name, self.next_s = self.scaler.name, self.scaler.next_s
            self.wake_pause_s = self.scaler.wake_pause_s
            self.hears_replicas = self.scaler.hears_replicas

        def look(self, seen):
            wanted = self.scaler.look(seen)
            if self.scaler.next_s == math.inf:
                self.scaler.next_s = seen.now_s + QUICK.autoscaler.tick_s
            self.next_s = self.scaler.next_s
            return wanted

    arrivals = [*traffic(3.0, to_s=40.0), *traffic(3.0, from_s=400.0, to_s=440.0)]
    for low in (0, 1):
        autoscaling = policy(low=low)
        rested, _ = simulated(arrivals, autoscaling, until_s=900.0)
        restless, _ = simulated(arrivals, autoscaling, until_s=900.0, scaler=Restless(autoscaling))
        assert rested.looks < 0.6 * restless.looks
        rested.looks = restless.looks
        assert rested == restless
        assert rested.timeline.rows == restless.timeline.rows


def test_schedules_hold_also_without_any_request():
    schedule = Schedule(name="morning", cron="10 0 * * *", duration_s=300.0, min_replicas=3)
    outcome, _ = simulated([(1.0, 0.1)], policy(schedules=(schedule,)), until_s=1200.0)
    by_minute = [outcome.timeline.rows[minute * 60 + 30].ready for minute in range(20)]
    assert by_minute[10:15] == [3] * 5
    assert by_minute[8] == 0
    assert by_minute[19] == 0


def test_a_forecast_that_acts_starts_replicas_before_a_rising_load_needs_them():
    arrivals = []
    for minute in range(25):
        rate = 1.0 + minute
        arrivals += traffic(rate, from_s=minute * 60.0, to_s=minute * 60.0 + 60, seed=minute)
    outcomes = {}
    for forecast in (None, "shadow", "act"):
        scaler = Tidegate(policy(high=40, forecast=forecast), QUICK)
        outcomes[forecast], _ = simulated(
            arrivals, policy(high=40), scaler=scaler, start_up=constant(240.0), initial=1
        )
    assert outcomes["shadow"].wait_seconds == outcomes[None].wait_seconds
    assert outcomes["act"].wait_seconds < 0.9 * outcomes[None].wait_seconds


def test_requests_per_hour_are_counted():
    autoscaling = policy(metric="httpRequestsPerHour", target=1800.0, low=1)
    outcome, _ = simulated(traffic(2.0, to_s=600.0, service_s=0.01), autoscaling, until_s=600.0)
    assert outcome.timeline.rows[590].wanted == 4, "7,200 an hour"


def test_cpu_follows_how_busy_replicas_are():
    autoscaling = policy(metric="cpuAverageUtilization", target=50.0, low=1)
    outcome, _ = simulated(
        traffic(8.0, to_s=400.0),
        autoscaling,
        until_s=400.0,
        scaler=Tidegate(autoscaling, QUICK, concurrency=4),
        concurrency=4,
        replica_limit=8,
    )
    # 4 at work on average; at half of 4 each, 2 replicas.
    assert outcome.timeline.rows[350].wanted in {2, 3}


def test_the_least_run_time_of_replicas_is_kept():
    settings = Settings(
        autoscaler=AutoscalerSettings(stable_window_s=10.0, cooldown_s=10.0, min_run_time_s=200.0)
    )
    outcome, _ = simulated([(1.0, 0.1)], policy(), until_s=400.0, settings=settings)
    assert outcome.replica_seconds == pytest.approx(202.0, abs=3.0)
