import pytest

from loadtests.overhead.page import (
    _BEGIN,
    _END,
    CHART,
    HOME,
    as_markdown,
    routes_table,
    with_budgets,
    without_rounds,
)
from tests.unit.loadtests.overhead.results import bench_result, case_of, result_of

ROUTES = {
    "sizes": [
        {
            "workloads": 10_000,
            "start_s": 1.25,
            "rss_bytes": 77 * 2**20,
            "cpu_us": {"median": 43.61, "low": 42.5, "high": 45.2},
        }
    ]
}


def _result():
    return bench_result(
        case_of("json-64", result_of("tidegate", 30), result_of("nginx", 20)),
        case_of("events", result_of("tidegate", 12), result_of("nginx", 10)),
    )


def test_the_page_has_the_budgets_a_table_for_each_case_and_the_chart():
    page = as_markdown(_result(), None)
    assert f"({CHART.relative_to(HOME)})" in page
    assert "| CPU per request against nginx | <= 1.5 x | 1.50 x (1.50..1.50) | met |" in page
    assert "| memory per idle keep-alive connection | <= 2 KiB |  | not measured |" in page
    assert "| proxy | CPU per event, us |" in page
    assert "## The number of workloads" not in page


def test_the_cost_of_many_workloads_is_a_section_once_it_was_measured():
    assert routes_table(ROUTES)[1] == ("10,000", "43.6", "42.5..45.2", "1.2", "77")
    assert "| 10,000 | 43.6 |" in as_markdown(_result(), ROUTES)


def test_single_rounds_are_not_kept_and_the_page_does_not_need_them():
    kept = without_rounds(_result())
    assert "rounds" not in kept["cases"][0]["results"][0]
    assert as_markdown(kept, None) == as_markdown(_result(), None)
    assert without_rounds(ROUTES) == ROUTES


def test_the_front_page_gets_the_budgets_and_nothing_else_changes():
    page = f"# T\n\n{_BEGIN}\nold\n{_END}\n\nrest\n"
    once = with_budgets(page, _result())
    assert once.startswith(f"# T\n\n{_BEGIN}\n\n| budget")
    assert once.endswith(f"\n\n{_END}\n\nrest\n")
    assert "old" not in once
    assert with_budgets(once, _result()) == once


@pytest.mark.parametrize("page", ["", _BEGIN, _END])
def test_a_front_page_without_its_marks_is_left_alone(page):
    with pytest.raises(ValueError, match="around its table of budgets"):
        with_budgets(page, _result())
