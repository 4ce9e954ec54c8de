import pytest

from loadtests.answers import cold_ms, error_code, lost_code


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        pytest.param(200, {}, None, id="success"),
        pytest.param(302, {}, None, id="redirect"),
        pytest.param(404, {}, "404 service", id="the-application-says-no"),
        pytest.param(
            503, {"X-Tidegate-Error": "queue_full"}, "503 queue_full", id="the-gateway-says-no"
        ),
    ],
)
def test_an_answer_is_counted_by_status_and_code(status, headers, expected):
    assert error_code(status, headers) == expected


def test_a_lost_request_is_counted_by_its_error():
    assert lost_code(ConnectionResetError()) == "no answer: ConnectionResetError"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, None, id="no-header"),
        pytest.param("gateway;dur=0.1, upstream;dur=5", None, id="no-cold-start"),
        pytest.param("cold;dur=0", None, id="held-for-nothing"),
        pytest.param("gateway;dur=0.1, cold;dur=1250.5, upstream;dur=5", 1250.5, id="held"),
        pytest.param('cold;desc="cold start";dur=3', 3.0, id="with-a-description"),
        pytest.param("not-cold;dur=3", None, id="another-name"),
    ],
)
def test_the_time_a_request_was_held_is_read(value, expected):
    assert cold_ms({"Server-Timing": value} if value else {}) == expected
