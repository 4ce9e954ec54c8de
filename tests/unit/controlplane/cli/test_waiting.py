import httpx2
import pytest

from controlplane.cli.client import Api
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.waiting import TARGETS, wait_for


def api(*statuses: str, details=None) -> Api:
    """A server that goes through these statuses and stays at the last; `404`: gone."""
    left = list(statuses)

    def answer(_: httpx2.Request) -> httpx2.Response:
        status = left.pop(0) if len(left) > 1 else left[0]
        if status == "404":
            return httpx2.Response(404, json={"detail": "gone"})
        body = {"id": "1", "name": "a", "status": status, "statusDetails": details}
        return httpx2.Response(200, json=body)

    return Api(Credentials(url="http://a", token="t"), transport=httpx2.MockTransport(answer))


@pytest.mark.parametrize(
    ("target", "statuses"),
    [
        pytest.param("settled", ["submitted", "launching", "running"], id="settled-runs"),
        pytest.param("settled", ["submitted", "suspended"], id="settled-at-zero"),
        pytest.param("running", ["suspended", "running"], id="running"),
        pytest.param("suspended", ["running", "suspended"], id="suspended"),
        pytest.param("stopped", ["errored", "stopping", "stopped"], id="stopped-after-an-error"),
    ],
)
def test_it_returns_when_the_target_is_reached(target, statuses):
    with api(*statuses) as held:
        result = wait_for(held, "1", target, timeout_s=60)
    assert result is not None
    assert result["status"] in TARGETS[target]


def test_deleted_is_reached_when_it_is_gone():
    with api("running", "404") as held:
        assert wait_for(held, "1", "deleted", timeout_s=60) is None


def test_a_workload_that_vanishes_is_not_found():
    with api("404") as held, pytest.raises(CliError) as caught:
        wait_for(held, "1", "running", timeout_s=60)
    assert caught.value.code is ExitCode.NOT_FOUND


def test_an_errored_workload_is_told_in_its_own_words():
    details = {"message": "Listen on $PORT.", "logTail": ["bound to 5000"]}
    with api("launching", "errored", details=details) as held, pytest.raises(CliError) as caught:
        wait_for(held, "1", "settled", timeout_s=60)
    assert caught.value.message == "'a' is errored"
    assert caught.value.hint == "Listen on $PORT.\n  | bound to 5000"
    assert caught.value.code is ExitCode.FAILED


def test_time_that_is_up_says_where_it_stands():
    with api("launching") as held, pytest.raises(CliError, match="is launching, not running") as c:
        wait_for(held, "1", "running", timeout_s=0)
    assert c.value.code is ExitCode.TIMEOUT
    assert "tidegate explain" in c.value.hint
