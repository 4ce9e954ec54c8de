import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.traffic import (
    DEFAULT_COOKIE,
    Affinity,
    AffinityKind,
    Quota,
    Traffic,
    is_reserved,
)
from controlplane.model.workloads import Workload
from controlplane.wire.traffic import AffinityInput, QuotaInput, TrafficInput, TrafficShape
from controlplane.wire.workloads import WorkloadInput, WorkloadPatch
from gateway.core.headers import KINDS
from tests.unit.controlplane.lifecycle import worlds
from tests.unit.controlplane.wire.refusals import refused, refused_because

WHOLE = {
    "affinity": {"kind": "header", "name": "Mcp-Session-Id", "ttlSeconds": 1800},
    "quota": {"requestsPerMinute": 60, "requestsPerHour": 1000, "concurrentRequests": 4},
    "maxBodyBytes": 1048576,
    "requestTimeoutSeconds": 2.5,
}


def model(body):
    return TrafficInput.model_validate(body).to_model()


def test_everything_can_be_said():
    assert model(WHOLE) == Traffic(
        affinity=Affinity(kind=AffinityKind.HEADER, name="Mcp-Session-Id", ttl_s=1800.0),
        quota=Quota(requests_per_minute=60, requests_per_hour=1000, concurrent_requests=4),
        max_body_bytes=1048576,
        request_timeout_s=2.5,
    )


@pytest.mark.parametrize("body", [{}, {"affinity": None, "quota": None}, {"quota": {}}])
def test_nothing_said_is_nothing_set(body):
    assert model(body) == Traffic()


def test_an_affinity_cookie_has_a_name_of_ours_where_nobody_gives_one():
    made = model({"affinity": {"kind": "cookie"}}).affinity
    assert made == Affinity(kind=AffinityKind.COOKIE, name=DEFAULT_COOKIE)


def test_a_body_limit_may_have_a_unit():
    assert model({"maxBodyBytes": "10MB"}).max_body_bytes == 10_000_000


@pytest.mark.parametrize("body", [WHOLE, {}, {"affinity": {"kind": "cookie", "name": "s"}}])
def test_what_is_answered_can_be_sent_back(body):
    answered = TrafficShape.of(model(body)).model_dump(mode="json")
    assert model(answered) == model(body)


def test_whole_seconds_are_answered_as_integers():
    answered = TrafficShape.of(model({"requestTimeoutSeconds": 30})).model_dump()
    assert repr(answered["requestTimeoutSeconds"]) == "30"


@pytest.mark.parametrize(
    "body",
    [
        {"affinity": {"kind": "ip"}},
        {"affinity": {}},
        {"affinity": {"kind": "cookie", "name": ""}},
        {"affinity": {"kind": "cookie", "name": "a b"}},
        {"affinity": {"kind": "cookie", "name": "a;b"}},
        {"affinity": {"kind": "cookie", "name": "a=b"}},
        {"affinity": {"kind": "cookie", "name": "a\r\nB: c"}},
        {"affinity": {"kind": "cookie", "name": "é"}},
        {"affinity": {"kind": "cookie", "name": "x" * 129}},
        {"affinity": {"kind": "cookie", "ttlSeconds": 0}},
        {"affinity": {"kind": "cookie", "ttlSeconds": 2_592_001}},
        {"affinity": {"kind": "cookie", "path": "/"}},
        {"quota": {"requestsPerMinute": 0}},
        {"quota": {"requestsPerHour": -1}},
        {"quota": {"concurrentRequests": 1.5}},
        {"quota": {"concurrentRequests": 2_000_000_000}},
        {"quota": {"requestsPerDay": 1}},
        {"maxBodyBytes": 0},
        {"maxBodyBytes": "large"},
        {"requestTimeoutSeconds": 0},
        {"requestTimeoutSeconds": 86_401},
        {"retries": 1},
    ],
)
def test_what_cannot_work_is_refused(body):
    assert refused(TrafficInput, body)


def test_a_header_needs_a_name():
    assert "needs the header's name" in refused_because(AffinityInput, {"kind": "header"})


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Request-Id", "X-Forwarded-Any"])
def test_headers_that_mean_something_else_cannot_name_a_session(name):
    told = refused_because(AffinityInput, {"kind": "header", "name": name})
    assert name in told
    assert "Mcp-Session-Id" in told


def test_no_header_that_the_gateway_reads_can_name_a_session():
    assert [name for name in KINDS if not is_reserved(name.decode())] == []


def test_a_minute_beyond_the_hour_is_refused():
    told = refused_because(QuotaInput, {"requestsPerMinute": 11, "requestsPerHour": 10})
    assert "requestsPerMinute (11) exceeds requestsPerHour (10)" in told
    equal = QuotaInput.model_validate({"requestsPerMinute": 10, "requestsPerHour": 10})
    assert equal.to_model() is not None


def test_workloads_take_it_at_create_and_in_a_patch():
    made = WorkloadInput.model_validate({"name": "w", "artifactId": "x", "traffic": WHOLE})
    assert made.traffic is not None
    assert WorkloadPatch.model_validate({"traffic": {}}).traffic == TrafficInput()
    assert WorkloadPatch.model_validate({"traffic": None}).traffic is None


def test_records_from_before_the_extension_still_load():
    old = msgspec.to_builtins(worlds.workload())
    del old["traffic"]
    assert msgspec.convert(old, Workload).traffic == Traffic()


def test_a_record_with_traffic_settings_is_the_same_after_json():
    workload = worlds.workload(traffic=model(WHOLE))
    assert msgspec.json.decode(msgspec.json.encode(workload), type=Workload) == workload


@given(
    minute=st.none() | st.integers(1, 100),
    hour=st.none() | st.integers(100, 1000),
    live=st.none() | st.integers(1, 10),
)
def test_the_journal_shows_quotas_by_their_public_names(minute, hour, live):
    body = {"requestsPerMinute": minute, "requestsPerHour": hour, "concurrentRequests": live}
    made = QuotaInput.model_validate(body).to_model()
    assert (msgspec.to_builtins(made) if made else dict.fromkeys(body)) == body


def test_the_journal_shows_everything_else_by_its_public_name_too():
    assert msgspec.to_builtins(model(WHOLE)) == WHOLE
