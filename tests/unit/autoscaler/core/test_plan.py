"""Whole decisions: the table of `plan`, the order of its steps, and what always holds."""

import msgspec
import pytest

from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.plan import decide
from autoscaler.core.policy import CONCURRENCY, CPU, IN_FLIGHT, PER_HOUR
from autoscaler.core.steps import DampingState, LoadView
from controlplane.model.decisions import Decision, Reason
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady

QUIET = steady(0, idle_s=1e9)


HASTY = AutoscalerSettings(scale_down_delay_s=0.0, max_scale_down_rate=2.0)
"""Knative's defaults of shrinking in place of the platform's, where a test says nothing else."""


def scaling(*metrics: tuple[str, float], **chosen: object) -> Scaling:
    fields: dict[str, object] = {
        "workload_id": "w",
        "proton_id": "p",
        "policies": tuple(
            ScalingPolicy(metric=m, target=t) for m, t in metrics or ((CONCURRENCY, 10),)
        ),
        "max_replicas": 20,
        "cooldown_s": 300.0,
        "settings": HASTY,
        **chosen,
    }
    return Scaling(**fields)  # type: ignore[arg-type]


def seen(**fields: object) -> Observation:
    return Observation(at=1e9, **fields)  # type: ignore[arg-type]


def once(
    observation: Observation, asked: Scaling | None = None, *, current: int | None = 0
) -> Decision:
    state = None if current is None else DecisionState(wanted=current)
    return decide(observation, asked or scaling(), state, now_s=1000.0)[0]


@pytest.mark.parametrize(
    ("observation", "asked", "current", "replicas", "reason"),
    [
        pytest.param(
            seen(load=steady(50), ready=5),
            scaling(stopped=True),
            5,
            0,
            Reason.STOPPED,
            id="stopped",
        ),
        pytest.param(
            seen(ready=0, pending=2, given_up="it exits at once", woken=True),
            scaling(),
            3,
            0,
            Reason.ERRORED,
            id="given-up",
        ),
        pytest.param(
            seen(ready=2, given_up="new ones exit at once"),
            scaling(),
            3,
            2,
            Reason.ERRORED,
            id="given-up-keeps-what-serves",
        ),
        pytest.param(
            seen(load=steady(90)),
            scaling(fixed=2, min_replicas=2, max_replicas=2),
            0,
            2,
            Reason.FIXED,
            id="fixed",
        ),
        pytest.param(seen(load=QUIET, woken=True), scaling(), 0, 1, Reason.WAKE_UP, id="woken"),
        pytest.param(seen(woken=True), scaling(), 0, 1, Reason.WAKE_UP, id="woken-without-reports"),
        pytest.param(
            seen(load=steady(41, queued=41), woken=True),
            scaling(),
            0,
            5,
            Reason.WAKE_UP,
            id="woken-for-all-that-wait",
        ),
        pytest.param(
            seen(load=steady(3, queued=3)), scaling(), 0, 1, Reason.WAKE_UP, id="wake-up-was-lost"
        ),
        pytest.param(
            seen(load=steady(9000, queued=9000), woken=True),
            scaling(),
            0,
            20,
            Reason.AT_MAX,
            id="waking-within-bounds",
        ),
        pytest.param(
            seen(load=steady(0, mean_stable=70, demand_stable=70)),
            scaling(),
            0,
            0,
            Reason.IDLE,
            id="a-mean-of-the-past-starts-nothing",
        ),
        pytest.param(seen(), scaling(), 0, 0, Reason.NO_DATA, id="zero-and-unknown"),
        pytest.param(
            seen(load=QUIET, ready=7), scaling(), 7, 0, Reason.IDLE, id="idle-from-any-count"
        ),
        pytest.param(
            seen(load=QUIET, ready=7),
            scaling(min_replicas=2),
            7,
            3,
            Reason.SCALE_DOWN_LIMITED,
            id="idle-with-a-minimum-shrinks-in-steps",
        ),
        pytest.param(
            seen(load=QUIET, ready=3),
            scaling(min_replicas=2),
            3,
            2,
            Reason.AT_MIN,
            id="down-to-the-minimum",
        ),
        pytest.param(
            seen(load=steady(0, idle_s=288), ready=1),
            scaling(),
            1,
            1,
            Reason.COOLDOWN,
            id="cooldown",
        ),
        pytest.param(
            seen(load=steady(0, idle_s=8, mean_stable=0.4, demand_stable=0.4), ready=1),
            scaling(),
            1,
            1,
            Reason.COOLDOWN,
            id="cooldown-while-the-mean-fades",
        ),
        pytest.param(
            seen(load=steady(0, in_flight=1), ready=1),
            scaling(),
            1,
            1,
            Reason.ON_TARGET,
            id="load-of-this-instant-keeps-one",
        ),
        pytest.param(
            seen(load=steady(0, idle_s=500), ready=1, woken=True),
            scaling(),
            1,
            1,
            Reason.ON_TARGET,
            id="a-wake-up-keeps-one",
        ),
        pytest.param(seen(ready=4), scaling(), 4, 4, Reason.NO_DATA, id="silence-is-not-idleness"),
        pytest.param(
            seen(load=steady(0, coverage_ratio=0.5, silent=1), ready=4),
            scaling(),
            4,
            4,
            Reason.LOW_QUALITY,
            id="half-the-workers-do-not-shrink",
        ),
        pytest.param(
            seen(load=steady(9, mean_panic=22, demand_panic=22, coverage_ratio=0.5), ready=1),
            scaling(),
            4,
            4,
            Reason.PANIC,
            id="a-burst-is-a-better-reason-than-thin-data",
        ),
        pytest.param(
            seen(load=steady(60, coverage_ratio=0.5, silent=1), ready=4),
            scaling(),
            4,
            6,
            Reason.ON_TARGET,
            id="but-may-grow",
        ),
        pytest.param(
            seen(load=steady(33), ready=4), scaling(), 4, 4, Reason.ON_TARGET, id="on-target"
        ),
        pytest.param(
            seen(load=steady(20.1), ready=2), scaling(), 2, 3, Reason.ON_TARGET, id="one-over"
        ),
        pytest.param(seen(load=steady(90), ready=2), scaling(), 2, 9, Reason.PANIC, id="a-burst"),
        pytest.param(
            seen(load=steady(900), ready=15), scaling(), 15, 20, Reason.AT_MAX, id="at-the-maximum"
        ),
        pytest.param(
            seen(load=steady(35), ready=1),
            scaling((CONCURRENCY, 10), (IN_FLIGHT, 5)),
            1,
            7,
            Reason.PANIC,
            id="the-highest-wish-wins",
        ),
        pytest.param(
            seen(load=QUIET, ready=1),
            scaling((IN_FLIGHT, 5)),
            1,
            1,
            Reason.AT_MIN,
            id="in-flight-floor",
        ),
        pytest.param(
            seen(load=QUIET, ready=1),
            scaling((CONCURRENCY, 5), (PER_HOUR, 5)),
            1,
            1,
            Reason.NO_DATA,
            id="a-policy-without-data-holds",
        ),
        pytest.param(
            seen(load=QUIET, ready=2, per_hour=0.0),
            scaling((CONCURRENCY, 5), (PER_HOUR, 5)),
            2,
            1,
            Reason.SCALE_DOWN_LIMITED,
            id="a-policy-without-zero-forbids-zero",
        ),
        pytest.param(
            seen(ready=1, per_hour=250.0),
            scaling((PER_HOUR, 100)),
            1,
            3,
            Reason.ON_TARGET,
            id="hourly",
        ),
        pytest.param(
            seen(ready=2, cpu_percent=(90.0, 90.0)),
            scaling((CPU, 60)),
            2,
            3,
            Reason.ON_TARGET,
            id="cpu",
        ),
        pytest.param(
            seen(load=steady(5), ready=3),
            scaling(("gpuCacheUtilization", 50)),
            3,
            3,
            Reason.NO_DATA,
            id="an-unknown-metric-holds",
        ),
        pytest.param(
            seen(load=QUIET),
            scaling((IN_FLIGHT, 5)),
            0,
            1,
            Reason.AT_MIN,
            id="a-minimum-is-there-from-the-start",
        ),
        pytest.param(
            seen(), scaling(min_replicas=2), 0, 2, Reason.AT_MIN, id="even-without-reports"
        ),
        pytest.param(
            seen(ready=5),
            scaling(max_replicas=3),
            5,
            3,
            Reason.AT_MAX,
            id="a-lower-maximum-counts-at-once",
        ),
    ],
)
def test_decision(observation, asked, current, replicas, reason):
    decision = once(observation, asked, current=current)
    assert (decision.replicas, decision.reason) == (replicas, reason)
    assert decision.previous_replicas == current
    assert decision.id == ""


def test_the_first_decision_takes_what_is_there_as_wanted():
    decision = once(seen(ready=2, pending=1), current=None)
    assert (decision.replicas, decision.reason) == (3, Reason.NO_DATA)
    assert decision.previous_replicas == 3


def test_the_record_tells_every_step_with_its_number():
    decision = once(seen(load=steady(45), ready=4), current=4)
    assert [(s.name, s.value, s.note) for s in decision.steps] == [
        (f"policy:{CONCURRENCY}", 5, "ceil(45 / 10) = 5"),
        ("damping", 5, "5 wanted"),
        ("bounds", 5, "between 0 and 20"),
    ]
    assert decision.inputs["load"] == 45
    assert decision.inputs["coverage_ratio"] == 1
    assert decision.next == "6 more in flight -> 6; 5 fewer in flight -> 4; to 0 after 300 s idle"


@pytest.mark.parametrize(
    ("observation", "asked", "note"),
    [
        pytest.param(
            seen(load=steady(0, coverage_ratio=0.5, silent=2, workers=2), ready=4),
            scaling(),
            "0 wanted, but 2 of 4 gateway workers are silent",
            id="silent-workers",
        ),
        pytest.param(
            seen(load=steady(0, coverage_ratio=0.5), ready=4),
            scaling(),
            "0 wanted, but the window is not covered yet",
            id="young-window",
        ),
        pytest.param(
            seen(load=QUIET, ready=4),
            scaling((CONCURRENCY, 10), (PER_HOUR, 10)),
            "0 wanted, but a policy has no data",
            id="no-opinion",
        ),
    ],
)
def test_holding_names_its_cause(observation, asked, note):
    decision = once(observation, asked, current=4)
    assert note in [step.note for step in decision.steps]


def test_cpu_is_in_the_record():
    decision = once(seen(ready=3, cpu_percent=(50.0, None, 70.0)), scaling((CPU, 60)), current=3)
    assert decision.inputs["cpu_percent"] == 60
    assert decision.inputs["load"] is None
    assert decision.inputs["coverage_ratio"] == 0


def test_the_record_survives_its_journal():
    decision = once(seen(load=steady(45), ready=4), current=4)
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision


# -- over time ----------------------------------------------------------------------------------


def follow(views: list[tuple[float, LoadView | None, int]], asked: Scaling, *, start: int = 0):
    """Decide once per view; (time, view, ready replicas)."""
    state: DecisionState | None = DecisionState(wanted=start)
    counts = []
    for now_s, view, ready in views:
        decision, state = decide(seen(load=view, ready=ready), asked, state, now_s=now_s)
        counts.append(decision.replicas)
    return counts


def test_requests_that_wait_for_a_cold_start_do_not_make_the_wish_run_away():
    # 20 requests a second for 60 s of cold start; believed demand stays 20, the queue does not.
    views: list[tuple[float, LoadView | None, int]] = [
        (
            float(second),
            steady(
                20.0 * second,
                queued=20 * second,
                mean_stable=20.0 * second * second / 120,
                mean_panic=20.0 * max(0, second - 3),
                demand_stable=20.0 * second / 60,
                demand_panic=20.0 * min(second, 6) / 6,
                demand_now=20.0,
            ),
            0,
        )
        for second in range(1, 61)
    ]
    counts = follow(views, scaling(max_replicas=1000))
    assert set(counts) == {2}


def test_a_long_cold_start_keeps_what_was_asked_for_the_burst():
    waiting = steady(
        200, queued=200, demand_stable=0, demand_panic=0, demand_now=0, mean_stable=200
    )
    views: list[tuple[float, LoadView | None, int]] = [(0.0, steady(200, queued=200), 0)]
    views += [(float(second), waiting, 0) for second in range(1, 300)]
    assert set(follow(views, scaling())) == {20}


def test_waking_for_more_than_the_maximum_holds_the_maximum():
    decision, state = decide(
        seen(load=steady(9000, queued=9000)), scaling(), DecisionState(wanted=0), now_s=0.0
    )
    assert (decision.replicas, decision.reason) == (20, Reason.AT_MAX)
    decision, _ = decide(seen(load=steady(5), ready=20), scaling(), state, now_s=30.0)
    assert (decision.replicas, decision.reason) == (20, Reason.PANIC)


def test_a_burst_is_held_for_a_stable_window_and_then_leaves_in_halves():
    views: list[tuple[float, LoadView | None, int]] = [(0.0, steady(80), 1)]
    counts = follow(views, scaling(), start=1)
    state = DecisionState(wanted=8, damping=DampingState(panic_at_s=0.0, peak=8))
    for second in range(1, 66):
        decision, state = decide(
            seen(load=steady(5), ready=counts[-1]), scaling(), state, now_s=float(second)
        )
        counts.append(decision.replicas)
    assert counts[:61] == [8] * 61
    assert counts[61:] == [4, 2, 1, 1, 1]


def test_by_default_a_sixth_of_what_was_wanted_leaves_every_five_minutes():
    views: list[tuple[float, LoadView | None, int]] = [
        (0.0, steady(80), 8),
        (1.0, steady(5), 8),
        (299.0, steady(5), 8),
        (300.0, steady(5), 8),
        (301.0, steady(5), 6),
        (599.0, steady(5), 6),
        (600.0, steady(5), 6),
    ]
    asked = scaling(settings=AutoscalerSettings())
    assert follow(views, asked, start=8) == [8, 8, 8, 6, 6, 6, 5]


@pytest.mark.parametrize("delay_s", [0.0, 300.0])
def test_what_is_found_at_the_start_counts_as_wanted_then(delay_s):
    asked = scaling(settings=AutoscalerSettings(scale_down_delay_s=delay_s))
    decision, _ = decide(seen(load=steady(5), ready=9), asked, None, now_s=1000.0)
    assert decision.replicas == (9 if delay_s else 7)


def test_from_load_to_zero_and_back():
    views: list[tuple[float, LoadView | None, int]] = [
        (0.0, steady(15), 2),
        (60.0, steady(0, mean_stable=3, demand_stable=3), 2),
        (61.0, steady(0, idle_s=61), 1),
        (359.0, steady(0, idle_s=299), 1),
        (360.0, steady(0, idle_s=300), 1),
        (361.0, steady(0, idle_s=301), 0),
        (362.0, steady(1, queued=1), 0),
    ]
    assert follow(views, scaling(), start=2) == [2, 1, 1, 1, 0, 0, 1]
