import json
import re
from html.parser import HTMLParser

import pytest

from loadtests.recording import Recorder, ReplicaSample
from loadtests.report import Report, State, as_json
from loadtests.results_page import page

POST, GET, GAP = ("POST", "/predict"), ("GET", "/stream"), ("GAP", "/stream")


def recorded(*, failed=0, unfinished=0, streams=False):
    recorder = Recorder()
    for second in range(10):
        for number in range(10):
            recorder.ended(second + number / 10, POST, 10.0 + second, None)
    for _ in range(failed):
        recorder.ended(5.5, POST, 1.0, "503 <queue_full>")
    if streams:
        recorder.ended(5.5, GET, 900.0, None)
        recorder.ended(5.5, GAP, 20.0, None)
    recorder.started = recorder.ended_count + unfinished
    recorder.users = dict.fromkeys(range(10), 3)
    return recorder


def report(recorder, **changes):
    return Report(
        **{
            "url": "http://gateway/<x>",
            "state": State.FINISHED,
            "began": "2026-01-01T00:00:00+00:00",
            "planned_s": 10.0,
            "is_open": False,
            "options": {"shape": "steady"},
            "versions": {"locust": "2.0"},
            "recorder": recorder,
            "busy_ratio": 0.5,
            **changes,
        }
    )


class Checker(HTMLParser):
    """Collects what an HTML file loads, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "line", "polyline"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.loads = []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def verdict(text):
    return re.search(r'<p class="verdict (\w+)">([^<]*)</p>', text).groups()


@pytest.mark.parametrize("is_open", [False, True])
def test_the_page_is_well_formed_and_loads_nothing(is_open):
    recorder = recorded(failed=2, streams=True)
    recorder.was_late(1.0, 3.0)
    recorder.was_cold(1.0, 900.0)
    recorder.replicas = [ReplicaSample(0.0, 0, None), ReplicaSample(1.0, 2, 2)]
    text = page(report(recorder, is_open=is_open))
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.loads == []
    assert "url(" not in text
    assert "<x>" not in text
    assert "<queue_full>" not in text


@pytest.mark.parametrize(
    ("changes", "state", "kind", "says"),
    [
        ({}, State.FINISHED, "good", "Finished after 9.9 s."),
        ({"failed": 4}, State.FINISHED, "bad", "4 of 104 requests failed."),
        ({"unfinished": 2}, State.FINISHED, "bad", "2 requests were still unanswered"),
        ({}, State.INTERRUPTED, "bad", "Interrupted after 10 of 10 s"),
        ({"unfinished": 2}, State.RUNNING, "good", "Running, 10 of 10 s so far. If no"),
    ],
)
def test_the_verdict_says_how_the_run_ended(changes, state, kind, says):
    found = verdict(page(report(recorded(**changes), state=state)))
    assert found[0] == kind
    assert says in found[1]


def test_a_run_without_a_request_is_not_good():
    assert verdict(page(report(Recorder()))) == (
        "bad",
        "Finished after 0.0 s. No request has ended.",
    )


def test_a_load_generator_that_was_the_slow_part_is_named():
    assert "core was full" in verdict(page(report(recorded(), busy_ratio=0.95)))[1]
    recorder = recorded()
    recorder.was_late(1.0, 99.0)
    assert verdict(page(report(recorder, is_open=True)))[0] == "good"
    for _ in range(9):
        recorder.was_late(2.0, 150.0)
    assert "went out late" in verdict(page(report(recorder, is_open=True)))[1]


def test_quantiles_stand_alone_only_where_one_kind_of_request_was_sent():
    assert "p99 ms</span>" in page(report(recorded()))
    assert "p99 ms</span>" not in page(report(recorded(streams=True)))


@pytest.mark.parametrize(
    ("is_open", "says"), [(False, "coordinated omission"), (True, "from the moment a request was")]
)
def test_the_page_says_how_it_measured(is_open, says):
    text = page(report(recorded(), is_open=is_open))
    assert says in text
    assert ("Sent later than due" in text) == is_open


def test_the_page_says_why_there_are_no_replicas():
    assert "no API" in page(report(recorded(), replica_problem="no API"))


def test_a_long_run_has_as_many_points_as_a_page_can_show():
    recorder = Recorder()
    for second in range(36_000):
        recorder.ended(second, POST, 10.0, None)
    longest = max(re.findall(r'points="([^"]*)"', page(report(recorder))), key=len)
    assert longest.count(",") <= 240


def test_the_numbers_are_there_for_programs():
    recorder = recorded(failed=3, unfinished=1, streams=True)
    found = json.loads(as_json(report(recorder)))
    assert (found["started"], found["ended"], found["failed"], found["unfinished"]) == (
        105,
        104,
        3,
        1,
    )
    requests = {(row["type"], row["name"]): row for row in found["requests"]}
    assert requests[POST]["errors"] == {"503 <queue_full>": 3}
    assert requests[GAP]["is_part"]
    assert sum(second["ended"] for second in found["seconds"]) == found["ended"]
    assert found["state"] == "finished"
