import pytest

from loadtests.overhead.target import fault

GOOD = "GET /seen HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(GOOD, None, id="the-whole-job"),
        pytest.param(GOOD.replace("/seen", "/api/w/seen"), "strip", id="prefix-kept"),
        pytest.param(f"{GOOD}\r\nAuthorization: Bearer s3cret", "token", id="token-passed-on"),
        pytest.param(f"{GOOD}\r\nX-Copy: s3cret", "token", id="token-copied"),
        pytest.param(GOOD.partition("\r\nX-")[0], "client", id="client-not-told"),
    ],
)
def test_each_part_of_the_job_is_looked_at(head, expected):
    found = fault(head, token="s3cret")
    assert (found is None) if expected is None else expected in found
