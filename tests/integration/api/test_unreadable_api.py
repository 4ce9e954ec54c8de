"""What cannot be read in the store is left out of answers, and counted: nobody gets a 500."""

import re

import msgspec

from controlplane.model.shadows import ShadowKind, journal_name
from controlplane.model.statistics import VERSION
from controlplane.store.statistics import Statistics
from tests.integration.api.test_protons_api import decision
from tests.integration.api.test_statistics_api import BUSY, Traffic


async def test_an_entry_that_cannot_be_read_hides_no_other(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    proton = workload["protonId"]
    kept = decision(workload, 1)
    for journal in ("events", "history"):
        await api.store.append(f"{journal}:{workload['id']}", b"{broken", keep=100)
    for name in (f"decisions:{proton}", journal_name(ShadowKind.POLICY, proton), "audit"):
        await api.store.append(name, b'{"id": 1}', keep=100)
    await api.store.append(f"decisions:{proton}", msgspec.json.encode(kept), keep=100)
    for route in ("events", "history", "decisions", "shadowDecisions", f"decisions/{kept.id}"):
        answer = await api.owner.get(f"{path}/{route}")
        assert answer.status_code == 200, answer.text
    page = (await api.owner.get(f"{path}/decisions?limit=1")).json()
    assert [one["id"] for one in page["data"]] == [kept.id]
    page = (await api.owner.get(page["next"])).json()
    assert (page["data"], page["totalCount"], page["next"]) == ([], 2, None)
    _, admin = await api.person("chief", admin=True)
    assert (await admin.get("/api/v2/audit")).status_code == 200
    assert (await api.owner.get(f"{path}/decisions/{'0' * 24}")).status_code == 404


async def test_a_key_of_another_type_is_left_out_and_the_log_names_it_where_it_is_needed(
    api, caplog
):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    store = api.store
    for name in (f"journal:events:{workload['id']}", f"stats:{workload['id']}"):
        await store.link.call("UNLINK", store.keys[name])
        await store.link.call("SET", store.keys[name], "what a person wrote")
    for route in ("events", "stats", "stats/totalRequests"):
        answer = await api.owner.get(f"{path}/{route}")
        assert answer.status_code == 200, answer.text
    assert (await api.owner.get(f"{path}/events")).json()["totalCount"] == 0
    for method, route in (("POST", "stop"), ("DELETE", "stats?metricName=totalRequests")):
        answer = await api.owner.request(method, f"{path}/{route}")
        assert answer.status_code == 500
        said = answer.json()["detail"]
        assert "ask the operator" in said
        assert answer.headers["X-Request-Id"] in said
        assert workload["id"] not in said
        assert "UNLINK" not in said
        (failed,) = [one for one in caplog.records if hasattr(one, "request_id")]
        assert failed.request_id == answer.headers["X-Request-Id"]
        assert re.search(rf"{workload['id']}.*UNLINK", failed.error)
        caplog.clear()
    assert (await api.owner.get(path)).json()["status"] != "stopped"


async def test_statistics_that_cannot_be_read_are_left_out_and_counted(api):
    traffic = Traffic(api, await api.workload())
    await traffic.report(**BUSY)
    await traffic.record()
    store = traffic.api.store
    key = store.keys[f"stats:{traffic.workload['id']}"]
    names = (await Statistics(store).names([traffic.workload["id"]]))[traffic.workload["id"]]
    for name in set(names) - {VERSION}:
        await store.link.call("HSET", key, name, b"{broken")
    await store.link.call("HSET", store.keys["reports"], "broken", b"{broken")
    assert (await traffic.metrics())["totalRequests"] == 0
    await traffic.get("/stats/totalRequests")
    for path in ("?serviceStats=true", "/stats"):
        answer = await traffic.api.owner.get(f"/api/v2/workloads{path}")
        assert answer.status_code == 200, answer.text
    answer = await traffic.api.owner.delete(f"{traffic.path}/stats?metricName=totalRequests")
    assert answer.status_code == 204, answer.text
    page = (await traffic.api.owner.get("/metrics")).text
    assert re.search(r"api_store_unreadable_values_total [1-9]", page)
