import random

import pytest

from autoscaler.replay.policy_file import policy_of
from autoscaler.replay.tune import (
    COOLDOWN,
    DELAY,
    Tried,
    TuneError,
    Wanted,
    advise,
    drawn,
    explore,
    grid,
    knobs_for,
    near,
    stages,
    with_values,
)

POLICY = {
    "autoscaling": {
        "policies": [
            {"scalingMetric": "cpuAverageUtilization", "target": 60},
            {"scalingMetric": "httpRequestsInFlight", "target": 8},
        ],
        "minReplicaCount": 1,
        "maxReplicaCount": 20,
    }
}
TO_ZERO = {
    "autoscaling": {
        "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 4}],
        "maxReplicaCount": 5,
    }
}


def came(hours, wait, cold=0, failed=0, p95=None):
    return {
        "requests": 100,
        "failed": failed,
        "wait_seconds": wait * 100,
        "cold": cold,
        "replica_hours": hours,
        "wait_p95_s": wait if p95 is None else p95,
        "delayed": 0,
    }


def tried(*results):
    return [
        Tried(values={"target": float(i)} if i else {}, result=r) for i, r in enumerate(results)
    ]


def test_the_target_is_that_of_the_policy_about_requests():
    changed = with_values(POLICY, {"target": 5.5})
    assert [p["target"] for p in changed["autoscaling"]["policies"]] == [60, 5.5]
    assert POLICY["autoscaling"]["policies"][1]["target"] == 8


def test_a_policy_without_requests_has_its_first_target_moved():
    cpu = {"autoscaling": {"policies": POLICY["autoscaling"]["policies"][:1]}}
    assert with_values(cpu, {"target": 50})["autoscaling"]["policies"][0]["target"] == 50


def test_other_settings_become_the_workloads_behavior_and_keep_what_was_said():
    said = with_values(TO_ZERO, {DELAY.name: 60})
    changed = with_values(said, {"panicThreshold": 3, COOLDOWN.name: 5})
    assert changed["autoscaling"]["behavior"] == {DELAY.name: 60, "panicThreshold": 3}
    assert changed["autoscaling"]["cooldownPeriodMinutes"] == 5


def test_every_value_of_every_knob_is_one_that_the_api_takes():
    for content in (POLICY, TO_ZERO):
        for knob in knobs_for(content):
            for value in knob.values:
                policy_of(with_values(content, {knob.name: value}), name="policy")


def test_the_cooldown_is_a_knob_only_where_zero_is_allowed():
    assert COOLDOWN in knobs_for(TO_ZERO)
    assert COOLDOWN not in knobs_for(POLICY)


def test_only_some_knobs_may_be_moved_and_unknown_ones_are_named():
    assert [knob.name for knob in knobs_for(TO_ZERO, only=["target"])] == ["target"]
    with pytest.raises(TuneError, match="'speed' is not a setting to vary here; known: target"):
        knobs_for(TO_ZERO, only=["speed"])


def test_a_policy_file_without_policies_cannot_be_tuned():
    with pytest.raises(TuneError, match="no policies"):
        knobs_for({"autoscaling": {"policies": []}})


@pytest.mark.parametrize("budget", [1, 2, 5, 40, 100])
def test_the_stages_share_the_budget(budget):
    assert 1 + sum(stages(budget)) == budget


def test_the_grid_has_every_target_with_every_delay_or_an_even_part_of_them():
    knobs = knobs_for(TO_ZERO)
    whole = len(knobs[0].values) * len(DELAY.values)
    assert len(grid(knobs, 10_000)) == whole
    part = grid(knobs, 12)
    assert len(part) == 12
    assert len({row["target"] for row in part}) > 5


def test_settings_by_chance_and_near_the_best_are_within_the_knobs_values():
    knobs = knobs_for(TO_ZERO)
    allowed = {knob.name: set(knob.values) for knob in knobs}
    made = drawn(knobs, 20, random.Random(1))
    made += near(knobs, [{}, {"target": 4.0}], 20, random.Random(1))
    assert len(made) == 40
    for values in made:
        assert all(value in allowed[name] for name, value in values.items())


def test_near_nothing_is_nothing():
    assert near(knobs_for(TO_ZERO), [], 5, random.Random(1)) == []


def priced(contents):
    """As if replicas were bought by a low target and nothing else mattered."""
    found = []
    for content in contents:
        target = content["autoscaling"]["policies"][0]["target"]
        found.append(came(hours=10 / target, wait=target**2))
    return found


def test_exploring_begins_with_the_policy_as_it_is_and_stays_within_the_budget():
    asked = []

    def run(contents):
        asked.extend(contents)
        return priced(contents)

    found = explore(TO_ZERO, run, budget=30, seed=3)
    assert asked[0] == TO_ZERO
    assert found[0].values == {}
    assert len(asked) == len(found) <= 30


def test_equal_seeds_try_equal_settings():
    first, again, other = (
        [one.values for one in explore(TO_ZERO, priced, budget=30, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_nothing_is_tried_twice():
    found = explore(TO_ZERO, priced, budget=60, seed=1, only=["target"])
    assert len({repr(sorted(one.values.items())) for one in found}) == len(found)


def test_a_failed_request_counts_as_having_waited_long():
    assert tried(came(1, 0.5, failed=1))[0].wait_s == pytest.approx(3.5)


def test_no_requests_have_not_waited():
    nothing = came(1, 0) | {"requests": 0}
    assert tried(nothing)[0].wait_s == 0


def test_the_recommended_one_is_the_best_compromise():
    advice = advise(tried(came(5, 5), came(1, 50), came(2, 1), came(30, 0.9)), Wanted())
    assert advice.best.hours == 2
    assert [one.hours for one in advice.front] == [1, 2, 30]
    assert "replica-hours 5 -> 2" in advice.why[1]


def test_the_cheapest_that_waits_short_enough():
    advice = advise(
        tried(came(5, 5), came(1, 50), came(2, 1), came(3, 0.9)), Wanted(wait_p95_s=1.0)
    )
    assert advice.best.hours == 2
    assert advice.why[0] == "The cheapest with a p95 of waiting of at most 1 s."


def test_the_least_waiting_within_the_replica_hours():
    advice = advise(
        tried(came(5, 5), came(1, 50), came(2, 1), came(3, 0.9)), Wanted(replica_hours=2.5)
    )
    assert advice.best.hours == 2
    assert "2.5 replica-hours" in advice.why[0]


@pytest.mark.parametrize(
    ("wanted", "hours"), [(Wanted(wait_p95_s=0.1), 3), (Wanted(replica_hours=0.5), 1)]
)
def test_demands_that_nothing_meets_are_said_so(wanted, hours):
    advice = advise(tried(came(5, 5), came(1, 50), came(3, 0.9)), wanted)
    assert advice.best.hours == hours
    assert advice.why[0].startswith("No setting that was tried meets the demands")


def test_two_demands_that_nothing_meets_are_both_named_and_nothing_is_called_the_cheapest():
    wanted = Wanted(wait_p95_s=0, replica_hours=0)
    why = advise(tried(came(5, 5), came(1, 50), came(3, 0.9)), wanted).why
    assert "(a p95 of waiting of at most 0 s, at most 0 replica-hours)" in why[0]
    assert why[0].endswith("comes nearest, with a p95 of 0.9 s, 3 replica-hours.")
    assert not any("cheapest" in line for line in why)


def test_two_demands_that_are_met_are_both_named():
    wanted = Wanted(wait_p95_s=60, replica_hours=4)
    advice = advise(tried(came(5, 5), came(1, 50), came(3, 0.9)), wanted)
    assert advice.best.hours == 1
    assert advice.why[0].endswith("at most 60 s, 4 replica-hours.")


def test_a_run_in_which_nothing_was_served_is_judged_by_its_mean():
    none = came(1, 9) | {"wait_p95_s": None}
    assert advise(tried(none), Wanted(wait_p95_s=10)).best.hours == 1


def test_a_policy_that_is_best_already_is_said_so():
    advice = advise(tried(came(1, 0), came(2, 1)), Wanted())
    assert advice.why[1] == "It is the policy as it is: nothing better was found."
