"""Whose names `tidegate explain` asks for."""

import httpx2

from controlplane.cli.client import Api
from controlplane.cli.credentials import Credentials
from controlplane.cli.explain import names_of
from controlplane.model.decisions import Decision, Reason
from controlplane.model.grants import Grant, Holder, Refusal
from controlplane.model.states import Importance

SEEN, HIDDEN = "1" * 24, "2" * 24


def test_holders_have_names_as_far_as_one_may_see_them():
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith(f"/workloads/{SEEN}"):
            return httpx2.Response(200, json={"id": SEEN, "name": "batch"})
        return httpx2.Response(404, json={"detail": "no"})

    holders = tuple(
        Holder(workload_id=one, proton_id="p", importance=Importance.LOW, replicas=1, since=0.0)
        for one in (SEEN, HIDDEN)
    )
    grant = Grant(
        granted=0,
        refusal=Refusal.HELD,
        position=1,
        line=1,
        since=0.0,
        holders=holders,
        decided_reason="on_target",
        note="",
    )
    decision = Decision(
        id="d",
        at=0.0,
        workload_id="3" * 24,
        proton_id="p",
        replicas=1,
        previous_replicas=1,
        reason=Reason.CAPACITY,
        grant=grant,
    )
    with Api(Credentials(url="http://a", token="t"), transport=httpx2.MockTransport(answer)) as api:
        assert names_of(api, decision) == {SEEN: "batch"}
