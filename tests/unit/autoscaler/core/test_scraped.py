"""What replicas say of themselves: reading a page, and sizing by it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from autoscaler.core.scraped import (
    CACHE_USE,
    COMPARED,
    MAX_SERIES,
    QUEUE_DEPTH,
    RUNNING,
    WAITING,
    Reading,
    Sample,
    is_scraped,
    level,
    read_page,
    running_in_all,
    scraped_wish,
)

VLLM = b"""# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B"} 3.0
vllm:num_requests_waiting{engine="1",model_name="meta-llama/Llama-3.1-8B"} 4.0
vllm:num_requests_waiting_by_reason{engine="1",reason="capacity"} 99.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="a \\"quoted\\" } name"} 0.5
vllm:kv_cache_usage_perc{engine="1"} 0.7
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0"} 1.5e+06
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 12.0
vllm:time_to_first_token_seconds_sum 4.5
vllm:time_to_first_token_seconds_count 12.0
"""


@pytest.mark.parametrize(
    ("metric", "scraped"),
    [
        pytest.param("httpRequestsConcurrency", False, id="counted-by-gateways"),
        pytest.param("httpRequestsInFlight", False, id="counted-by-gateways-too"),
        pytest.param("httpRequestsPerHour", False, id="counted-over-the-hour"),
        pytest.param("cpuAverageUtilization", False, id="measured-by-the-reconciler"),
        pytest.param(CACHE_USE, True, id="of-the-replica"),
        pytest.param("my_own_metric", True, id="any-other"),
    ],
)
def test_what_comes_from_the_replicas_own_pages(metric, scraped):
    assert is_scraped(metric) is scraped


@pytest.mark.parametrize(
    ("page", "metric", "expected"),
    [
        pytest.param(VLLM, QUEUE_DEPTH, Reading(7.0), id="counts-of-engines-add-up"),
        pytest.param(VLLM, CACHE_USE, Reading(0.6), id="shares-of-engines-are-averaged"),
        pytest.param(VLLM, "vllm:kv_cache_usage_perc", Reading(0.6), id="by-the-pages-own-name"),
        pytest.param(VLLM, "vllm:prompt_tokens_total", Reading(1.5e6, True), id="a-counter"),
        pytest.param(VLLM, "vllm:prompt_tokens", Reading(1.5e6, True), id="without-total"),
        pytest.param(
            VLLM, "vllm:time_to_first_token_seconds_sum", Reading(4.5, True), id="histogram-sum"
        ),
        pytest.param(
            VLLM, "vllm:time_to_first_token_seconds_count", Reading(12.0, True), id="and-count"
        ),
        pytest.param(VLLM, "vllm:num_requests", None, id="the-beginning-of-a-name-is-no-name"),
        pytest.param(b"num_requests_waiting 2\n", QUEUE_DEPTH, Reading(2.0), id="nim"),
        pytest.param(b"gpu_cache_usage_perc 0.25", CACHE_USE, Reading(0.25), id="no-newline"),
        pytest.param(b"sglang:num_queue_reqs{a=\"b\"} 5\r\n", QUEUE_DEPTH, Reading(5.0), id="crlf"),
        pytest.param(b"tgi_queue_size\t8 1700000000\n", QUEUE_DEPTH, Reading(8.0), id="timestamp"),
        pytest.param(b"x 1 # {id=\"7\"} 3\n", "x", Reading(1.0), id="exemplar"),
        pytest.param(b"jobs_total 3\n", "jobs_total", Reading(3.0, True), id="untyped-counter"),
        pytest.param(b"# TYPE jobs_total gauge\njobs_total 3\n", "jobs_total", Reading(3.0),
                     id="the-type-wins"),
        pytest.param(b"jobs_sum 3\n", "jobs_sum", Reading(3.0), id="untyped-sum-is-a-gauge"),
        pytest.param(b"x NaN\n", "x", None, id="no-number"),
        pytest.param(b"x +Inf\n", "x", None, id="not-finite"),
        pytest.param(b"x 1e308\n", "x", None, id="absurd"),
        pytest.param(b"x many\n", "x", None, id="a-word"),
        pytest.param(b"x{a=\"b 1\n", "x", None, id="an-open-label"),
        pytest.param(b"x\n", "x", None, id="no-value"),
        pytest.param(b"", "x", None, id="an-empty-page"),
        pytest.param(b"# x 1\n", "x", None, id="a-comment"),
        pytest.param(b"<html>x 1</html>", "x", None, id="another-kind-of-page"),
        pytest.param(b"x{a=\"1\"} 1\n" * (MAX_SERIES + 1), "x", None, id="too-many-series"),
        pytest.param(b"x{a=\"1\"} 1\n" * MAX_SERIES, "x", Reading(MAX_SERIES), id="not-too-many"),
        pytest.param(b"x_bucket 1\n" * 2000 + b"x 7\n", "x", Reading(7), id="longer-names"),
    ],
)  # fmt: skip
def test_reading_a_page(page, metric, expected):
    found = read_page(page, [metric, "absent"])
    assert found == ({} if expected is None else {metric: expected})


@pytest.mark.parametrize(
    "generate", [generate_latest, generate_openmetrics], ids=["prometheus", "openmetrics"]
)
def test_pages_of_the_common_library_are_understood(generate):
    registry = CollectorRegistry()
    Gauge("depth", "d", ["q"], registry=registry).labels('odd "name"\n}').set(4)
    Counter("jobs", "j", registry=registry).inc(9)
    Histogram("took_seconds", "t", registry=registry).observe(0.5)
    found = read_page(generate(registry), ["depth", "jobs_total", "jobs", "took_seconds_sum"])
    assert found == {
        "depth": Reading(4.0),
        "jobs_total": Reading(9.0, True),
        "jobs": Reading(9.0, True),
        "took_seconds_sum": Reading(0.5, True),
    }


@given(page=st.binary(max_size=200))
def test_any_bytes_are_a_page(page):
    for reading in read_page(b"x" + page + b"\nx 3\n", ["x"]).values():
        assert math.isfinite(reading.value)


def samples(*values, cumulative=True, every_s=5.0):
    return [Sample(i * every_s, Reading(v, cumulative)) for i, v in enumerate(values)]


@pytest.mark.parametrize(
    ("taken", "now_s", "expected"),
    [
        pytest.param([], 0, None, id="never-asked"),
        pytest.param(samples(3, 7, cumulative=False), 5, 7, id="a-gauge-is-its-last-value"),
        pytest.param(samples(7, cumulative=False), 16, None, id="too-old"),
        pytest.param(samples(100), 0, None, id="a-counter-needs-two"),
        pytest.param(samples(100, 150, 160), 10, 6, id="growth-per-second"),
        pytest.param(samples(100, 150, 10), 10, 6, id="it-began-anew"),
        pytest.param(samples(5, 5), 5, 0, id="it-stands"),
        pytest.param(samples(5, 9, every_s=0), 0, None, id="at-one-moment"),
    ],
)
def test_what_samples_mean(taken, now_s, expected):
    assert level(taken, now_s=now_s, max_age_s=15.0) == expected


@pytest.mark.parametrize(
    ("metric", "target", "values", "pending", "current", "expected"),
    [
        pytest.param(QUEUE_DEPTH, 5, [10, 12], 0, 2, 5, id="queues-are-too-long"),
        pytest.param(QUEUE_DEPTH, 5, [5, 5.2], 0, 2, 2, id="within-the-tolerance"),
        pytest.param(QUEUE_DEPTH, 5, [0, 0, 0], 0, 3, 0, id="empty-queues"),
        pytest.param(QUEUE_DEPTH, 5, [], 2, 2, None, id="nobody-is-ready"),
        pytest.param(QUEUE_DEPTH, 5, [None, None], 0, 2, None, id="nobody-answers"),
        pytest.param(QUEUE_DEPTH, 5, [9, None], 0, 2, 2, id="a-silent-one-is-idle-when-growing"),
        pytest.param(QUEUE_DEPTH, 5, [1, None], 0, 2, 2, id="and-on-target-when-shrinking"),
        pytest.param(QUEUE_DEPTH, 5, [1, 1, None], 0, 3, 2, id="shrinking-in-spite-of-it"),
        pytest.param(QUEUE_DEPTH, 5, [10], 2, 3, 3, id="those-that-start-count-when-growing"),
        pytest.param(CACHE_USE, 80, [0.96, 0.96], 0, 2, 3, id="a-share-against-percent"),
        pytest.param(CACHE_USE, 0.8, [0.96, 0.96], 0, 2, 3, id="a-share-against-a-share"),
        pytest.param("vllm:kv_cache_usage_perc", 80, [0.4, 0.4], 0, 2, 1, id="by-its-own-name"),
        pytest.param("depth", 0.001, [0.004], 0, 1, 4, id="tiny-units"),
        pytest.param("depth", 5, [-3], 0, 2, 0, id="below-nothing-is-nothing"),
    ],
)  # fmt: skip
def test_sizing_by_what_replicas_say(metric, target, values, pending, current, expected):  # noqa: PLR0917
    wish = scraped_wish(metric, target, values, pending=pending, current=current, tolerance=0.1)
    assert wish.stable == expected
    assert wish.panic is None
    assert wish.floor == 1


def test_without_numbers_it_says_why():
    def note(trouble):
        wish = scraped_wish("x", 1, [None], pending=0, current=1, tolerance=0.1, trouble=trouble)
        return wish.note

    assert note("") == "no ready replica has been asked yet"
    assert note("replica r1 answered 500") == "replica r1 answered 500"


@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 50)), min_size=1, max_size=8),
    more=st.floats(0, 20),
    pending=st.integers(0, 5),
    current=st.integers(0, 20),
)
def test_longer_queues_never_want_fewer_replicas(values, more, pending, current):
    higher = [None if v is None else v + more for v in values]
    facts = {"pending": pending, "current": current, "tolerance": 0.1}
    low = scraped_wish(QUEUE_DEPTH, 5, values, **facts).stable
    high = scraped_wish(QUEUE_DEPTH, 5, higher, **facts).stable
    assert (low is None) == (high is None)
    if low is not None and high is not None:
        assert high >= low


@pytest.mark.parametrize(
    ("running", "waiting", "expected"),
    [
        pytest.param((3.0, 4.0), (0.0, 2.0), 9.0, id="all-tell"),
        pytest.param((3.0, None), (0.0, 2.0), None, id="one-does-not"),
        pytest.param((3.0, 4.0), (None, None), None, id="only-half"),
        pytest.param((), (), None, id="nobody-is-there"),
    ],
)
def test_requests_in_all_replicas_are_known_when_all_of_them_tell(running, waiting, expected):
    assert running_in_all(running, waiting) == expected


def test_what_counts_are_compared_with_is_read_from_the_pages_of_vllm():
    page = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m"} 7.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="m"} 2.0
"""
    found = read_page(page, COMPARED)
    assert (found[RUNNING].value, found[WAITING].value) == (7.0, 2.0)
