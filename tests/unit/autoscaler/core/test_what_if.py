"""What is said of a policy comes true: just beyond the number, it wishes what was said."""

import re

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoscaler.core.observation import Observation, Scaling
from autoscaler.core.plan import wish_of
from autoscaler.core.policy import CONCURRENCY, CPU, IN_FLIGHT, PER_HOUR
from autoscaler.core.replica_waits import Waits
from autoscaler.core.what_if import unknown, ways_down, ways_up
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import steady

CACHE = "gpuCacheUtilization"
QUEUE = "gpuRequestQueueDepth"


def asked(*policies: tuple[str, float], tolerance: float = 0.0, used: float = 0.1) -> Scaling:
    settings = AutoscalerSettings(tolerance_ratio=tolerance, cpu_tolerance_ratio=used)
    made = tuple(ScalingPolicy(metric=metric, target=target) for metric, target in policies)
    return Scaling(
        workload_id="w", proton_id="p", policies=made, max_replicas=50, settings=settings
    )


def seen(**changes: object) -> Observation:
    return Observation(at=0.0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scaling", "observation", "replicas", "up", "down"),
    [
        pytest.param(
            asked((CPU, 70.0)),
            seen(ready=3, cpu_percent=(55.0, 61.0, 67.0)),
            3,
            [("CPU above 77% (now 61%)", 4)],
            ["CPU below 46.7% (now 61%)"],
            id="cpu",
        ),
        pytest.param(
            asked((CPU, 70.0)),
            seen(ready=20, cpu_percent=(70.0,) * 20),
            20,
            [("CPU above 77% (now 70%)", 23)],
            ["CPU below 63% (now 70%)"],
            id="many-replicas-move-by-more-than-one",
        ),
        pytest.param(
            asked((CPU, 70.0)),
            seen(ready=2, pending=2, waits=Waits(starting=2), cpu_percent=(100.0, 100.0)),
            4,
            [("CPU above 154% (now 100%)", 5)],
            ["CPU below 63% (now 100%)"],
            id="those-that-start-count-as-idle",
        ),
        pytest.param(
            asked((CPU, 70.0)),
            seen(ready=3, cpu_percent=(30.0, None, None)),
            3,
            [("CPU above 231% (now 30%)", 4)],
            ["CPU of 2 more measured"],
            id="those-that-are-not-measured-are-in-the-way",
        ),
        pytest.param(
            asked((CACHE, 0.8)),
            seen(ready=2, scraped={CACHE: (0.5, 0.7)}),
            2,
            [(f"{CACHE} above 88% (now 60%)", 3)],
            [f"{CACHE} below 40% (now 60%)"],
            id="shares-are-percent",
        ),
        pytest.param(
            asked((QUEUE, 4.0)),
            seen(ready=2, scraped={QUEUE: (5.0, None)}),
            2,
            [(f"{QUEUE} above 8.8 (now 5)", 3)],
            [f"{QUEUE} of 1 more measured"],
            id="any-metric",
        ),
        pytest.param(
            asked((PER_HOUR, 3600.0)),
            seen(per_hour=9000.0),
            3,
            [("1802 more requests an hour", 4)],
            ["1799 fewer requests an hour"],
            id="per-hour",
        ),
        pytest.param(
            asked((PER_HOUR, 100.0), tolerance=0.1),
            seen(per_hour=301.0),
            3,
            [("30 more requests an hour", 4)],
            ["101 fewer requests an hour"],
            id="per-hour-within-its-tolerance",
        ),
        pytest.param(
            asked((CONCURRENCY, 10.0), tolerance=0.1),
            seen(load=steady(29)),
            3,
            [("5 more in flight", 4)],
            ["9 fewer in flight"],
            id="load-within-its-tolerance",
        ),
        pytest.param(
            asked((CONCURRENCY, 10.0), (CPU, 70.0), (PER_HOUR, 100.0)),
            seen(load=steady(29), per_hour=40.0, cpu_percent=(61.0,) * 3),
            3,
            [
                ("2 more in flight", 4),
                ("CPU above 77% (now 61%)", 4),
                ("261 more requests an hour", 4),
            ],
            ["9 fewer in flight", "CPU below 46.7% (now 61%)"],
            id="who-is-not-in-the-way-is-not-named",
        ),
        pytest.param(
            asked((CPU, 70.0), (CACHE, 80.0), (PER_HOUR, 100.0), (IN_FLIGHT, 5.0)),
            seen(),
            3,
            [],
            [],
            id="nothing-is-known",
        ),
        pytest.param(
            asked((CPU, 70.0), (PER_HOUR, 1.0), (IN_FLIGHT, 1.0)),
            seen(cpu_percent=(100.0, 99.0), per_hour=90.0, load=steady(90)),
            2,
            [],
            ["89 fewer in flight", "CPU below 35% (now 99.5%)", "89 fewer requests an hour"],
            id="what-wants-more-already-is-no-way-up",
        ),
    ],
)
def test_ways(scaling, observation, replicas, up, down):
    assert sorted(ways_up(scaling, observation, replicas)) == sorted(up)
    assert sorted(ways_down(scaling, observation, replicas)) == sorted(down)


def test_use_that_is_low_enough_already_is_not_in_the_way():
    idle = seen(cpu_percent=(1.0, 2.0))
    assert ways_down(asked((CPU, 70.0)), idle, 2) == []


def test_policies_without_data_are_named_but_for_load():
    scaling = asked((CPU, 70.0), (CACHE, 80.0), (PER_HOUR, 100.0), (IN_FLIGHT, 5.0))
    assert unknown(scaling, seen()) == [CPU, CACHE, PER_HOUR]
    known = seen(cpu_percent=(None, 1.0), per_hour=0.0, scraped={CACHE: (0.0,)})
    assert unknown(scaling, known) == []


USED = st.lists(st.one_of(st.none(), st.floats(0.01, 200.0)), min_size=1, max_size=12)


@given(
    policy=st.tuples(st.sampled_from([CPU, QUEUE, CACHE]), st.floats(5.0, 95.0)),
    values=USED,
    pending=st.integers(0, 3),
    extra=st.integers(-2, 3),
    tolerance=st.floats(0.0, 0.3),
)
def test_beyond_what_is_said_of_use_the_wish_is_what_was_said(
    policy, values, pending, extra, tolerance
):
    _, target = policy
    scaling = asked(policy, used=tolerance)
    replicas = max(2, len(values) + pending + extra)

    def with_mean(mean: float) -> Observation:
        now = sum(v for v in values if v is not None) / len([v for v in values if v is not None])
        scaled = tuple(None if v is None else v * mean / now for v in values)
        shares = tuple(None if v is None else v / 100 for v in scaled)
        pages = {QUEUE: scaled, CACHE: shares}
        waits = Waits(starting=pending)
        return seen(
            ready=len(values), pending=pending, waits=waits, cpu_percent=scaled, scraped=pages
        )

    def wish(mean: float) -> int:
        found = wish_of(scaling.policies[0], with_mean(mean), scaling, current=replicas).stable
        assert found is not None
        return found

    assume(any(value is not None for value in values))
    calm = with_mean(target)
    for words, count in ways_up(scaling, calm, replicas):
        limit = limit_in(words)
        assert wish(limit * 1.006) >= count > replicas
        assert wish(limit * 0.994) <= replicas
    for words in ways_down(scaling, calm, replicas):
        if "measured" in words:
            assert wish(0.02 * target) >= replicas
            continue
        limit = limit_in(words)
        assert wish(limit * 0.994) < replicas
        assert wish(limit * 1.006) >= replicas or limit * 1.006 > target


def limit_in(words: str) -> float:
    """The number in `CPU above 77% (now 61%)`."""
    found = re.search(r"(?:above|below) ([0-9.e+-]+)", words)
    assert found is not None
    return float(found[1])


@given(
    target=st.floats(0.5, 5000.0),
    rate=st.floats(0.0, 1e5),
    replicas=st.integers(2, 40),
    tolerance=st.sampled_from([0.0, 0.1, 0.25]),
)
def test_beyond_what_is_said_of_requests_the_wish_is_what_was_said(
    target, rate, replicas, tolerance
):
    scaling = asked((PER_HOUR, target), tolerance=tolerance)

    def wish(rate: float) -> int:
        observation = seen(per_hour=max(0.0, rate))
        found = wish_of(scaling.policies[0], observation, scaling, current=replicas).stable
        assert found is not None
        return found

    for words, count in ways_up(scaling, seen(per_hour=rate), replicas):
        more = int(words.split()[0])
        assert wish(rate + more) == count > replicas
        assert wish(rate + more - 1 - (tolerance > 0)) <= replicas
    for words in ways_down(scaling, seen(per_hour=rate), replicas):
        fewer = int(words.split()[0])
        assert wish(rate - fewer) < replicas
        assert wish(rate - fewer + 1 + (tolerance > 0)) >= replicas


@given(
    target=st.integers(1, 30),
    load=st.integers(0, 900),
    replicas=st.integers(2, 30),
    tolerance=st.sampled_from([0.0, 0.1]),
)
def test_beyond_what_is_said_of_load_the_wish_is_what_was_said(target, load, replicas, tolerance):
    scaling = asked((CONCURRENCY, float(target)), tolerance=tolerance)

    def wish(load: int) -> int:
        observation = seen(load=steady(load))
        found = wish_of(scaling.policies[0], observation, scaling, current=replicas).stable
        assert found is not None
        return found

    for words, count in ways_up(scaling, seen(load=steady(load)), replicas):
        more = int(words.split()[0])
        assert wish(load + more) == count > replicas
        assert wish(load + more - 1 - (tolerance > 0)) <= replicas
    for words in ways_down(scaling, seen(load=steady(load)), replicas):
        fewer = int(words.split()[0])
        assert wish(load - fewer) < replicas
        assert wish(load - fewer + 1 + (tolerance > 0)) >= replicas


def test_the_best_of_several_targets_of_load_is_said_once():
    scaling = asked((CONCURRENCY, 10.0), (IN_FLIGHT, 4.0))
    observation = msgspec.structs.replace(seen(), load=steady(11))
    assert ways_up(scaling, observation, 3) == [("2 more in flight", 4)]
    assert ways_down(scaling, observation, 3) == ["3 fewer in flight"]
