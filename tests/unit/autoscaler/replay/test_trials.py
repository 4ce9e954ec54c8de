from array import array

import pytest

from autoscaler.replay.chance import Service
from autoscaler.replay.peers import Terms
from autoscaler.replay.traces import Arrival, Trace
from autoscaler.replay.trials import OURS, Trial, carry_out, carry_out_all, prepared, read_bench

POLICY = {
    "autoscaling": {
        "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 2}],
        "minReplicaCount": 1,
        "maxReplicaCount": 5,
    }
}
KEDA = Trial(scaler="keda", terms=Terms(target=2, concurrency=3, min_replicas=2, max_replicas=5))


def bench(**around):
    arrivals = [Arrival(i / 4, 0.5) for i in range(240)]
    trace = Trace(name="even", format="arrivals", read=lambda: iter(arrivals), began_at=50.0)
    return read_bench(trace, Service(), seed=7, **around)


def test_a_trace_is_read_into_plain_numbers():
    read = bench()
    assert read.at_s == array("d", [i / 4 for i in range(240)])
    assert (read.name, read.seed, read.began_at) == ("even", 7, 50.0)


def test_a_policy_of_ours_brings_its_own_world():
    scaler, world = prepared(bench(concurrency=2), Trial(scaler=OURS, policy=POLICY))
    assert (scaler.name, world.replica_limit, world.initial) == ("tidegate", 4, 1)


def test_a_peers_replicas_take_what_its_terms_say():
    scaler, world = prepared(bench(), KEDA)
    assert (scaler.name, world.replica_limit, world.initial) == ("keda", 3, 2)


def test_a_bench_may_say_how_many_replicas_there_are_at_first():
    assert prepared(bench(initial=4), KEDA)[1].initial == 4


def test_a_result_has_what_costs_are_made_of():
    result = carry_out(bench(), KEDA)
    assert result["requests"] == 240
    assert (result["failed"], result["wait_seconds"]) == (0, 0)


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_processes():
    trials = [KEDA, Trial(scaler=OURS, policy=POLICY), KEDA]
    done = []
    alone = carry_out_all(bench(), trials, jobs=1, on_done=lambda: done.append(1))
    assert carry_out_all(bench(), trials, jobs=2, on_done=lambda: done.append(2)) == alone
    assert sorted(done) == [1, 1, 1, 2, 2, 2]
