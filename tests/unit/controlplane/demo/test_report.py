import pytest

from controlplane.demo.client import Outcome
from controlplane.demo.report import (
    Row,
    Story,
    milliseconds,
    problems,
    quantile,
    summary,
)
from controlplane.demo.traffic import Phase
from controlplane.model.decisions import Decision, Reason

PHASES = [
    Phase(name="first", start_s=0.0, end_s=2.0),
    Phase(name="burst", start_s=2.0, end_s=4.0),
    Phase(name="quiet", start_s=4.0, end_s=6.0),
]


def row(at_s: float, phase: str, **fields) -> Row:
    return Row(
        **{
            "at_s": at_s,
            "phase": phase,
            "sent": 0,
            "failed": 0,
            "rate_per_s": 0.0,
            "in_flight": 0,
            "queued": 0,
            "wanted": 0,
            "ready": 0,
            "replicas": 0,
            "decision": "stays at 0 replicas",
            "reason": "idle",
            "p50_ms": None,
            "p95_ms": None,
            **fields,
        }
    )


def decision(at: float, before: int, after: int, reason: Reason) -> Decision:
    return Decision(
        id="d",
        at=at,
        workload_id="w",
        proton_id="p",
        replicas=after,
        previous_replicas=before,
        reason=reason,
    )


def outcome(phase: str, seconds: float, status: int | None = 200, error: str = "") -> Outcome:
    return Outcome(phase=phase, at_s=100.0, seconds=seconds, status=status, error=error)


def story(**fields) -> Story:
    """A demo in which everything went well."""
    return Story(
        **{
            "seconds": 25.0,
            "phases": PHASES,
            "began_at": 1000.0,
            "clock_start_s": 99.0,
            "rows": [
                row(0.5, "first", queued=1),
                row(3.0, "burst", ready=4, replicas=5, queued=9),
                row(5.0, "quiet"),
            ],
            "outcomes": [outcome("first", 1.25), outcome("burst", 0.1), outcome("burst", 0.2)],
            "sent": 3,
            "decisions": [
                decision(1000.5, 0, 1, Reason.WAKE_UP),
                decision(1001.0, 1, 1, Reason.ON_TARGET),
                decision(1002.5, 1, 4, Reason.PANIC),
            ],
            "started": 3,
            "finished": 3,
            "cold_starts": 1,
            "exit_code": 0,
            **fields,
        }
    )


def test_a_good_run_has_no_problems_and_every_promised_key():
    facts = summary(story())
    assert facts["ok"]
    assert facts["problems"] == []
    expected = {
        "requests": 3,
        "failed": 0,
        "cold_start_s": 1.25,
        "max_ready_replicas": 4,
        "final_replicas": 0,
        "p50_ms": 200.0,
        "p95_ms": 1250.0,
        "decisions": 3,
        "started": 3,
        "finished": 3,
    }
    assert {key: facts[key] for key in expected} == expected
    assert facts["changes"] == [
        {"at_s": 0.5, "from": 0, "to": 1, "reason": "wake_up"},
        {"at_s": 2.5, "from": 1, "to": 4, "reason": "panic"},
    ]
    assert facts["phases"][1] == {
        "name": "burst",
        "start_s": 2.0,
        "end_s": 4.0,
        "requests": 2,
        "failed": 0,
        "p50_ms": 100.0,
        "p95_ms": 200.0,
        "max_queued": 9,
        "max_ready_replicas": 4,
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param(
            {"outcomes": [outcome("first", 1.0), outcome("burst", 1.0, 503, "queue_full"),
                          outcome("burst", 1.0, None, "refused")]},
            "2 requests failed: 1 x queue_full, 1 x refused", id="failures",
        ),
        pytest.param(
            {"outcomes": [outcome("first", 1.0)] * 2 + [outcome("burst", 1.0, 302)]},
            "1 requests failed: 1 x 302", id="a-redirect-is-no-answer",
        ),
        pytest.param({"outcomes": []}, "3 requests were sent, 0 ended", id="lost"),
        pytest.param(
            {"sent": 0, "outcomes": [], "started": 0}, "nothing was sent", id="no-traffic"
        ),
        pytest.param({"rows": [row(1.0, "burst", ready=2)]}, "at most 2 replicas", id="no-scaling"),
        pytest.param(
            {"rows": [row(1.0, "burst", ready=3, replicas=1)]}, "1 replicas were left", id="left"
        ),
        pytest.param({"rows": []}, "-1 replicas were left", id="no-samples"),
        pytest.param({"started": 4}, "counted 4 requests, 3 were sent", id="miscounted"),
        pytest.param({"exit_code": 1}, "ended with code 1", id="bad-end"),
    ],
)  # fmt: skip
def test_everything_that_is_not_as_promised_is_a_problem(fields, words):
    facts = summary(story(**fields))
    assert not facts["ok"]
    assert any(words in problem for problem in facts["problems"])


def test_an_end_that_is_not_known_yet_is_no_problem():
    assert problems(story(exit_code=None)) == []


def test_a_failed_first_request_has_no_cold_start():
    assert summary(story(outcomes=[outcome("first", 1.0, 504)]))["cold_start_s"] is None


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        pytest.param([], 0.5, None, id="none"),
        pytest.param([3.0], 0.95, 3.0, id="one"),
        pytest.param([4.0, 1.0, 3.0, 2.0], 0.5, 2.0, id="middle"),
        pytest.param(list(map(float, range(1, 101))), 0.95, 95.0, id="rank"),
        pytest.param([1.0, 2.0], 0.0, 1.0, id="least"),
        pytest.param([1.0, 2.0], 1.0, 2.0, id="most"),
    ],
)
def test_quantiles_are_values_that_occurred(values, q, expected):
    assert quantile(values, q) == expected


def test_milliseconds_keep_absence():
    assert milliseconds(None) is None
    assert milliseconds(0.12345) == 123.5
