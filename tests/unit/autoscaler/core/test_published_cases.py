"""The published test tables of Knative, KEDA and the HPA, run through our arithmetic.

The tables are not part of the repository; without them these tests are skipped.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.damping import activated, damp
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.plan import decide
from autoscaler.core.policy import CONCURRENCY, cpu_wish, load_wish
from autoscaler.core.steps import DampingState
from autoscaler.core.windows import LoadWindows
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import P, load, report, steady

CASES = Path(__file__).resolve().parents[4].parent / "shared" / "cases" / "scaling_cases.json"


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    if not CASES.exists():
        pytest.skip(f"needs the published tables in {CASES}")
    return json.loads(CASES.read_text(encoding="utf-8"))


KNATIVE = AutoscalerSettings(max_scale_up_rate=10, max_scale_down_rate=10, scale_down_delay_s=0)


def knative_scale(
    *,
    ready: int,
    stable: float,
    panic: float,
    target: float,
    current: int,
    state: DampingState,
    now_s: float,
    activation_scale: int = 1,
) -> tuple[int, DampingState]:
    view = steady(0, mean_stable=stable, mean_panic=panic, demand_stable=stable, demand_panic=panic)
    wish = load_wish(CONCURRENCY, target, view, current=current)
    assert wish.stable is not None
    settings = dataclasses.replace(KNATIVE, activation_scale=activation_scale)
    damped, state = damp(
        stable=activated(wish.stable, settings),
        panic=wish.panic,
        ready=ready,
        current=current,
        waiting=False,
        settings=settings,
        state=state,
        now_s=now_s,
    )
    return damped.replicas, state


def test_knatives_autoscaler_table(cases):
    for name, deployment, steps in cases["kpa"]["cases"]:
        state, current = DampingState(), steps[0][1]
        for at_s, ready, stable, panic, want, _burst_capacity in steps:
            current, state = knative_scale(
                ready=ready,
                stable=stable,
                panic=panic,
                target=deployment["target"],
                current=current,
                state=state,
                now_s=float(at_s),
                activation_scale=deployment.get("act", 1),
            )
            assert current == want, (name, at_s)


def test_knatives_panic_table(cases):
    for case in cases["kpa_panic_larger"]["cases"]:
        count, _ = knative_scale(
            ready=5,
            stable=case["stable"],
            panic=case["panic"],
            target=1,
            current=5,
            state=DampingState(panic_at_s=-5.0, peak=5),
            now_s=0.0,
        )
        assert count == case["want"]


@pytest.mark.parametrize("ready", [0, 1, 2])
def test_a_restarted_autoscaler_takes_nothing_away_as_knatives_panics(cases, ready):
    # Knative starts in panic with two ready pods or more; we hold until the window is covered.
    assert cases["kpa_start_panic"]
    asked = Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric=CONCURRENCY, target=10),),
        max_replicas=9,
    )
    state: DecisionState | None = None
    for second in range(60):
        view = steady(0, coverage_ratio=second / 60, idle_s=second) if second else None
        seen = Observation(at=1e9 + second, ready=ready, load=view)
        decision, state = decide(seen, asked, state, now_s=float(second))
        assert decision.replicas == ready, second


def test_knatives_delay_window_table(cases):
    settings = AutoscalerSettings(scale_down_delay_s=5)
    for values, times, expected in cases["max_window"]["cases"]:
        state, found = DampingState(), []
        for at_s, value in zip(times or range(len(values)), values, strict=True):
            damped, state = damp(
                stable=value,
                panic=None,
                ready=1,
                current=1000,
                waiting=False,
                settings=settings,
                state=state,
                now_s=float(at_s),
            )
            found.append(damped.replicas)
        assert found == expected


def meter_reports(events: list[list[Any]]) -> list[Any]:
    """Feed a case's starts and ends to a meter; one report at each `report`."""
    total, level, at_s, found = 0.0, 0, 0.0, [report(0, {P: load()})]
    started = ended = 0
    for what, at_ms in events:
        total += level * (at_ms / 1000 - at_s)
        at_s = at_ms / 1000
        if what == "report":
            counters = load(total, in_flight=level, finished={"2xx": ended})
            found.append(report(at_s, {P: counters}))
        elif what.startswith("in"):
            level, started = level + 1, started + 1
        else:
            level, ended = level - 1, ended + 1
    return found


def test_knatives_request_statistics_table(cases):
    for name, events, expected in cases["request_stats"]["cases"]:
        if name == "non-monotonic":
            # A meter's matter: tests/unit/gateway/core/test_load_published_cases.py has it.
            continue
        reports = meter_reports(events)
        for before, after, want in zip(reports, reports[1:], expected, strict=False):
            span_s = after.clock_s - before.clock_s
            seen = LoadWindows(stable_s=span_s, panic_s=span_s, max_age_s=5.0)
            seen.observe([before], now_s=before.clock_s)
            seen.observe([after], now_s=after.clock_s)
            view = seen.view(P, now_s=after.clock_s)
            assert view is not None
            assert view.mean_stable == pytest.approx(want[0]), name


def feed(seen: LoadWindows, levels: dict[int, float], first: int, last: int) -> None:
    """One report at the end of every second; `levels` is the load during a second."""
    for second in range(first, last + 2):
        total = sum(level for at, level in levels.items() if at < second)
        seen.observe([report(second, {P: load(total, started=1)})], now_s=float(second))


def test_knatives_two_windows_table(cases):
    case = cases["collector_aggregate"]
    seen = LoadWindows(stable_s=case["stable"], panic_s=case["panic"], max_age_s=5.0)
    feed(seen, {second: second + 5.0 for second in range(10)}, 0, 9)
    view = seen.view(P, now_s=10.0)
    assert view is not None
    assert view.mean_stable == pytest.approx(case["want_stable"])
    assert view.mean_panic == pytest.approx(case["want_panic"])


def test_kedas_sudden_stop_table(cases):
    case = cases["keda_buckets_sudden_stop"]
    recorded: dict[int, float] = {}
    for what, second, value in case["ops"]:
        if what == "rec":
            recorded[second] = value
            continue
        seen = LoadWindows(stable_s=case["window"], panic_s=1.0, max_age_s=5.0)
        feed(seen, recorded, min(recorded), second)
        view = seen.view(P, now_s=second + 1.0)
        assert view is not None
        assert view.mean_stable == pytest.approx(value), second


def test_the_hpas_replica_tables(cases):
    for current, usage, ready, target, want in cases["hpa"]["cases"]:
        percents = [milli / 10 for milli, is_ready in zip(usage, ready, strict=True) if is_ready]
        wish = cpu_wish(target, percents, pending=ready.count(0), current=current, tolerance=0.1)
        assert wish.stable == want
    for current, usage, target, want in cases["hpa"]["plain_metric"]:
        assert cpu_wish(target, usage, pending=0, current=current, tolerance=0.1).stable == want
