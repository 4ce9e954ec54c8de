"""Which record `tidegate replay` fetches."""

import httpx2
import pytest

from controlplane.cli.client import Api, ApiError
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.replay import fetch_decision, replay

MINE, OTHER = "1" * 24, "2" * 24


def api(held: dict[str, str], *, status: int = 404) -> Api:
    """A server with two workloads; `held` says which has which decision."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        for workload_id, decision_id in held.items():
            if path.endswith(f"/workloads/{workload_id}/decisions/{decision_id}"):
                return httpx2.Response(200, json={"id": decision_id, "workloadId": workload_id})
        workloads = [{"id": MINE, "name": "mine"}, {"id": OTHER, "name": "other"}]
        for workload in workloads:
            if path.endswith(f"/workloads/{workload['id']}"):
                return httpx2.Response(200, json=workload)
        if path.rstrip("/").endswith("/workloads"):
            return httpx2.Response(200, json={"data": workloads, "next": None})
        return httpx2.Response(status, json={"detail": "no"})

    return Api(Credentials(url="http://a", token="t"), transport=httpx2.MockTransport(answer))


def test_without_a_workload_all_are_searched():
    with api({OTHER: "d"}) as held:
        assert fetch_decision(held, "d", None)["workloadId"] == OTHER


def test_a_named_workload_is_the_only_one_searched():
    with api({OTHER: "d"}) as held, pytest.raises(CliError, match="no decision") as caught:
        fetch_decision(held, "d", "mine")
    assert caught.value.code is ExitCode.NOT_FOUND


def test_other_refusals_are_told_as_they_are():
    with api({}, status=503) as held, pytest.raises(ApiError):
        fetch_decision(held, "d", None)


@pytest.mark.parametrize("chosen", [{}, {"decision": "d", "file": "x"}])
def test_either_an_id_or_a_file_is_needed(chosen):
    with pytest.raises(CliError, match="either") as caught:
        replay(decision=chosen.get("decision"), file=chosen.get("file"))
    assert caught.value.code is ExitCode.USAGE
