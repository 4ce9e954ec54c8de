import pytest

from loadtests.overhead.children import BenchError
from loadtests.overhead.rounds import Spread, ratios, run_rounds
from loadtests.overhead.target import Target
from tests.unit.loadtests.overhead.results import result_of, round_of


def test_spread_is_the_median_with_its_range():
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(median=3.0, low=1.0, high=10.0)


def test_ratio_is_taken_within_rounds_so_that_a_slow_round_of_both_does_not_count():
    results = [result_of("ours", 20, 40, 22), result_of("peer", 10, 20, 10)]
    assert ratios(results, ours="ours") == {"peer": Spread(median=2.0, low=2.0, high=2.2)}


def test_ratio_without_ours_is_refused():
    with pytest.raises(BenchError, match="ours was not measured"):
        ratios([result_of("peer", 1)], ours="ours")


def test_every_round_measures_every_proxy_and_starts_with_another_one():
    targets = [Target(name=n, version="1", origin="", process=None) for n in "abc"]
    order = []

    def measure_one(target):
        order.append(target.name)
        return round_of(1.0)

    results = run_rounds(targets, measure_one, rounds=3, say=lambda _: None)
    assert "".join(order) == "abcbcacab"
    assert [(r.name, len(r.rounds)) for r in results] == [("a", 3), ("b", 3), ("c", 3)]


def test_a_result_keeps_its_rounds_and_their_medians():
    told = result_of("ours", 20, 40, 22, growth_bytes=1024).as_json()
    assert told["cpu_us"] == {"median": 22, "low": 20, "high": 40}
    assert told["growth_bytes"]["median"] == 1024
    assert told["count"] == 3000
    assert [r["user_us"] for r in told["rounds"]] == [5, 10, 5.5]
