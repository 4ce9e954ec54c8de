"""What clients ask before and beside their work."""

import re

import pytest

from controlplane.model.sections import ApiSettings, Settings


@pytest.mark.parametrize("path", ["/api/v2/version", "/api/v2/version/"])
async def test_the_version_is_one_that_public_clients_accept(api, path):
    answer = await api.owner.get(path)
    assert answer.status_code == 200
    body = answer.json()
    assert re.fullmatch(r"(\d+)\.(\d+).*", body["versionString"])
    assert body["versionString"].startswith(f"{body['major']}.{body['minor']}")
    assert (body["major"], body["minor"]) >= (2, 49)
    assert body["major"] == 2
    assert body["releasedVersion"]


@pytest.mark.parametrize("path", ["/api/v2/account/info", "/api/v2/account/info/"])
async def test_the_account_has_what_public_clients_read(make_api, path):
    api = await make_api(
        Settings(api=ApiSettings(max_concurrent_workloads=3, max_workload_replicas=7))
    )
    user, other = await api.person("other")
    body = (await other.get(path)).json()
    assert (body["uid"], body["email"]) == (user.id, "other@test")
    assert isinstance(body["firstName"], str)
    assert isinstance(body["lastName"], str)
    assert re.fullmatch("[0-9a-f]{24}", body["orgId"])
    assert body["tenantId"] is None
    assert body["limits"] == {"maxConcurrentWorkloads": 3, "maxWorkloadReplicas": 7}


@pytest.mark.parametrize(
    "path", ["version", "account/info", "mlops/compute/bundles", "credentials"]
)
async def test_side_calls_need_a_token_and_refuse_unknown_parameters(api, path):
    assert (await api.client(None).get(f"/api/v2/{path}")).status_code == 401
    answer = await api.owner.get(f"/api/v2/{path}?colour=red")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "extra_forbidden"
