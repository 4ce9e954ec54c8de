import msgspec
import pytest

from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.events import EventType
from controlplane.model.grants import Grant, Holder, Refusal
from controlplane.model.shadows import Account, ShadowEntry, ShadowKind, journal_name
from controlplane.model.states import AccessRole, Importance, ProtonState, ReplicaPhase
from controlplane.model.workloads import Event, Replica, Scale, Workload
from tests.integration.api.conftest import GATEWAY, IDS, runtime_body

PATHS = ["/api/v2/workloads", "/api/v2/console/workloads"]
ADVICE = "The service exits at once with code 3: read the end of its log, then start it again."


def records(workload, *, errored=True):
    common = {"workload_id": workload["id"]}
    return (
        Scale(
            id=workload["protonId"],
            wanted_replicas=1,
            ready_replicas=1,
            state=ProtonState.ERRORED,
            errored=errored,
            reason="errored",
            message=ADVICE if errored else "",
            log_tail=("starting", "boom") if errored else (),
            updated_at=20.0,
            **common,
        ),
        Replica(
            id=IDS.new(),
            proton_id=workload["protonId"],
            phase=ReplicaPhase.READY,
            host="127.0.0.1",
            port=21000,
            created_at=10.0,
            started_at=11.0,
            ready_at=12.0,
            **common,
        ),
        Replica(
            id=IDS.new(),
            proton_id=workload["protonId"],
            phase=ReplicaPhase.FAILED,
            created_at=13.0,
            restart_count=4,
            exit_code=3,
            message="exit code 3",
            **common,
        ),
    )


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_protons_are_listed_and_got(api, path, slash):
    workload = await api.workload(path)
    listed = (await api.owner.get(f"{path}/{workload['id']}/protons{slash}")).json()
    (proton,) = listed["data"]
    assert listed["totalCount"] == 1
    assert (proton["id"], proton["role"]) == (workload["protonId"], "active")
    assert proton["endpoint"] == (
        f"{GATEWAY}/api/v2/endpoints/workloads/{workload['id']}?protonId={proton['id']}"
    )
    assert proton["deployedImages"] == {"main": "registry/app:1"}
    one = await api.owner.get(f"{path}/{workload['id']}/protons/{proton['id']}{slash}")
    assert one.json() == proton


async def test_a_proton_of_another_workload_is_not_found(api):
    first, second = await api.workload(), await api.workload()
    base = f"/api/v2/workloads/{first['id']}/protons/{second['protonId']}"
    for path in (base, f"{base}/statusDetails"):
        assert (await api.owner.get(path)).status_code == 404
    query = f"/api/v2/workloads/{first['id']}/decisions?protonId={second['protonId']}"
    assert (await api.owner.get(query)).status_code == 404


@pytest.mark.parametrize("slash", ["", "/"])
async def test_status_details_are_empty_before_the_first_report(api, slash):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/protons/{workload['protonId']}/statusDetails"
    answer = await api.owner.get(path + slash)
    assert (answer.status_code, answer.content) == (204, b"")


async def test_status_details_show_every_replica(api):
    workload = await api.workload()
    await api.write(*records(workload))
    path = f"/api/v2/workloads/{workload['id']}/protons/{workload['protonId']}/statusDetails"
    body = (await api.owner.get(path)).json()
    assert body["overallStatus"]["state"] == "errored"
    assert body["overallStatus"]["summary"] == ADVICE
    assert body["logTail"] == ["starting", "boom"]
    ready, failed = body["replicas"]
    assert (ready["status"], ready["address"]) == ("running", "127.0.0.1:21000")
    assert ready["conditions"][0]["value"] is True
    assert ready["containers"][0]["image"] == "registry/app:1"
    assert (failed["status"], failed["phase"], failed["address"]) == ("failed", "failed", None)
    (inside,) = failed["containers"]
    assert (inside["exitCode"], inside["restartCount"]) == (3, 4)
    assert inside["message"] == "exit code 3"


async def test_status_details_of_a_healthy_proton_count_its_replicas(api):
    workload = await api.workload()
    scale, ready, _ = records(workload, errored=False)
    await api.write(scale, ready)
    path = f"/api/v2/workloads/{workload['id']}/protons/{workload['protonId']}/statusDetails"
    body = (await api.owner.get(path)).json()
    assert body["overallStatus"]["summary"] == "Proton is running: 1 of 1 replicas ready"
    assert body["logTail"] is None


@pytest.mark.parametrize("path", PATHS)
async def test_the_workload_itself_tells_its_owner_what_to_do(api, path):
    workload = await api.workload(path)
    await api.write(*records(workload))
    body = (await api.owner.get(f"{path}/{workload['id']}")).json()
    assert body["status"] == "errored"
    details = body["statusDetails"]
    assert details["message"] == ADVICE
    assert details["logTail"] == ["starting", "boom"]
    assert details["conditions"][0]["value"] is False
    assert (details["wantedReplicas"], details["readyReplicas"]) == (1, 1)
    (proton,) = (await api.owner.get(f"{path}/{workload['id']}/protons")).json()["data"]
    assert proton["statusDetails"]["message"] == ADVICE
    assert proton["runningSince"] == "1970-01-01T00:00:12.000000+00:00"


# -- journals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_every_change_is_in_the_journal_newest_first(api, path):
    workload = await api.workload(path)
    one = f"{path}/{workload['id']}"
    await api.owner.patch(one, json={"name": "n"})
    await api.owner.patch(f"{one}/settings", json={"runtime": runtime_body(replicaCount=2)})
    await api.owner.post(f"{one}/stop")
    await api.owner.post(f"{one}/start")
    await api.owner.post(f"{one}/start")
    body = (await api.owner.get(f"{one}/events/")).json()
    assert [event["eventType"] for event in body["data"]] == [
        "Workload Started",
        "Workload Stopped",
        "Settings Changed",
        "Workload Updated",
        "Workload Created",
    ]
    assert body["totalCount"] == 5
    for event in body["data"]:
        assert event["workloadId"] == workload["id"]
        assert event["actorId"] == workload["creator"]["id"]
        assert len(event["id"]) == 24
    assert body["data"][3]["details"] == {"changes": {"name": "n"}}


async def test_events_take_paging_and_nothing_else(api):
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/events"
    refused = await api.owner.get(f"{path}?eventType=x")
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["type"] == "extra_forbidden"
    assert refused.json()["detail"][0]["loc"] == ["query", "eventType"]


def decision(workload, number):
    return Decision(
        id=f"{number:024x}",
        at=float(number),
        workload_id=workload["id"],
        proton_id=workload["protonId"],
        replicas=number,
        previous_replicas=number - 1,
        reason=Reason.ON_TARGET,
        steps=(Step(name="policy:httpRequestsConcurrency", value=number, note="ceil(20 / 10)"),),
        inputs={"load": 20.0, "cpu_percent": None},
        next="2 more in flight -> 4",
    )


@pytest.mark.parametrize("path", PATHS)
async def test_decisions_are_read_newest_first(api, path):
    workload = await api.workload(path)
    decisions = f"{path}/{workload['id']}/decisions"
    assert (await api.owner.get(decisions)).json()["data"] == []
    for number in (1, 2, 3):
        entry = msgspec.json.encode(decision(workload, number))
        await api.store.append(f"decisions:{workload['protonId']}", entry, keep=100)
    body = (await api.owner.get(f"{decisions}?limit=2&protonId={workload['protonId']}")).json()
    assert [d["replicas"] for d in body["data"]] == [3, 2]
    assert body["totalCount"] == 3
    newest = body["data"][0]
    assert newest["reason"] == "on_target"
    assert newest["steps"] == [
        {"name": "policy:httpRequestsConcurrency", "value": 3, "note": "ceil(20 / 10)"}
    ]
    assert newest["inputs"] == {"load": 20.0, "cpu_percent": None}
    assert newest["next"] == "2 more in flight -> 4"
    rest = (await api.owner.get(body["next"])).json()
    assert [d["replicas"] for d in rest["data"]] == [1]
    assert "basis" not in newest


@pytest.mark.parametrize("path", PATHS)
async def test_one_decision_comes_with_its_basis_bit_for_bit(api, path):
    workload = await api.workload(path)
    one = f"{path}/{workload['id']}/decisions"
    basis = {"observation": {"at": 1e9 + 0.1, "load": {"mean_stable": 0.1 + 0.2}}, "now_s": 7.25}
    for number in range(1, 401):
        entry = decision(workload, number)
        if number == 17:
            raw = msgspec.Raw(msgspec.json.encode(basis))
            entry = msgspec.structs.replace(entry, basis=raw, code="0.1.0+core.0123456789ab")
        await api.store.append(
            f"decisions:{workload['protonId']}", msgspec.json.encode(entry), keep=1000
        )
    found = (await api.owner.get(f"{one}/{decision(workload, 17).id}")).json()
    assert (found["replicas"], found["codeVersion"]) == (17, "0.1.0+core.0123456789ab")
    assert found["basis"] == basis
    older = (await api.owner.get(f"{one}/{decision(workload, 18).id}")).json()
    assert (older["basis"], older["codeVersion"]) == (None, "")
    missing = await api.owner.get(f"{one}/{'e' * 24}")
    assert missing.status_code == 404
    assert "has no decision" in missing.json()["detail"]


async def test_a_refusal_names_the_workloads_that_its_reader_has_a_role_on(api):
    holder = await api.workload(name="chat")
    waiting = await api.workload(name="batch")
    note = f"0 of 1 have room; held by workload {holder['id']} (high, 2)"
    held = Holder(
        workload_id=holder["id"],
        proton_id=holder["protonId"],
        importance=Importance.HIGH,
        replicas=2,
        since=1.0,
    )
    grant = Grant(
        granted=0,
        refusal=Refusal.HELD,
        position=1,
        line=1,
        since=1.0,
        holders=(held,),
        gave_way_to=holder["id"],
        decided_reason="on_target",
        note=note,
    )
    made = decision(waiting, 1)
    steps = (*made.steps, Step(name="capacity", value=0, note=note))
    made = msgspec.structs.replace(made, reason=Reason.CAPACITY, steps=steps, grant=grant)
    event = Event(
        id=IDS.new(),
        workload_id=waiting["id"],
        at=1.0,
        type=EventType.CAPACITY_REFUSED,
        details={"message": note},
    )
    journals = {f"decisions:{waiting['protonId']}": made, f"events:{waiting['id']}": event}
    for name, entry in journals.items():
        await api.store.append(name, msgspec.json.encode(entry), keep=100)
    scale, *_ = records(waiting, errored=False)
    message = f"Waits for capacity: {note}."
    user, reader = await api.person("ann")
    record = api.services.mirror.get(Workload, waiting["id"])
    roles = {**record.roles, user.id: AccessRole.USER}
    await api.write(
        msgspec.structs.replace(scale, granted_replicas=0, message=message),
        msgspec.structs.replace(record, roles=roles),
    )
    path = f"/api/v2/workloads/{waiting['id']}"
    for client, name, told in (
        (api.owner, "chat", note.replace("workload ", "workload 'chat' ")),
        (reader, None, note),
    ):
        (one,) = (await client.get(f"{path}/decisions")).json()["data"]
        whole = (await client.get(f"{path}/decisions/{made.id}")).json()
        assert one == {key: whole[key] for key in one}
        assert one["grant"]["holders"][0]["workloadId"] == holder["id"]
        assert one["grant"]["holders"][0]["workloadName"] == name
        assert one["grant"]["gaveWayToName"] == name
        assert (one["grant"]["note"], one["steps"][-1]["note"]) == (told, told)
        newest, *_ = (await client.get(f"{path}/events")).json()["data"]
        assert newest["details"]["message"] == told
        shown = (await client.get(path)).json()["statusDetails"]["message"]
        assert shown == f"Waits for capacity: {told}."


@pytest.mark.parametrize("path", PATHS)
async def test_shadow_decisions_are_read_beside_what_was_decided(api, path):
    workload = await api.workload(path)
    shadows = f"{path}/{workload['id']}/shadowDecisions"
    assert (await api.owner.get(shadows)).json()["data"] == []
    acted = Account(replica_seconds=600.0, short_seconds=12.5, cold_starts=2, changes=3, peak=4)
    shadowed = Account(replica_seconds=900.0, surplus_seconds=60.0, peak=5)
    for kind in ShadowKind:
        entry = ShadowEntry(
            kind=kind,
            decision=decision(workload, 5),
            acting=4,
            forecast_acts=kind is ShadowKind.FORECAST,
            seconds=300.0,
            acted=acted,
            shadowed=shadowed,
        )
        name = journal_name(kind, workload["protonId"])
        await api.store.append(name, msgspec.json.encode(entry), keep=100)
    (policy,) = (await api.owner.get(shadows)).json()["data"]
    assert (policy["kind"], policy["actingReplicas"]) == ("policy", 4)
    assert policy["decision"]["replicas"] == 5
    assert policy["acting"] == {
        "replicaMinutes": 10,
        "surplusReplicaMinutes": 0,
        "shortSeconds": 12.5,
        "coldStarts": 2,
        "changes": 3,
        "peakReplicas": 4,
    }
    assert policy["shadow"]["surplusReplicaMinutes"] == 1
    query = f"kind=forecast&protonId={workload['protonId']}&limit=1"
    (forecast,) = (await api.owner.get(f"{shadows}?{query}")).json()["data"]
    assert (forecast["kind"], forecast["forecastActs"]) == ("forecast", True)
    assert (await api.owner.get(f"{shadows}?kind=other")).status_code == 422
