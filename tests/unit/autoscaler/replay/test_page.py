"""The page and its charts: self-contained, readable, and nothing of a trace's name is markup."""

import xml.etree.ElementTree as ET

import pytest

from autoscaler.replay.chance import parse_service
from autoscaler.replay.comparison import compare
from autoscaler.replay.contestants import ours, peers
from autoscaler.replay.drawing import Line, chart, clock, nice_ceiling, time_ticks
from autoscaler.replay.page import page
from autoscaler.replay.plots import comparison_png
from autoscaler.replay.policy_file import policy_of
from autoscaler.replay.report import as_json, coarser, shown_columns, so_far, summary
from autoscaler.replay.traces import Arrival, Trace
from autoscaler.replay.world import World


@pytest.fixture(scope="module")
def comparison():
    wish = policy_of(
        {
            "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 2}],
            "maxReplicaCount": 5,
        },
        name="p",
    )
    arrivals = [Arrival(20.0 + i * 0.1) for i in range(300)]
    trace = Trace(name="<b>.csv", format="arrivals", read=lambda: iter(arrivals))
    scalers = [
        ours(wish, began_at=None, concurrency=None),
        *peers(["knative", "keda"], wish, concurrency=None),
    ]
    world = World(replica_limit=wish.replica_limit, gpus=2.0, price_per_hour=3.0)
    return compare(trace, world, scalers, service=parse_service("0.5"), seed=1)


def test_the_page_needs_nothing_else_and_shows_every_scaler(comparison):
    made = page(comparison, command="tidegate simulate --trace '<b>.csv'")
    assert "<b>.csv" not in made
    assert "&lt;b&gt;.csv" in made
    for reference in ("http:", "https:", "src=", "<script", "@import", "url("):
        assert reference not in made
    for name in ("tidegate", "knative", "keda", "replica-hours", "GPU-hours", "price"):
        assert name in made
    assert made.count("<svg") == 3 + 3 + 2 + 3
    assert "prefers-color-scheme: dark" in made


def test_the_page_has_every_series_over_time(comparison):
    made = page(comparison, command="x")
    for scaler in ("tidegate", "knative", "keda"):
        assert f"Replicas of {scaler}: ready; dashed: wanted" in made
    assert made.count("stroke-dasharray") == 3, "everybody's wish"
    for what in ("Cold so far", "Answered 503 or 504 so far"):
        assert what in made
    for percent in (50, 95, 99):
        assert f"Waiting time, {percent} % of requests waited less" in made


def test_what_happens_seldom_is_shown_as_its_total_so_far(comparison):
    first = comparison.outcomes[0]
    grown = so_far(first.timeline.rows, lambda row: row.cold)
    assert grown == sorted(grown)
    assert grown[-1] == first.cold > 0


def test_charts_that_are_compared_have_the_same_axis():
    low, high = (Line(name="x", colour=0, at_s=[0.0], values=[v]) for v in (2.0, 9.0))
    axes = [chart("t", [line], end_s=1.0, highest=9.0).count(">10<") for line in (low, high)]
    assert axes == [1, 1]
    assert chart("t", [low], end_s=1.0).count(">2<") == 1


def test_the_picture_is_a_png(comparison):
    assert comparison_png(comparison).startswith(b"\x89PNG")


def test_a_summary_has_hours_and_price(comparison):
    first = summary(comparison.outcomes[0], comparison.world)
    assert first["gpu_hours"] == pytest.approx(2 * first["replica_hours"], abs=1e-3)
    assert first["price"] == pytest.approx(3 * first["replica_hours"], abs=1e-3)
    assert first["requests"] == first["answered"] == 300
    assert list(shown_columns([{**first, "price": None}]))[:2] == ["scaler", "replica_hours"]


def test_json_has_the_timelines_and_the_command(comparison):
    found = as_json(comparison, command="x")
    assert [one["scaler"] for one in found["scalers"]] == ["tidegate", "knative", "keda"]
    assert sum(row["arrivals"] for row in found["scalers"][0]["timeline"]) == 300
    assert found["command"] == "x"
    row = found["scalers"][0]["timeline"][-1]
    assert {"wait_p50_s", "wait_p95_s", "wait_p99_s", "cold", "refused", "wanted"} <= row.keys()


def test_a_coarser_timeline_loses_no_request(comparison):
    rows = comparison.outcomes[0].timeline.rows
    few = coarser(rows, 7)
    assert len(few) <= 7
    assert sum(row.arrivals for row in few) == 300
    assert sum(row.arrivals for row in rows) == 300, "the original stays"
    assert coarser([], 7) == []


def test_a_chart_is_wellformed_and_leaves_gaps():
    line = Line(name="<x>", colour=0, at_s=[0, 1, 2, 3], values=[1, None, 3, 3], filled=True)
    drawn = chart("a < b", [line], end_s=4.0)
    found = ET.fromstring(drawn)  # noqa: S314 - our own
    paths = [p for p in found.iter("path") if p.get("class") == "line"]
    assert paths[0].get("d").count("M") == 2


def test_a_chart_without_values_has_its_axes():
    assert ET.fromstring(chart("empty", [], end_s=0.0)) is not None  # noqa: S314


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (45, "45s"), (60, "1m"), (90, "1m30"), (3600, "1h"), (5400, "1h30"),
     (86_400, "1d"), (90_000, "25h")],
)  # fmt: skip
def test_moments_are_short(seconds, shown):
    assert clock(float(seconds)) == shown


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.3, 0.4), (1, 1), (7, 8), (83, 100)])
def test_axes_end_at_round_numbers(value, top):
    assert nice_ceiling(value) == pytest.approx(top)


@pytest.mark.parametrize("end_s", [1, 59, 600, 3600, 86_400, 30 * 86_400, 400 * 86_400])
def test_axes_have_a_few_round_moments(end_s):
    assert 1 <= len(time_ticks(float(end_s))) <= 10
