"""How much traffic a candidate may get, and whether it is worse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle.weights import Reading, Tally, Verdict, capped_share, judge
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.workloads import WeightRule
from gateway.core.load import bucket

RULE = WeightRule(error_rate_margin=0.05, latency_margin=0.5, quantile=0.9, min_requests=10)


@pytest.mark.parametrize(
    ("percent", "candidate", "active", "expected"),
    [
        pytest.param(20, 1, 1, 20, id="less-than-its-part"),
        pytest.param(80, 1, 1, 50, id="no-more-than-its-part"),
        pytest.param(50, 1, 3, 25, id="one-of-four"),
        pytest.param(50, 1, 200, 1, id="at-least-one-percent"),
        pytest.param(50, 0, 3, 0, id="none-without-a-replica"),
        pytest.param(50, 1, 0, 50, id="as-asked-where-the-active-one-sleeps"),
    ],
)
def test_capped_share(percent, candidate, active, expected):
    assert capped_share(percent, candidate_ready=candidate, active_ready=active) == expected


@given(percent=st.integers(1, 99), candidate=st.integers(0, 50), active=st.integers(0, 50))
def test_more_replicas_never_get_less_and_nobody_gets_more_than_asked(percent, candidate, active):
    share = capped_share(percent, candidate_ready=candidate, active_ready=active)
    assert 0 <= share <= percent
    assert share <= capped_share(percent, candidate_ready=candidate + 1, active_ready=active)


def report(worker: str, **load: object) -> LoadReport:
    protons = {"p": ProtonLoad(workload_id="w", **load)} if load else {}
    return LoadReport(worker_id=worker, sent_at=0, clock_s=0, revision=1, protons=protons)


def test_a_reading_is_what_came_since_over_all_workers():
    before = report(
        "one", finished={"2xx": 5, "5xx": 1}, response_time={3: 2, 4: 1}, refused_user=1
    )
    found = Tally("p", [before]).read(
        [
            report(
                "one",
                finished={"2xx": 9, "5xx": 2, "refused": 3, "aborted": 7},
                refused_user=2,
                response_time={3: 4, 4: 1},
            ),
            report("two", finished={"4xx": 2}, response_time={3: 1}),
            report("three"),
        ]
    )
    assert (found.requests, found.failed) == (4 + 1 + 3 + 2, 1 + 2)
    assert found.response_time == {3: 3}


def test_what_a_worker_counted_stays_counted_when_it_ends():
    tally = Tally("p", [report("one", finished={"2xx": 5})])
    tally.read([report("one", finished={"2xx": 6, "5xx": 4})])
    found = tally.read([report("two", finished={"2xx": 2})])
    assert (found.requests, found.failed) == (5 + 2, 4)


def seen(requests: int, *, failed: int = 0, seconds: float = 0.1) -> Reading:
    return Reading(requests=requests, failed=failed, response_time={bucket(seconds): requests})


@pytest.mark.parametrize(
    ("candidate", "active", "verdict"),
    [
        pytest.param(seen(9), seen(99), Verdict.TOO_FEW, id="too-few"),
        pytest.param(seen(10), seen(99), Verdict.FINE, id="the-same"),
        pytest.param(seen(100, failed=5), seen(100), Verdict.FINE, id="errors-within-the-margin"),
        pytest.param(seen(100, failed=6), seen(100), Verdict.WORSE, id="errors-beyond-it"),
        pytest.param(seen(100, failed=6), seen(0), Verdict.WORSE, id="errors-without-a-rival"),
        pytest.param(
            seen(100, failed=50), seen(100, failed=50), Verdict.FINE, id="both-have-the-errors"
        ),
        pytest.param(seen(100, seconds=0.14), seen(100), Verdict.FINE, id="slower-within"),
        pytest.param(seen(100, seconds=0.16), seen(100), Verdict.WORSE, id="slower-beyond"),
        pytest.param(seen(100, seconds=0.16), seen(9), Verdict.FINE, id="nothing-to-compare-with"),
        pytest.param(
            seen(100, seconds=0.004), seen(100, seconds=0.001), Verdict.FINE, id="noise-is-not-slow"
        ),
        pytest.param(seen(100, seconds=0.01), seen(100, seconds=5), Verdict.FINE, id="faster"),
    ],
)
def test_judge(candidate, active, verdict):
    assert judge(candidate, active, RULE).verdict is verdict


def test_a_judgement_names_the_numbers():
    note = judge(seen(100, failed=8, seconds=0.2), seen(50, failed=1), RULE).note
    assert note == (
        "8.00% of 100 requests failed, of the active proton's 50 2.00%: more than the margin of"
        " 5.00% apart."
    )
    slow = judge(seen(100, seconds=0.2), seen(50), RULE).note
    assert "90% of its responses took up to" in slow
    assert "more than the margin of 50% apart" in slow
