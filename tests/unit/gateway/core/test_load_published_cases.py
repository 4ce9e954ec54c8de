"""Knative's published cases for what carries requests: its meter, its queue and its proxy errors.

The tables are not part of the repository; without them these tests are skipped. Where a table is
prose, every sentence has its own test elsewhere, of the same behaviour or of our better one, or
a reason why there is nothing to test; a sentence without either fails.
"""

from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.load import LoadMeter
from tests.unit.autoscaler.replay.published import published_cases

TESTS: Final = Path(__file__).resolve().parents[3]
SERVED, REFUSED = 1, 5

QUEUE: Final = "integration/gateway/test_queue.py"
SENTENCES: Final[dict[str, dict[str, str]]] = {
    "breaker": {
        "depth1,conc1,cap1": f"{QUEUE}::test_a_full_queue_is_503_with_a_hint_when_to_come_again",
        "depth1,conc1,cap0": f"{QUEUE}::"
        "test_requests_to_nothing_are_held_until_a_replica_becomes_ready",
        "cancelled waiter": f"{QUEUE}::test_who_leaves_the_queue_makes_room",
        "reserve never waits": "unit/gateway/core/test_balancing.py::"
        "test_a_full_endpoint_is_never_chosen_and_none_only_when_all_are_full",
        "release without acquire": "unit/gateway/core/test_exchange.py::"
        "test_any_sequence_of_events_ends_at_most_once_and_never_leaves_the_end",
        "constructor rejects": "unit/controlplane/wire/test_runtime.py::"
        "test_groups_that_cannot_work_are_refused",
        "capacity may grow": f"{QUEUE}::test_a_raised_limit_lets_the_queue_go_at_once",
    },
    "proxy_errors": {
        "queue full": f"{QUEUE}::test_a_full_queue_is_503_with_a_hint_when_to_come_again",
        # 504, not 503: the queue had room, time ran out.
        "waiting deadline": f"{QUEUE}::"
        "test_a_request_that_waits_too_long_is_504_with_a_hint_when_to_come_again",
        "timeout before first byte": "integration/gateway/test_malformed.py::"
        "test_a_replica_that_does_not_answer_in_time_is_504",
        "timeout after bytes": "integration/gateway/test_limits.py::"
        "test_an_answer_that_flows_for_too_long_is_cut",
        "response-start timeout": "unit/gateway/core/test_exchange.py::"
        "test_nothing_is_answered_by_the_gateway_or_repeated_once_the_client_has_a_head",
        "idle timeout resets": "integration/gateway/test_upgrades.py::"
        "test_a_busy_tunnel_outlives_the_idle_timeout",
        "panic in handler": "integration/gateway/test_lost_replicas.py::"
        "test_a_replica_that_ends_within_its_head_is_502_for_every_method",
        "kubelet/probe requests": "",  # probes go to replicas, never through the gateway
    },
}
"""By the first words of a published sentence: the test of it."""


@pytest.mark.parametrize("table", sorted(SENTENCES))
def test_every_published_sentence_has_its_test(table):
    known = SENTENCES[table]
    sentences = published_cases()[table]["cases"]
    assert len(sentences) == len(known)
    for sentence in sentences:
        named = [where for words, where in known.items() if sentence.startswith(words)]
        assert len(named) == 1, sentence
        file, _, name = named[0].partition("::")
        assert not file or f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), sentence


def measured(events: list[list[Any]]) -> list[list[float]]:
    """What a meter counts up to each `report`: mean load, mean waiting, requests started.

    What Knative calls proxied came through its activator, which holds requests: here they wait.
    """
    meter = LoadMeter("w", now_s=0.0)
    found, before, at_s = [], (0.0, 0.0, 0), 0.0
    for what, at_ms in events:
        now_s = at_ms / 1000
        held = what.endswith("P")
        if what.startswith("in"):
            meter.start(now_s, 0)
            if not held:
                meter.send(now_s)
        elif what.startswith("out"):
            meter.finish(now_s, REFUSED if held else SERVED, sent=not held)
        else:
            meter.advance(now_s)
            now = (meter.load_seconds, meter.queued_seconds, meter.started)
            span_s, at_s = now_s - at_s, now_s
            found.append([(now[0] - before[0]) / span_s, (now[1] - before[1]) / span_s])
            found[-1].append(now[2] - before[2])
            before = now
    return found


def test_knatives_request_statistics_table():
    # The fourth column counts requests through the activator; no counter of ours tells them apart.
    for name, events, expected in published_cases()["request_stats"]["cases"]:
        for counted, want in zip(measured(events), expected, strict=True):
            assert counted == pytest.approx(want[:3]), name


FIRST_REQUESTS: Final[dict[str, tuple[list[list[Any]], list[tuple[float, int]]]]] = {
    "first request of an unknown revision": (
        [["in", 0], ["report", 1000]],
        [(1, 1)],
    ),
    "two starts t=0": (
        [["in", 0], ["in", 0], ["report", 1], ["report", 2]],
        [(1 + 1, 1 + 1), (2, 0)],
    ),
    "0-1 ms and 1-2 ms back to back": (
        [["in", 0], ["out", 1], ["in", 1], ["out", 2], ["report", 2]],
        [(1 + 0, 1 + 1)],
    ),
    "interleaved 0-1 and 0-2": (
        [["in", 0], ["in", 0], ["out", 1], ["out", 2], ["report", 2]],
        [(1 + 0.5, 1 + 1)],
    ),
    "a full idle interval": (
        [["in", 0], ["out", 1], ["report", 1], ["report", 2], ["in", 2], ["report", 3]],
        [(1, 1), (0, 0), (1, 1)],
    ),
    "report racing with first event": (
        [["in", 0], ["out", 0], ["report", 1], ["report", 2]],
        [(0, 1), (0, 0)],
    ),
}
"""Knative's activator tells of a first request at once and takes it off the next report; ours
wakes the autoscaler and counts on, so its two numbers together are our one."""


def test_knatives_first_requests_are_counted_once():
    sentences = published_cases()["activator_first_request"]["cases"]
    assert len(sentences) == len(FIRST_REQUESTS)
    for sentence in sentences:
        [(events, expected)] = [
            case for words, case in FIRST_REQUESTS.items() if sentence.startswith(words)
        ]
        counted = [(mean, started) for mean, _, started in measured(events)]
        assert counted == [pytest.approx(want) for want in expected], sentence
