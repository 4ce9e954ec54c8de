"""Synthetic traffic: its rate, its bursts, and that a seed makes it again."""

import itertools
import math
import random
from statistics import fmean, pstdev

import pytest

from autoscaler.replay.chance import Service, constant
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.generate import GAPS, PATTERNS, Traffic, gap_of, generate, weibull_shape

DAY_S = 86_400.0


def moments(seed=1, **traffic):
    defaults = {"duration_s": 3600.0, "per_s": 2.0}
    return [a.at_s for a in generate(Traffic(**defaults | traffic), None, seed=seed)]


@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_equal_seeds_make_equal_traffic_and_others_do_not(pattern, gaps):
    one = moments(patterns=(pattern,), gaps=gaps, variation=3.0)
    assert one == moments(patterns=(pattern,), gaps=gaps, variation=3.0)
    assert one != moments(seed=2, patterns=(pattern,), gaps=gaps, variation=3.0)
    assert all(0 <= a <= b < 3600 for a, b in itertools.pairwise(one))


@pytest.mark.parametrize("variation", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("kind", ["gamma", "weibull"])
def test_gaps_have_a_mean_of_one_and_their_variation(kind, variation):
    rng = random.Random(5)
    gap = gap_of(kind, variation)
    found = [gap(rng) for _ in range(30_000)]
    assert fmean(found) == pytest.approx(1.0, rel=0.1)
    assert pstdev(found) / fmean(found) == pytest.approx(variation, rel=0.15)


def test_weibull_of_variation_one_is_exponential():
    assert weibull_shape(1.0) == pytest.approx(1.0)


def test_steady_traffic_has_its_rate():
    assert len(moments()) == pytest.approx(7200, rel=0.05)


def test_a_day_is_lowest_at_night_and_weekends_are_quieter():
    found = moments(duration_s=7 * DAY_S, per_s=0.02, patterns=("diurnal",))
    by_day = [sum(int(m // DAY_S) == day for m in found) for day in range(7)]
    assert by_day[6] / by_day[0] == pytest.approx(0.6, abs=0.12)
    night = sum(2 * 3600 <= m % DAY_S < 4 * 3600 for m in found)
    noon = sum(14 * 3600 <= m % DAY_S < 16 * 3600 for m in found)
    assert noon > 4 * night


def test_spikes_are_as_high_as_they_should_be():
    found = moments(duration_s=DAY_S, per_s=1.0, patterns=("spikes",), spike_factor=20.0)
    by_minute = [0] * 1440
    for at_s in found:
        by_minute[int(at_s // 60)] += 1
    assert max(by_minute) > 900
    assert sorted(by_minute)[700] == pytest.approx(60, rel=0.3)


def test_pauses_have_no_requests_for_about_half_of_the_time():
    found = moments(duration_s=DAY_S, per_s=1.0, patterns=("pauses",), pause_s=600.0)
    empty = 1440 - len({int(at_s // 60) for at_s in found})
    assert 400 < empty < 1000


def test_workloads_have_falling_shares_and_are_mixed():
    traffic = Traffic(duration_s=3600.0, per_s=4.0, workloads=4)
    found = list(generate(traffic, None, seed=1))
    counts = [sum(a.workload == f"workload-{i}" for a in found) for i in range(1, 5)]
    assert sum(counts) == len(found)
    assert counts[0] / counts[1] == pytest.approx(2.0, rel=0.15)
    assert [a.at_s for a in found] == sorted(a.at_s for a in found)


def test_service_times_and_tokens_are_told_when_asked_for():
    traffic = Traffic(duration_s=60.0, per_s=2.0, mean_tokens=(100.0, 10.0))
    found = list(generate(traffic, Service(draw=constant(0.3)), seed=1))
    assert {a.service_s for a in found} == {0.3}
    assert all(a.prompt_tokens >= 1 and a.generated_tokens >= 1 for a in found)
    assert moments(duration_s=60.0) == [
        a.at_s
        for a in generate(Traffic(duration_s=60.0, per_s=2.0), Service(draw=constant(1.0)), seed=1)
    ], "the moments do not depend on what is told"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patterns": ("steady", "foo")}, "--pattern: no pattern is called 'foo'"),
        ({"gaps": "foo"}, "--gaps: no gaps are called 'foo'"),
        ({"spike_every_s": math.inf}, "spike_every_s must be a finite number above 0, not inf"),
        ({"spike_s": math.inf}, "spike_s"),
        ({"pause_s": math.inf}, "pause_s"),
        ({"per_s": math.nan}, "per_s"),
    ],
)
def test_settings_are_refused_before_the_first_request(settings, said):
    with pytest.raises(ReplayError, match=said):
        generate(Traffic(**{"duration_s": 60, "per_s": 1.0, **settings}), None, seed=1)


def test_unknown_names_and_impossible_variations_are_refused():
    with pytest.raises(ReplayError, match="no pattern"):
        moments(patterns=("tidal",))
    with pytest.raises(ReplayError, match="no gaps"):
        moments(gaps="pareto")
    with pytest.raises(ReplayError, match="variation"):
        moments(gaps="gamma", variation=100.0)
