import pytest

from loadtests.api.__main__ import main
from loadtests.api.calls import CALLS
from loadtests.api.contents import records, workload_id
from loadtests.api.page import as_markdown, as_text, calls_table


def result(*sizes, cpu_ms=1.0):
    call = {"count": 10, "cpu_ms": cpu_ms, "p50_ms": 2.0, "p99_ms": 3.0}
    return {
        "machine": {"cpu": "a processor", "cores": 2, "kernel": "6", "python_loop_ms": 9.0},
        "versions": {"tidegate": "0.1"},
        "seconds": 1,
        "sizes": [
            {
                "workloads": size,
                "start_s": 1.5,
                "rss_bytes": 100 << 20,
                "calls": {call_.name: dict(call) for call_ in CALLS},
            }
            for size in sizes
        ],
    }


def test_the_page_has_a_row_for_each_call_and_a_column_for_each_size():
    page = as_markdown(result(100, 1_000, 10_000))
    for call in CALLS:
        assert call.title in page
    for size in ("100", "1,000", "10,000"):
        assert f"CPU at {size}, ms" in page
    assert "a processor" in as_text(result(100))


@pytest.mark.parametrize(
    ("sizes", "cpu_ms", "said"),
    [
        pytest.param((10_000,), 0.5, "met", id="met"),
        pytest.param((10_000,), 1e6, "**missed**", id="missed"),
        pytest.param((100,), 1e6, "", id="not-the-size-of-the-budget"),
    ],
)
def test_a_budget_is_judged_at_its_size_only(sizes, cpu_ms, said):
    _, *rows = calls_table(result(*sizes, cpu_ms=cpu_ms))
    assert {row[-1] for row in rows} == {said}


def test_the_store_has_all_that_belongs_to_a_workload():
    found = records(3, token="a" * 40)
    assert {record.id for record in found} >= {workload_id(1), workload_id(3)}
    assert len({record.id for record in found}) == len(found) - 3  # a scale has its proton's id


@pytest.mark.parametrize(
    "arguments",
    [
        ["--render", "--quick"],
        ["--workloads", "0"],
        ["--calls", "nothing"],
        ["--render", "--calls", "get"],
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "error" in capsys.readouterr().err


def test_calls_name_other_workloads_each_turn():
    for call in CALLS:
        asked = [call.ask(10_000, turn) for turn in range(2)]
        assert all(not one.path.startswith("/") for one in asked)
    get = next(call for call in CALLS if call.name == "get")
    assert get.ask(10_000, 1) != get.ask(10_000, 2)
