"""When probes are due and what they say: the table of the module, walked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.replica_probes import (
    FAST_MAX_S,
    FAST_MIN_S,
    Health,
    ProbeKind,
    ProbePlan,
    Track,
    Verdict,
    adopted,
    due_s,
    observe,
    probe_port,
    probe_request,
)
from controlplane.model.artifacts import Container, Probe

READY_PROBE = Probe(path="/ready", initial_delay_s=30, period_s=10, failure_threshold=3)
LIVE_PROBE = Probe(path="/live", initial_delay_s=20, period_s=10, failure_threshold=2)
START_PROBE = Probe(path="/start", initial_delay_s=5, period_s=10, failure_threshold=3)

FULL = ProbePlan(startup=START_PROBE, readiness=READY_PROBE, liveness=LIVE_PROBE)
READINESS_ONLY = ProbePlan(readiness=READY_PROBE)
NOTHING = ProbePlan()


def after(plan: ProbePlan, health: Health, kind: ProbeKind, *results: tuple[float, bool]) -> Health:
    """Health after some results, each with the moment of its try."""
    for asked_s, success in results:
        health = observe(plan, health, kind, success=success, asked_s=asked_s)
    return health


def test_a_plan_takes_the_probes_of_the_container():
    container = Container(
        readiness_probe=READY_PROBE, liveness_probe=LIVE_PROBE, startup_probe=START_PROBE
    )
    assert ProbePlan.of(container) == FULL
    assert [FULL.probe(kind) for kind in ProbeKind] == [START_PROBE, READY_PROBE, LIVE_PROBE]


def test_readiness_is_tried_at_once_whatever_its_initial_delay():
    assert due_s(READINESS_ONLY, Health(started_s=100), ProbeKind.READINESS) == 100


@pytest.mark.parametrize(
    ("elapsed_s", "gap_s"),
    [
        pytest.param(0.0, FAST_MIN_S, id="at-the-start"),
        pytest.param(0.2, FAST_MIN_S, id="a-fast-start"),
        pytest.param(4.0, 0.2, id="five-percent-of-the-elapsed-time"),
        pytest.param(600.0, FAST_MAX_S, id="never-more-than-a-second"),
    ],
)
def test_a_starting_replica_is_asked_again_soon(elapsed_s: float, gap_s: float):
    health = after(
        READINESS_ONLY, Health(started_s=100), ProbeKind.READINESS, (100 + elapsed_s, False)
    )
    due = due_s(READINESS_ONLY, health, ProbeKind.READINESS)
    assert due == pytest.approx(100 + elapsed_s + gap_s)


def test_the_hurry_never_exceeds_the_period():
    plan = ProbePlan(readiness=Probe(path="/", period_s=0.01))
    health = after(plan, Health(started_s=0), ProbeKind.READINESS, (600, False))
    assert due_s(plan, health, ProbeKind.READINESS) == pytest.approx(600.01)


def test_a_success_inside_the_initial_delay_is_taken():
    health = after(READINESS_ONLY, Health(started_s=0), ProbeKind.READINESS, (0.1, True))
    assert health.verdict is Verdict.READY


def test_several_successes_are_a_period_apart():
    plan = ProbePlan(readiness=Probe(path="/", period_s=5, success_threshold=2))
    once = after(plan, Health(started_s=0), ProbeKind.READINESS, (1, True))
    assert once.verdict is Verdict.STARTING
    assert due_s(plan, once, ProbeKind.READINESS) == 6
    assert after(plan, once, ProbeKind.READINESS, (6, True)).verdict is Verdict.READY
    relapsed = after(plan, once, ProbeKind.READINESS, (6, False), (7, True))
    assert relapsed.verdict is Verdict.STARTING


def test_readiness_is_lost_after_the_threshold_and_found_again():
    health = after(READINESS_ONLY, Health(started_s=0), ProbeKind.READINESS, (0, True))
    assert due_s(READINESS_ONLY, health, ProbeKind.READINESS) == 10
    health = after(READINESS_ONLY, health, ProbeKind.READINESS, (10, False), (20, False))
    assert health.verdict is Verdict.READY
    health = after(READINESS_ONLY, health, ProbeKind.READINESS, (30, False))
    assert health.verdict is Verdict.UNREADY
    health = after(READINESS_ONLY, health, ProbeKind.READINESS, (40, False))
    assert health.verdict is Verdict.UNREADY
    assert due_s(READINESS_ONLY, health, ProbeKind.READINESS) == 50
    assert after(READINESS_ONLY, health, ProbeKind.READINESS, (50, True)).verdict is Verdict.READY


def test_a_service_that_is_never_ready_is_not_dead_by_readiness():
    health = after(
        READINESS_ONLY, Health(started_s=0), ProbeKind.READINESS, (1000, False), (2000, False)
    )
    assert health.verdict is Verdict.STARTING


def test_without_a_readiness_probe_the_first_connection_decides_for_ever():
    health = Health(started_s=0)
    assert due_s(NOTHING, health, ProbeKind.READINESS) == 0
    assert due_s(NOTHING, health, ProbeKind.STARTUP) is None
    assert due_s(NOTHING, health, ProbeKind.LIVENESS) is None
    health = after(NOTHING, health, ProbeKind.READINESS, (0, False), (0.1, True))
    assert health.verdict is Verdict.READY
    assert due_s(NOTHING, health, ProbeKind.READINESS) is None


def test_the_startup_probe_comes_alone_and_first():
    health = Health(started_s=0)
    assert due_s(FULL, health, ProbeKind.STARTUP) == 0
    assert due_s(FULL, health, ProbeKind.READINESS) is None
    assert due_s(FULL, health, ProbeKind.LIVENESS) is None
    health = after(FULL, health, ProbeKind.STARTUP, (1, True))
    assert health.verdict is Verdict.STARTING
    assert due_s(FULL, health, ProbeKind.STARTUP) is None
    assert due_s(FULL, health, ProbeKind.READINESS) == 0
    assert due_s(FULL, health, ProbeKind.LIVENESS) == 20


@pytest.mark.parametrize(
    ("asked_s", "verdict"),
    [
        pytest.param(4.9, Verdict.STARTING, id="inside-the-initial-delay"),
        pytest.param(5.0, Verdict.STARTING, id="first-failure-that-counts"),
        pytest.param(24.9, Verdict.STARTING, id="second"),
        pytest.param(25.0, Verdict.DEAD, id="third"),
    ],
)
def test_the_startup_budget_is_counted_in_periods_not_in_tries(asked_s: float, verdict: Verdict):
    tries = [(moment / 10, False) for moment in range(int(asked_s * 10) + 1)]
    health = after(FULL, Health(started_s=0), ProbeKind.STARTUP, *tries, (asked_s, False))
    assert health.verdict is verdict
    assert health.dead_by is (ProbeKind.STARTUP if verdict is Verdict.DEAD else None)


def test_liveness_failures_in_a_row_are_death_and_nothing_is_asked_any_more():
    plan = ProbePlan(liveness=LIVE_PROBE)
    health = after(plan, Health(started_s=0), ProbeKind.LIVENESS, (20, False), (30, True))
    assert due_s(plan, health, ProbeKind.LIVENESS) == 40
    health = after(plan, health, ProbeKind.LIVENESS, (40, False))
    assert health.verdict is not Verdict.DEAD
    health = after(plan, health, ProbeKind.LIVENESS, (50, False))
    assert health.verdict is Verdict.DEAD
    assert health.dead_by is ProbeKind.LIVENESS
    assert all(due_s(plan, health, kind) is None for kind in ProbeKind)


def test_a_result_of_a_probe_that_is_not_in_the_plan_is_a_mistake():
    with pytest.raises(ValueError, match="no liveness probe"):
        observe(NOTHING, Health(started_s=0), ProbeKind.LIVENESS, success=True, asked_s=0)


@pytest.mark.parametrize(
    ("ready", "was_ready", "verdict"),
    [
        (True, True, Verdict.READY),
        (False, True, Verdict.UNREADY),
        (False, False, Verdict.STARTING),
    ],
)
def test_an_adopted_replica_keeps_its_standing_and_is_asked_at_once(
    ready: bool, was_ready: bool, verdict: Verdict
):
    health = adopted(started_s=-500, ready=ready, was_ready=was_ready)
    assert health.verdict is verdict
    due = due_s(READINESS_ONLY, health, ProbeKind.READINESS)
    assert due == -500
    assert health.track(ProbeKind.STARTUP) == Track(passed=was_ready)


@given(
    results=st.lists(st.booleans(), max_size=30),
    plan=st.sampled_from([FULL, READINESS_ONLY, NOTHING]),
)
def test_nothing_is_due_before_the_last_try(results: list[bool], plan: ProbePlan):
    health = Health(started_s=0)
    now_s = 0.0
    for success in results:
        moments = {
            kind: moment for kind in ProbeKind if (moment := due_s(plan, health, kind)) is not None
        }
        if not moments:
            break
        kind, moment_s = min(moments.items(), key=lambda item: item[1])
        now_s = max(now_s, moment_s)
        health = observe(plan, health, kind, success=success, asked_s=now_s)
        again_s = due_s(plan, health, kind)
        assert again_s is None or again_s > now_s


@pytest.mark.parametrize(
    ("probe_names", "container_names", "expected"),
    [
        pytest.param(None, 9000, 21_000, id="names-none"),
        pytest.param(9000, 9000, 21_000, id="names-the-container's"),
        pytest.param(8080, 8080, 21_000, id="contract-default-is-the-container's"),
        pytest.param(8080, None, 21_000, id="contract-default-and-container-names-none"),
        pytest.param(8080, 9000, 8080, id="another-port"),
        pytest.param(9100, None, 9100, id="another-port-and-container-names-none"),
    ],
)
def test_probe_port(probe_names: int | None, container_names: int | None, expected: int):
    probe = Probe(path="/", port=probe_names)
    assert probe_port(probe, container_port=container_names, port=21_000) == expected


def test_the_request_carries_the_owner_s_headers_in_place_of_ours():
    probe = Probe(path="ready?full=1", http_headers={"host": "model.example", "X-Key": "k"})
    assert probe_request(probe, host="127.0.0.1", port=21_000) == (
        b"GET /ready?full=1 HTTP/1.1\r\nhost: model.example\r\nUser-Agent: tidegate-probe\r\n"
        b"Accept: */*\r\nX-Key: k\r\nConnection: close\r\n\r\n"
    )


def test_no_probe_can_be_more_than_one_request():
    probe = Probe(path="/a b\r\nX: y", http_headers={"X-A": "1\r\n\r\nGET / HTTP/1.1"})
    request = probe_request(probe, host="h", port=1)
    assert request.count(b"\r\n\r\n") == 1
    assert request.startswith(b"GET /a%20b%0D%0AX:%20y HTTP/1.1\r\nHost: h:1\r\n")
    assert b"X-A: 1 GET / HTTP/1.1\r\n" in request
