"""Every answer that the gateway makes itself has one shape, and HTTP libraries can read it."""

import h11
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import answers
from gateway.core.answers import REASONS, Answer, bad_request, options, render, retry_after_s

NAMED = {name: value for name, value in vars(answers).items() if isinstance(value, Answer)}
BAD_REQUEST_STATUSES = [400, 405, 414, 431, 501, 505]


DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def read(wire: bytes, *, method: str = "GET") -> tuple[h11.Response, bytes]:
    """What a client makes of an answer; it must be whole, and nothing may follow."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    return response, body


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        pytest.param(401, {"unauthenticated"}, id="no-or-bad-token"),
        pytest.param(403, {"forbidden"}, id="no-role"),
        pytest.param(404, {"no_route"}, id="nothing-there"),
        pytest.param(408, {"head_timeout", "body_timeout"}, id="the-client-is-slow"),
        pytest.param(413, {"body_too_large"}, id="too-large"),
        pytest.param(
            502,
            {"replica_unreachable", "replica_reset", "replica_malformed"},
            id="the-replica-is-broken",
        ),
        pytest.param(
            503,
            {
                *("workload_stopped", "workload_errored", "queue_full", "overloaded"),
                "gateway_stopping",
                "too_many_connections",
            },
            id="not-now",
        ),
        pytest.param(405, {"method_not_allowed"}, id="not-passed-on"),
        pytest.param(429, {"too_many_connections"}, id="too-much-of-one-caller"),
        pytest.param(
            504,
            {"cold_start_timeout", "replica_timeout", "request_timeout"},
            id="the-replica-is-slow",
        ),
    ],
)
def test_the_status_says_whose_fault_it_is(status, codes):
    assert {answer.code for answer in NAMED.values() if answer.status == status} == codes


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("close", [True, False])
def test_every_answer_names_its_code_and_its_request(name, close):
    answer = NAMED[name]
    response, body = read(render(answer, request_id=b"id-1", close=close, date_line=DATE))
    headers = dict(response.headers)
    assert response.status_code == answer.status
    assert response.reason == REASONS[answer.status]
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"date"] == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert headers[b"cache-control"] == b"no-store"
    assert (b"allow" in headers) is (answer.status == 405)
    assert headers[b"x-tidegate-error"] == answer.code.encode()
    assert headers[b"x-request-id"] == b"id-1"
    assert (headers.get(b"connection") == b"close") is close
    assert b"retry-after" not in headers
    content = msgspec.json.decode(body)
    if answer.status in {401, 403}:
        assert content == {"message": answer.detail}
    else:
        assert content == {"detail": answer.detail, "code": answer.code, "requestId": "id-1"}


def test_an_answer_to_head_has_the_length_of_its_body_and_no_body():
    whole = render(answers.NO_ROUTE, request_id=b"i", close=False, date_line=DATE)
    response, body = read(
        render(answers.NO_ROUTE, request_id=b"i", close=False, date_line=DATE, head_only=True),
        method="HEAD",
    )
    assert body == b""
    assert dict(response.headers)[b"content-length"] == b"%d" % len(read(whole)[1])


@pytest.mark.parametrize(
    ("answer", "expected"), [(answers.UNAUTHENTICATED, b"Bearer"), (answers.FORBIDDEN, None)]
)
def test_a_401_and_only_a_401_says_how_to_authenticate(answer, expected):
    response, _ = read(render(answer, request_id=b"i", close=False, date_line=DATE))
    assert dict(response.headers).get(b"www-authenticate") == expected


def test_an_options_about_the_gateway_is_answered_with_what_it_passes_on():
    wire = options(request_id=b"i", date_line=DATE, close=False)
    response, body = read(wire, method="OPTIONS")
    headers = dict(response.headers)
    assert (response.status_code, body) == (200, b"")
    assert b"GET" in headers[b"allow"]
    assert b"CONNECT" not in headers[b"allow"]
    assert headers[b"date"].endswith(b"GMT")
    closing, _ = read(options(request_id=b"i", date_line=DATE, close=True), method="OPTIONS")
    assert dict(closing.headers)[b"connection"] == b"close"


def test_the_wait_is_said_where_waiting_helps():
    response, _ = read(
        render(answers.QUEUE_FULL, request_id=b"i", close=False, date_line=DATE, retry_after=7)
    )
    assert dict(response.headers)[b"retry-after"] == b"7"


@pytest.mark.parametrize("status", BAD_REQUEST_STATUSES)
def test_a_broken_rule_is_answered_with_the_rule(status):
    answer = bad_request(status, 'a rule with "quotes" and\nlines')
    response, body = read(render(answer, request_id=b"i", close=True, date_line=DATE))
    assert response.status_code == status
    assert msgspec.json.decode(body)["detail"] == 'a rule with "quotes" and\nlines'


def test_codes_of_the_gateway_are_words_that_metrics_can_carry():
    codes = {answer.code for answer in NAMED.values()}
    codes |= {bad_request(status, "").code for status in BAD_REQUEST_STATUSES}
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


@given(request_id=st.binary(max_size=128).filter(lambda value: not set(value) & {0, 10, 13}))
def test_any_request_id_leaves_the_body_valid_json(request_id):
    wire = render(answers.NO_ROUTE, request_id=request_id, close=True, date_line=DATE)
    body = msgspec.json.decode(wire.partition(b"\r\n\r\n")[2])
    assert body["requestId"] == request_id.decode("ascii", "replace")


@pytest.mark.parametrize(
    ("cold_start_p90_s", "expected"),
    [
        pytest.param(None, 5, id="no-cold-start-yet-takes-the-default"),
        pytest.param(2.1, 3, id="rounded-up-or-the-client-comes-too-early"),
        pytest.param(0.02, 1, id="never-0"),
        pytest.param(0.0, 1, id="an-immediate-start-is-not-an-unknown-one"),
        pytest.param(9000.0, 300, id="never-longer-than-the-limit"),
    ],
)
def test_retry_after_follows_the_cold_starts(cold_start_p90_s, expected):
    assert retry_after_s(cold_start_p90_s=cold_start_p90_s) == expected
