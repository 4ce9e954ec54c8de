import pytest

from controlplane.model.behavior import Behavior
from controlplane.model.states import ProtonState, ReplicaPhase
from controlplane.model.workloads import Proton, Replica, Scale, Workload
from tests.integration.api.conftest import CONCURRENCY, ELASTIC, IDS, container, runtime_body

PATHS = ["/api/v2/workloads", "/api/v2/console/workloads"]


def replica(workload, phase=ReplicaPhase.READY, **changes):
    fields = {
        "id": IDS.new(),
        "workload_id": workload["id"],
        "proton_id": workload["protonId"],
        "phase": phase,
        "host": "127.0.0.1",
        "port": 21000,
        "created_at": 10.0,
        "started_at": 11.0,
        "ready_at": 12.0,
    }
    return Replica(**(fields | changes))


def scale(workload, **changes):
    fields = {
        "id": workload["protonId"],
        "workload_id": workload["id"],
        "wanted_replicas": 1,
        "ready_replicas": 1,
        "state": ProtonState.RUNNING,
        "reason": "on_target",
        "updated_at": 20.0,
    }
    return Scale(**(fields | changes))


async def status(api, workload, path=PATHS[0]):
    answer = await api.owner.get(f"{path}/{workload['id']}")
    return answer.json()["status"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_stop_and_start_are_accepted_and_then_done_already(api, path, slash):
    workload = await api.workload(path)
    one = f"{path}/{workload['id']}"

    async def act(verb, **body):
        answer = await api.owner.post(f"{one}/{verb}{slash}", **body)
        assert answer.json()["workloadId"] == workload["id"]
        follow = await api.owner.get(answer.json()["trackVia"])
        assert follow.json()["id"] == workload["id"]
        return answer.status_code

    assert await act("start") == 200
    assert await act("stop", json={}) == 202
    assert await act("stop") == 200
    assert await act("start", content=b"null", headers={"Content-Type": "application/json"}) == 202
    assert await act("start") == 200
    after = (await api.owner.get(one)).json()
    assert after["protonId"] != workload["protonId"]


async def test_a_workload_that_still_stops_cannot_start(api):
    workload = await api.workload()
    one = f"/api/v2/workloads/{workload['id']}"
    ready = replica(workload)
    await api.write(scale(workload), ready)
    assert await status(api, workload) == "running"
    await api.owner.post(f"{one}/stop")
    assert await status(api, workload) == "stopping"
    refused = await api.owner.post(f"{one}/start")
    assert refused.status_code == 409
    assert "still stopping" in refused.json()["detail"]
    await api.store.delete(Replica, ready.id)
    await api.settle()
    assert await status(api, workload) == "stopped"
    assert (await api.owner.post(f"{one}/start")).status_code == 202


async def test_an_errored_workload_is_stopped_first(api):
    workload = await api.workload()
    one = f"/api/v2/workloads/{workload['id']}"
    await api.write(scale(workload, errored=True, message="It exits at once."))
    assert await status(api, workload) == "errored"
    refused = await api.owner.post(f"{one}/start")
    assert refused.status_code == 409
    assert "stop it first" in refused.json()["detail"]
    assert (await api.owner.post(f"{one}/stop")).status_code == 202
    assert (await api.owner.post(f"{one}/start")).status_code == 202
    assert await status(api, workload) == "submitted"


async def test_a_start_takes_the_draft_as_it_is_now(api):
    workload = await api.workload()
    artifact = f"/api/v2/artifacts/{workload['artifactId']}"
    one = f"/api/v2/workloads/{workload['id']}"
    groups = [{"containers": [container(imageUri="registry/app:2")]}]
    await api.owner.patch(artifact, json={"spec": {"containerGroups": groups}})

    async def image():
        listed = (await api.owner.get(f"{one}/protons")).json()["data"]
        assert len(listed) == 1
        return listed[0]["deployedImages"]["main"]

    assert await image() == "registry/app:1"
    await api.owner.post(f"{one}/stop")
    await api.owner.post(f"{one}/start")
    assert await image() == "registry/app:2"


async def test_stopping_tells_the_autoscaler_through_the_proton(api):
    workload = await api.workload()
    await api.owner.post(f"/api/v2/workloads/{workload['id']}/stop")
    proton = await api.store.get(Proton, workload["protonId"])
    stored = await api.store.get(Workload, workload["id"])
    assert proton.record.desired == stored.record.desired == "stopped"
    assert proton.version == stored.version


async def test_deleting_removes_the_protons_in_the_same_commit(api):
    workload = await api.workload()
    await api.owner.delete(f"/api/v2/workloads/{workload['id']}")
    assert await api.store.get(Proton, workload["protonId"]) is None
    stored = await api.store.get(Workload, workload["id"])
    assert stored.record.deleted_at is not None


@pytest.mark.parametrize("verb", ["start", "stop"])
async def test_actions_refuse_bodies_and_parameters_that_they_do_not_know(api, verb):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/{verb}"
    body = await api.owner.post(path, json={"force": True})
    assert (body.status_code, body.json()["detail"][0]["type"]) == (422, "extra_forbidden")
    query = await api.owner.post(f"{path}?force=1")
    assert (query.status_code, query.json()["detail"][0]["type"]) == (422, "extra_forbidden")
    missing = await api.owner.post(f"/api/v2/workloads/{'0' * 24}/{verb}")
    assert missing.status_code == 404


# -- states -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "phases", "new", "old"),
    [
        (None, [], "submitted", "submitted"),
        (1, [], "provisioning", "initializing"),
        (1, [ReplicaPhase.PENDING], "submitted", "submitted"),
        (1, [ReplicaPhase.LAUNCHING], "launching", "initializing"),
        (1, [ReplicaPhase.READY], "running", "running"),
        (2, [ReplicaPhase.READY, ReplicaPhase.LAUNCHING], "launching", "initializing"),
        (2, [ReplicaPhase.READY, ReplicaPhase.FAILED], "errored", "errored"),
        (1, [ReplicaPhase.READY, ReplicaPhase.DRAINING], "running", "running"),
        (0, [], "suspended", "running"),
    ],
)
async def test_the_status_is_what_the_replicas_do(api, wanted, phases, new, old):
    workload = await api.workload(runtime=runtime_body(autoscaling=ELASTIC))
    records = [replica(workload, phase) for phase in phases]
    if wanted is not None:
        records.append(scale(workload, wanted_replicas=wanted))
    if records:
        await api.write(*records)
    assert await status(api, workload) == new
    assert await status(api, workload, PATHS[1]) == old
    for path, word in zip(PATHS, (new, old), strict=True):
        listed = (await api.owner.get(f"{path}?status={word}")).json()
        assert [w["id"] for w in listed["data"]] == [workload["id"]]
        assert (await api.owner.get(f"{path}?status=stopped")).json()["data"] == []


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_damping_and_schedules_are_kept_and_change_in_place(api, path):
    behavior = {"maxScaleUpRate": 4, "scaleDownDelaySeconds": 30.5, "activationScale": 2}
    office = {
        "name": "office",
        "cron": "0 8 * * 1-5",
        "timezone": "Europe/Vienna",
        "durationMinutes": 600,
        "minReplicaCount": 2,
    }
    told = ELASTIC | {"behavior": behavior, "schedules": [office]}
    made = await api.workload(path, runtime=runtime_body(autoscaling=told))
    (group,) = made["runtime"]["containerGroups"]
    assert group["autoscaling"]["behavior"] == behavior
    assert group["autoscaling"]["schedules"] == [office]

    settings = f"{path}/{made['id']}/settings"
    plain = runtime_body(autoscaling=ELASTIC | {"behavior": {"minRunTimeSeconds": 60}})
    changed = await api.owner.patch(settings, json={"runtime": plain})
    assert changed.json()["status"] == "completed", "no replica restarts"
    proton = await api.store.get(Proton, made["protonId"])
    auto = proton.record.runtime.group().autoscaling
    assert auto.behavior == Behavior(min_run_time_s=60)
    assert auto.schedules == ()

    wrong = ELASTIC | {"schedules": [office | {"timezone": "Vienna"}]}
    refused = await api.owner.patch(settings, json={"runtime": runtime_body(autoscaling=wrong)})
    assert refused.status_code == 422
    (reason,) = refused.json()["detail"]
    assert reason["loc"][-3:] == ["schedules", 0, "timezone"]
    assert "Europe/Vienna" in reason["msg"]

    again = await api.owner.patch(settings, json={"runtime": made["runtime"]})
    assert again.json()["runtime"] == made["runtime"], "sent back as it was answered"


@pytest.mark.parametrize("path", PATHS)
async def test_scaling_changes_in_place(api, path):
    workload = await api.workload(path)
    settings = f"{path}/{workload['id']}/settings"
    wanted = runtime_body(autoscaling=ELASTIC, concurrencyLimitPerReplica=7)
    changed = await api.owner.patch(f"{settings}/", json={"runtime": wanted})
    assert changed.status_code == 202
    body = changed.json()
    assert (body["status"], body["workloadId"]) == ("completed", workload["id"])
    assert body["candidateProtonIds"] == [workload["protonId"]]

    now = (await api.owner.get(settings)).json()
    assert now["replacement"] == body, "until the conductor takes it off"
    (group,) = now["runtime"]["containerGroups"]
    assert group["replicaCount"] is None
    assert group["autoscaling"]["maxReplicaCount"] == 5
    assert group["concurrencyLimitPerReplica"] == 7
    proton = await api.store.get(Proton, workload["protonId"])
    assert proton.record.runtime.group().autoscaling.max_replicas == 5
    assert proton.record.runtime.group().concurrency_limit == 7

    again = await api.owner.patch(settings, json={"runtime": now["runtime"]})
    assert again.status_code == 202
    assert again.json()["runtime"] == now["runtime"]
    assert again.json()["status"] == "submitted", "what does not differ is a fresh start"


async def test_other_sizes_are_a_replacement_and_start_what_is_stopped(api):
    workload = await api.workload()
    one = f"/api/v2/workloads/{workload['id']}"
    sizes = [{"name": "main", "resourceAllocation": {"cpu": 2, "memory": "1GB"}}]
    body = {"runtime": runtime_body(containers=sizes)}
    begun = await api.owner.patch(f"{one}/settings", json=body)
    assert (begun.status_code, begun.json()["status"]) == (202, "submitted")
    second = await api.owner.patch(f"{one}/settings", json=body)
    assert second.status_code == 409
    assert "under way" in second.json()["detail"]
    await api.owner.post(f"{one}/stop")
    changed = await api.owner.patch(f"{one}/settings", json=body)
    assert (changed.status_code, changed.json()["status"]) == (202, "completed")
    after = (await api.owner.get(one)).json()
    assert after["status"] == "submitted"
    assert after["protonId"] != workload["protonId"]
    (group,) = after["runtime"]["containerGroups"]
    assert group["containers"][0]["resourceAllocation"]["memory"] == 1_000_000_000


async def test_settings_follow_the_rules_of_create(api):
    workload = await api.workload()
    settings = f"/api/v2/workloads/{workload['id']}/settings"
    for body in (
        {},
        {"runtime": runtime_body(replicaCount=0)},
        {"runtime": runtime_body(replicaCount=1, autoscaling={"policies": [CONCURRENCY]})},
        {"runtime": runtime_body(name="other")},
    ):
        assert (await api.owner.patch(settings, json=body)).status_code == 422
