import pytest

from loadtests.overhead.children import BenchError
from loadtests.overhead.peers import Target
from loadtests.overhead.report import as_markdown, as_text
from loadtests.overhead.rounds import CaseResult, Round, Spread, ratios, run_rounds


def _round(cpu_us):
    return Round(
        requests=1000,
        per_second=500.0,
        cpu_us=cpu_us,
        user_us=cpu_us / 2,
        system_us=cpu_us / 2,
        busy_ratio=0.9,
        p50_ms=1.0,
        p99_ms=2.0,
        rss_bytes=2**20,
    )


def _case(name, *costs):
    return CaseResult(name=name, version="1", rounds=tuple(_round(c) for c in costs))


def test_spread_is_the_median_with_its_range():
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(median=3.0, low=1.0, high=10.0)


def test_ratio_is_taken_within_rounds_so_that_a_slow_round_of_both_does_not_count():
    cases = [_case("ours", 20, 40, 22), _case("peer", 10, 20, 10)]
    assert ratios(cases, ours="ours") == {"peer": Spread(median=2.0, low=2.0, high=2.2)}


def test_ratio_without_ours_is_refused():
    with pytest.raises(BenchError, match="ours was not measured"):
        ratios([_case("peer", 1)], ours="ours")


def test_every_round_measures_every_proxy_and_starts_with_another_one():
    targets = [Target(name=n, version="1", url="", child=None) for n in "abc"]
    order = []

    def measure_one(target):
        order.append(target.name)
        return _round(1.0)

    cases = run_rounds(targets, measure_one, rounds=3, say=lambda _: None)
    assert "".join(order) == "abcbcacab"
    assert [(c.name, len(c.rounds)) for c in cases] == [("a", 3), ("b", 3), ("c", 3)]


def test_report_names_every_proxy_its_ratio_and_what_is_missing():
    cases = [_case("tidegate", 30, 33), _case("nginx", 20, 22)]
    result = {
        "title": "Small answers",
        "machine": {"cpu": "some CPU", "cores": 2, "kernel": "6.1", "python_loop_ms": 8.0},
        "versions": {"python": "CPython 3.11"},
        "rounds": 2,
        "seconds": 1,
        "direct_per_second": 90_000,
        "store_cpu_us": 0.1,
        "cases": [case.as_json() for case in cases],
        "missing": ["haproxy is not installed (apt-get install haproxy)"],
        "ratio": {"nginx": 1.5},
        "ratio_spread": {"nginx": [1.5, 1.5]},
    }
    for page in (as_text(result), as_markdown(result)):
        assert "tidegate 1" in page
        assert "against nginx: 1.50 times" in page
        assert "haproxy is not installed" in page
        assert "some CPU" in page
