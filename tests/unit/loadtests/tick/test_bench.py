"""The tick benchmark drives the real loop, and everything in it is busy."""

import json

import pytest

from loadtests.tick import day
from loadtests.tick.__main__ import main
from loadtests.tick.bench import run
from loadtests.tick.page import as_markdown, as_text, days_table, table


def result(workloads: int, seconds: float) -> dict[str, object]:
    return {
        "workloads": workloads,
        "gateways": 4,
        "seconds_per_tick": seconds,
        "slowest_s": seconds,
        "microseconds_per_workload": 1e6 * seconds / workloads,
        "rss_bytes": 100 << 20,
        "journal_entries_per_round": 17.0,
        "warm_rounds": 65,
        "compiled": True,
        "machine": {"cpu": "a processor", "kernel": "6", "python_loop_ms": 9.0},
        "versions": {"tidegate": "0.1 (interpreted)", "python": "3.11", "msgspec": "0.22"},
    }


def test_every_workload_is_decided_on_and_kept_in_the_journal():
    told: list[str] = []
    measured = run(30, 2, quick=True, say=told.append)
    assert (measured["workloads"], measured["gateways"]) == (30, 2)
    assert measured["seconds_per_tick"] > 0
    assert measured["rss_bytes"] > 1 << 20
    assert measured["journal_entries_per_round"] > 0
    assert told


def test_the_result_is_written_as_json(tmp_path, capsys):
    path = tmp_path / "tick.json"
    assert main(["--workloads", "5", "--gateways", "1", "--quick", "--json", str(path)]) == 0
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert {"workloads", "gateways", "seconds_per_tick", "rss_bytes"} <= kept.keys()
    assert "s per round" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("workloads", "seconds", "said"),
    [
        pytest.param(10_000, 0.4, "<= 0.5 s: met", id="met"),
        pytest.param(10_000, 0.6, "<= 0.5 s: **missed**", id="missed"),
        pytest.param(1_000, 0.6, "", id="not-the-size-of-the-budget"),
    ],
)
def test_the_budget_is_judged_at_its_size_only(workloads, seconds, said):
    assert table([result(workloads, seconds)])[1][-1] == said


def test_the_page_has_a_row_for_each_size():
    results = [result(1_000, 0.04), result(10_000, 0.4)]
    page = as_markdown(results, [])
    assert "| 1,000 | 4 | 0.040 |" in page
    assert "| 10,000 | 4 | 0.400 |" in page
    assert "a processor" in as_text(results)
    assert "tidegate 0.1 (compiled)" in as_text(results)


def test_a_day_is_replayed_and_judged():
    measured = day.measure("busy in every second", duration_s=120.0, runs=1)
    assert 60 < measured["requests"] < 300
    assert measured["quickest_s"] == measured["slowest_s"] == measured["seconds"] > 0
    assert days_table([measured])[1][-1] == "<= 2 s: met"
    assert days_table([measured | {"seconds": 2.1}])[1][-1] == "<= 2 s: **missed**"
    assert "| busy in every second |" in as_markdown([result(1_000, 0.04)], [measured])


@pytest.mark.parametrize(
    "arguments", [["--render", "--quick"], ["--render", "--day"], ["--workloads", "0"]]
)
def test_what_makes_no_sense_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "error" in capsys.readouterr().err
