import pytest

from loadtests.overhead.budgets import BUDGETS, Budget, verdict
from loadtests.overhead.cases import BY_NAME
from loadtests.overhead.peers import PEERS
from tests.unit.loadtests.overhead.results import bench_result, case_of, result_of

AGAINST_NGINX = Budget(what="CPU", case="json-64", peer="nginx", bar=1.5)
IDLE = Budget(what="memory", case="idle", bar=2.0)


def test_every_budget_is_about_a_case_and_a_peer_that_exist():
    assert {b.case for b in BUDGETS} <= set(BY_NAME)
    assert {b.peer for b in BUDGETS if b.peer} <= {peer.name for peer in PEERS}
    assert all(BY_NAME[b.case].memory for b in BUDGETS if b.peer is None)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        pytest.param((14, 15, 16), ("1.50 x (1.40..1.60)", "met"), id="at-the-bar"),
        pytest.param((14, 15.1, 16), ("1.51 x (1.40..1.60)", "**missed**"), id="just-above"),
    ],
)
def test_the_median_decides_and_the_spread_is_told(ours, expected):
    case = case_of("json-64", result_of("tidegate", *ours), result_of("nginx", 10, 10, 10))
    assert verdict(AGAINST_NGINX, bench_result(case)) == ("CPU", "<= 1.5 x", *expected)


@pytest.mark.parametrize(
    ("growth", "expected"), [(2048, ("2.00 KiB (2.00..2.00)", "met")), (2100, None)]
)
def test_memory_is_judged_in_kib_of_ours_alone(growth, expected):
    case = case_of("idle", result_of("tidegate", 10, growth_bytes=growth))
    told = verdict(IDLE, bench_result(case))
    assert told[1] == "<= 2 KiB"
    assert told[2:] == (expected or ("2.05 KiB (2.05..2.05)", "**missed**"))


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([], id="case-not-run"),
        pytest.param([case_of("json-64", result_of("tidegate", 10))], id="peer-not-there"),
    ],
)
def test_what_was_not_measured_is_neither_met_nor_missed(cases):
    assert verdict(AGAINST_NGINX, bench_result(*cases))[2:] == ("", "not measured")
