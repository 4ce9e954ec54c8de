"""Traffic settings through the API: both families, live, optional."""

import pytest

PATHS = ["/api/v2/workloads", "/api/v2/console/workloads"]
UNSET = {"affinity": None, "quota": None, "maxBodyBytes": None, "requestTimeoutSeconds": None}
TRAFFIC = {
    "affinity": {"kind": "cookie", "name": "s", "ttlSeconds": 60},
    "quota": {"requestsPerMinute": 10, "requestsPerHour": None, "concurrentRequests": 2},
    "maxBodyBytes": 1000,
    "requestTimeoutSeconds": 1.5,
}


@pytest.mark.parametrize("path", PATHS)
async def test_settings_are_shown_and_changed_while_the_workload_runs(api, path):
    plain = await api.workload(path)
    assert plain["traffic"] == UNSET
    made = await api.workload(path, traffic=TRAFFIC)
    assert made["traffic"] == TRAFFIC
    one = f"{path}/{made['id']}"
    assert (await api.owner.get(one)).json()["traffic"] == TRAFFIC
    listed = (await api.owner.get(path)).json()["data"]
    assert [w["traffic"] for w in listed] == [UNSET, TRAFFIC]

    renamed = (await api.owner.patch(one, json={"name": "n", "traffic": None})).json()
    assert renamed["traffic"] == TRAFFIC

    changed = await api.owner.patch(one, json={"traffic": {"maxBodyBytes": "1KB"}})
    assert changed.status_code == 200
    assert changed.json()["traffic"] == UNSET | {"maxBodyBytes": 1000}
    assert changed.json()["protonId"] == made["protonId"]

    cleared = await api.owner.patch(one, json={"traffic": {}})
    assert cleared.json()["traffic"] == UNSET


async def test_a_change_is_in_the_journal_by_its_public_names(api):
    made = await api.workload()
    await api.owner.patch(f"/api/v2/workloads/{made['id']}", json={"traffic": TRAFFIC})
    events = (await api.owner.get(f"/api/v2/workloads/{made['id']}/events")).json()["data"]
    assert events[0]["eventType"] == "Workload Updated"
    assert events[0]["details"] == {"changes": {"traffic": TRAFFIC}}


@pytest.mark.parametrize(
    ("traffic", "place", "words"),
    [
        ({"quota": {"requestsPerMinute": 0}}, ["quota", "requestsPerMinute"], "greater than"),
        ({"affinity": {"kind": "header"}}, ["affinity"], "needs the header's name"),
        ({"affinity": {"kind": "ip"}}, ["affinity", "kind"], "'cookie' or 'header'"),
        ({"timeout": 1}, ["timeout"], "not permitted"),
    ],
)
async def test_wrong_settings_are_422_and_say_where(api, traffic, place, words):
    made = await api.workload()
    answer = await api.owner.patch(f"/api/v2/workloads/{made['id']}", json={"traffic": traffic})
    assert answer.status_code == 422
    (entry,) = answer.json()["detail"]
    assert entry["loc"] == ["body", "traffic", *place]
    assert words in entry["msg"]


async def test_consumers_do_not_see_them(api):
    made = await api.workload(traffic=TRAFFIC)
    _, stranger = await api.person("stranger")
    assert (await stranger.get(f"/api/v2/workloads/{made['id']}")).status_code == 403


async def test_the_description_has_them(api):
    schemas = (await api.owner.get("/api/v2/openapi.json")).json()["components"]["schemas"]
    assert set(schemas["TrafficInput"]["properties"]) == set(TRAFFIC)
    assert set(schemas["TrafficShape"]["properties"]) == set(TRAFFIC)
