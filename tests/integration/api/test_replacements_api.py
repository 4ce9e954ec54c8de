"""Replacements over the API, with the conductor at work; the test is gateway and autoscaler."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from controlplane.conductor.loop import Conductor
from controlplane.conductor.steps import parts
from controlplane.model.reports import LoadReport
from controlplane.model.sections import ApiSettings, ConductorSettings, Settings
from controlplane.model.states import ProtonState, ReplacementStatus, ReplicaPhase
from controlplane.model.workloads import Proton, Replacement, Replica, Scale, Workload
from tests.fakes.waiting import until
from tests.integration.api.conftest import (
    ELASTIC,
    GATEWAY,
    IDS,
    Api,
    MakeApi,
    artifact_body,
    container,
    runtime_body,
)

PATHS = ["/api/v2/workloads", "/api/v2/console/workloads"]
NONE = {"detail": "There is no active replacement for this workload."}
SIZES = runtime_body(containers=[{"name": "main", "resourceAllocation": {"cpu": 2}}])


@pytest.fixture
async def conducted(make_api: MakeApi) -> AsyncIterator[Api]:
    """An API with a conductor, and a gateway that knows everything at once."""
    api = await make_api(
        Settings(
            api=ApiSettings(gateway_url=GATEWAY),
            conductor=ConductorSettings(tick_s=0.05, lease_ttl_s=1.0),
        )
    )
    report = LoadReport(worker_id="w", sent_at=0, clock_s=0, revision=2**60)
    await api.store.publish_report(report, ttl_s=3600)
    async with Conductor(api.services, parts).running():
        yield api


def body(artifact: dict[str, Any] | str, **more: object) -> dict[str, object]:
    """A replacement by an artifact."""
    artifact_id = artifact if isinstance(artifact, str) else artifact["id"]
    return {"artifactId": artifact_id, "strategy": "rolling"} | more


async def begin(api: Api, workload: dict[str, Any], **more: object) -> dict[str, Any]:
    """Start a replacement by a new draft."""
    artifact = await api.artifact(name="another")
    path = f"/api/v2/workloads/{workload['id']}/replacement"
    answer = await api.owner.post(path, json=body(artifact, **more))
    assert answer.status_code == 202, answer.text
    return answer.json()


async def serving(
    api: Api, proton_id: str, workload_id: str, *, phase: ReplicaPhase = ReplicaPhase.READY
) -> None:
    """What the autoscaler writes when a proton has a replica."""
    await api.write(
        Scale(
            id=proton_id,
            workload_id=workload_id,
            wanted_replicas=1,
            ready_replicas=1,
            state=ProtonState.RUNNING,
            reason="on_target",
            updated_at=20.0,
        ),
        Replica(
            id=IDS.new(),
            workload_id=workload_id,
            proton_id=proton_id,
            phase=phase,
            host="127.0.0.1",
            port=21000,
            created_at=10.0,
            ready_at=11.0,
        ),
    )


async def get(api: Api, path: str) -> Any:
    """The body of a GET."""
    answer = await api.owner.get(f"/api/v2/workloads/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def record(api: Api, workload: dict[str, Any]) -> Workload:
    """The workload as the API's copy has it."""
    found = api.services.mirror.get(Workload, workload["id"])
    assert found is not None
    return found


async def wait_status(api: Api, workload: dict[str, Any], *statuses: str | None) -> None:
    """Wait until the replacement is so far."""

    def there() -> bool:
        replacement = record(api, workload).replacement
        return (None if replacement is None else replacement.status) in statuses

    await until(there, what=f"one of {statuses}")


# ---- asking for one


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_replacement_is_accepted_and_shown(api: Api, path: str, slash: str) -> None:
    workload = await api.workload(path)
    one = f"{path}/{workload['id']}"
    artifact = await api.artifact(name="another")
    config = {"warmupDurationMinutes": 1, "keepOldVersionMinutes": 5}
    begun = await api.owner.post(f"{one}/replacement{slash}", json=body(artifact, config=config))
    assert begun.status_code == 202, begun.text
    shown = begun.json()
    protons = (await api.owner.get(f"{one}/protons")).json()["data"]
    assert [(p["role"], p["weight"]) for p in protons] == [("active", 100), ("candidate", 0)]
    assert set(shown) == {
        *("id", "name", "createdAt", "updatedAt", "userId", "tenantId", "workloadId"),
        *("candidateArtifactId", "candidateProtonIds", "previousProtonIds", "config", "runtime"),
        *("status", "strategy", "switchedAt", "message", "isDeleted", "deletedAt", "origin"),
        "previousArtifactId",
    }
    assert (shown["status"], shown["strategy"]) == ("submitted", "rolling")
    assert shown["candidateArtifactId"] == artifact["id"]
    assert shown["candidateProtonIds"] == [protons[1]["id"]]
    assert shown["previousProtonIds"] == [workload["protonId"]]
    assert shown["config"] == config | {"weightSteps": [], "weightRule": None}
    assert (shown["switchedAt"], shown["isDeleted"]) == (None, False)
    assert (await api.owner.get(f"{one}/replacement{slash}")).json() == shown
    now = (await api.owner.get(one)).json()
    assert now["replacement"] == shown
    assert (now["protonId"], now["artifactId"]) == (workload["protonId"], workload["artifactId"])
    assert (await api.owner.get(f"{one}/settings")).json()["replacement"] == shown


async def test_without_one_there_is_nothing_to_see_or_to_cancel(api: Api) -> None:
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/replacement"
    for verb in ("GET", "DELETE"):
        answer = await api.owner.request(verb, path)
        assert (answer.status_code, answer.json()) == (404, NONE)
    assert (await get(api, workload["id"]))["replacement"] is None
    missing = await api.owner.get(f"/api/v2/workloads/{'0' * 24}/replacement")
    assert missing.status_code == 404


async def test_a_second_one_is_refused_and_names_the_way_out(api: Api) -> None:
    workload = await api.workload()
    begun = await begin(api, workload)
    path = f"/api/v2/workloads/{workload['id']}"
    artifact = await api.artifact()
    second = await api.owner.post(f"{path}/replacement", json=body(artifact))
    assert second.status_code == 409
    assert begun["id"] in second.json()["detail"]
    assert f"DELETE {path}/replacement" in second.json()["detail"]


async def test_a_draft_and_a_locked_artifact_do_not_mix(api: Api) -> None:
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/replacement"
    locked = await api.artifact(lock=True)
    mixed = await api.owner.post(path, json=body(locked))
    assert mixed.status_code == 400
    assert mixed.json()["detail"].startswith("Artifact status mismatch: ")

    in_production = await api.workload(artifactId=locked["id"])
    path = f"/api/v2/workloads/{in_production['id']}/replacement"
    same = await api.owner.post(path, json=body(locked))
    assert same.status_code == 422
    assert isinstance(same.json()["detail"][0], str)
    another = await api.artifact(lock=True)
    assert (await api.owner.post(path, json=body(another))).status_code == 202


async def test_the_same_draft_rolls_its_edits_out(api: Api) -> None:
    workload = await api.workload()
    spec = {"containerGroups": [{"containers": [container(imageUri="registry/app:2")]}]}
    await api.owner.patch(f"/api/v2/artifacts/{workload['artifactId']}", json={"spec": spec})
    path = f"/api/v2/workloads/{workload['id']}"
    begun = await api.owner.post(f"{path}/replacement", json=body(workload["artifactId"]))
    assert begun.status_code == 202
    images = [
        p["deployedImages"]["main"] for p in (await get(api, workload["id"] + "/protons"))["data"]
    ]
    assert images == ["registry/app:1", "registry/app:2"]


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        ({"artifactId": "0" * 24}, 404, None),
        ({"artifactId": "no id"}, 404, None),
        ({"strategy": "canary"}, 422, ["body", "strategy"]),
        ({"config": {"warmupDurationMinutes": -1}}, 422, ["body", "config"]),
        ({"config": {"weightSteps": [{"percent": 100}]}}, 422, ["body", "config", "weightSteps"]),
        ({"runtime": runtime_body(replicaCount=0)}, 422, ["body", "runtime"]),
        ({"runtime": runtime_body(name="other")}, 422, None),
        ({"now": True}, 422, ["body", "now"]),
    ],
)
async def test_what_cannot_work_is_refused_and_nothing_is_written(
    api: Api, change: dict[str, object], status: int, where: list[str] | None
) -> None:
    workload = await api.workload()
    artifact = await api.artifact()
    path = f"/api/v2/workloads/{workload['id']}"
    refused = await api.owner.post(f"{path}/replacement", json=body(artifact) | change)
    assert refused.status_code == status, refused.text
    if where is not None:
        assert refused.json()["detail"][0]["loc"][: len(where)] == where
    assert (await get(api, workload["id"]))["replacement"] is None
    assert len((await get(api, f"{workload['id']}/protons"))["data"]) == 1


async def test_limits_hold_for_what_it_brings(make_api: MakeApi) -> None:
    api = await make_api(Settings(api=ApiSettings(gateway_url=GATEWAY, max_workload_replicas=2)))
    workload = await api.workload()
    artifact = await api.artifact()
    refused = await api.owner.post(
        f"/api/v2/workloads/{workload['id']}/replacement",
        json=body(artifact, runtime=runtime_body(replicaCount=3)),
    )
    assert refused.status_code == 403
    told = refused.json()["detail"]
    assert told.startswith("Requested replicas (3) exceeds the maximum allowed (2). Lower ")


async def test_of_many_that_start_stopped_workloads_at_once_as_many_start_as_may(
    make_api: MakeApi,
) -> None:
    most = 2
    api = await make_api(
        Settings(api=ApiSettings(gateway_url=GATEWAY, max_concurrent_workloads=most))
    )
    asked = []
    for _ in range(most + 3):
        path = f"/api/v2/workloads/{(await api.workload())['id']}"
        assert (await api.owner.post(f"{path}/stop")).status_code == 202
        asked.append((f"{path}/replacement", body(await api.artifact())))
    answers = await asyncio.gather(*(api.owner.post(path, json=what) for path, what in asked))
    assert sorted(a.status_code for a in answers) == [202] * most + [403] * 3


async def test_only_owners_replace_and_readers_look(api: Api) -> None:
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}"
    await begin(api, workload)
    _, stranger = await api.person("stranger")
    artifact = await api.artifact()
    for verb, route, sent in (
        ("POST", "replacement", body(artifact)),
        ("GET", "replacement", None),
        ("DELETE", "replacement", None),
        ("GET", "history", None),
    ):
        answer = await stranger.request(verb, f"{path}/{route}", json=sent)
        assert answer.status_code == 403, (verb, route)


async def test_the_drafts_of_a_replacement_are_taken(api: Api) -> None:
    workload = await api.workload()
    begun = await begin(api, workload)
    other = await api.owner.post(
        "/api/v2/workloads/", json={"name": "b", "artifactId": begun["candidateArtifactId"]}
    )
    assert other.status_code == 409
    deleted = await api.owner.delete(f"/api/v2/artifacts/{begun['candidateArtifactId']}")
    assert deleted.status_code == 409
    assert workload["id"] in deleted.json()["detail"]


# ---- carried on


async def test_it_switches_when_the_candidate_serves_and_is_then_history(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    await serving(api, workload["protonId"], workload["id"])
    runtime = runtime_body(autoscaling=ELASTIC)
    begun = await begin(api, workload, runtime=runtime)
    (candidate,) = begun["candidateProtonIds"]
    assert (await get(api, workload["id"]))["runtime"] == workload["runtime"]
    await serving(api, candidate, workload["id"])

    seen: list[tuple[str | None, str | None]] = []

    def over() -> bool:
        now = record(api, workload)
        seen.append((now.active_proton_id, now.replacement and now.replacement.status))
        return now.replacement is None

    await until(over)
    assert (candidate, "completed") in seen, "it is shown for a second, with the new proton"
    after = await get(api, workload["id"])
    assert (after["protonId"], after["replacement"]) == (candidate, None)
    assert after["artifactId"] == begun["candidateArtifactId"]
    assert after["runtime"]["containerGroups"][0]["autoscaling"]["maxReplicaCount"] == 5
    assert after["status"] == "running"
    protons = (await get(api, f"{workload['id']}/protons"))["data"]
    assert [(p["id"], p["role"], p["weight"]) for p in protons] == [(candidate, "active", 100)]

    (entry,) = (await get(api, f"{workload['id']}/history"))["data"]
    assert (entry["id"], entry["status"]) == (begun["id"], "completed")
    assert entry["switchedAt"] is not None
    events = (await get(api, f"{workload['id']}/events?limit=20"))["data"]
    by_type = {event["eventType"]: event for event in events}
    assert set(by_type) >= {
        "Replacement Started",
        "Replacement Switched",
        "Replacement Completed",
    }
    told = by_type["Replacement Completed"]["details"]
    assert set(told) == {
        *("replacementId", "artifactId", "message", "protonStatuses", "candidateProtonIds"),
    }
    assert told["candidateProtonIds"] == [candidate]
    assert told["protonStatuses"][candidate]["state"] == "running"


async def test_a_candidate_that_errs_is_removed_and_the_failure_shown(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    await serving(api, workload["protonId"], workload["id"])
    begun = await begin(api, workload)
    (candidate,) = begun["candidateProtonIds"]
    await api.write(
        Scale(
            id=candidate,
            workload_id=workload["id"],
            wanted_replicas=1,
            ready_replicas=0,
            state=ProtonState.ERRORED,
            errored=True,
            reason="errored",
            message="It ends with 3: look at its log.",
            updated_at=20.0,
        )
    )
    await wait_status(api, workload, "errored")
    after = await get(api, workload["id"])
    assert (after["protonId"], after["status"]) == (workload["protonId"], "running")
    assert after["replacement"]["message"] == (
        "The candidate failed: It ends with 3: look at its log."
    )
    shown = await get(api, f"{workload['id']}/replacement")
    assert shown["status"] == "errored"
    assert await api.store.get(Proton, candidate) is None
    assert [e["status"] for e in (await get(api, f"{workload['id']}/history"))["data"]] == [
        "errored"
    ]
    again = await begin(api, workload)
    assert again["id"] != begun["id"]


async def test_a_candidate_whose_replica_failed_once_may_try_again(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    begun = await begin(api, workload)
    (candidate,) = begun["candidateProtonIds"]
    await serving(api, candidate, workload["id"], phase=ReplicaPhase.FAILED)
    await wait_status(api, workload, "initializing")
    assert (await get(api, f"{workload['id']}/protons/{candidate}"))["status"] == "errored"
    await serving(api, candidate, workload["id"])
    await wait_status(api, workload, None)
    assert (await get(api, workload["id"]))["protonId"] == candidate


async def test_a_cancel_removes_the_candidate_and_the_record(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    begun = await begin(api, workload)
    path = f"/api/v2/workloads/{workload['id']}/replacement"
    cancelled = await api.owner.request(
        "DELETE", path, content=b"null", headers={"Content-Type": "application/json"}
    )
    assert cancelled.status_code == 202
    assert (cancelled.json()["id"], cancelled.json()["isDeleted"]) == (begun["id"], True)
    await wait_status(api, workload, None)
    assert (await api.owner.get(path)).json() == NONE
    assert (await api.owner.delete(path)).json() == NONE
    (entry,) = (await get(api, f"{workload['id']}/history"))["data"]
    assert (entry["status"], entry["isDeleted"]) == ("errored", True)
    assert entry["deletedAt"] is not None
    protons = (await get(api, f"{workload['id']}/protons"))["data"]
    assert [p["id"] for p in protons] == [workload["protonId"]]
    events = (await get(api, f"{workload['id']}/events"))["data"]
    assert "Replacement Cancelled" in {event["eventType"] for event in events}


async def test_an_old_proton_is_kept_and_a_cancel_goes_back(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    await serving(api, workload["protonId"], workload["id"])
    begun = await begin(api, workload, config={"keepOldVersionMinutes": 60})
    (candidate,) = begun["candidateProtonIds"]
    await serving(api, candidate, workload["id"])
    await wait_status(api, workload, "switching")
    roles = {
        p["id"]: (p["role"], p["status"])
        for p in (await get(api, f"{workload['id']}/protons"))["data"]
    }
    assert roles == {
        workload["protonId"]: (None, "draining"),
        candidate: ("active", "running"),
    }
    path = f"/api/v2/workloads/{workload['id']}/replacement"
    assert (await api.owner.delete(path)).status_code == 202
    await wait_status(api, workload, None)
    after = await get(api, workload["id"])
    assert (after["protonId"], after["artifactId"]) == (
        workload["protonId"],
        workload["artifactId"],
    )


async def test_a_warming_candidate_says_so(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    begun = await begin(api, workload, config={"warmupDurationMinutes": 60})
    (candidate,) = begun["candidateProtonIds"]
    await serving(api, candidate, workload["id"])
    await wait_status(api, workload, "awaiting_promotion")
    proton = await get(api, f"{workload['id']}/protons/{candidate}")
    assert proton["status"] == "warming"


async def test_settings_that_need_new_replicas_are_a_replacement(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/settings"
    begun = await api.owner.patch(path, json={"runtime": SIZES})
    assert begun.status_code == 202
    shown = begun.json()
    assert (shown["status"], shown["origin"]) == ("submitted", "settings")
    assert shown["candidateArtifactId"] == workload["artifactId"]
    (candidate,) = shown["candidateProtonIds"]
    await serving(api, candidate, workload["id"])
    await wait_status(api, workload, None)
    after = await get(api, workload["id"])
    assert after["protonId"] == candidate
    assert after["runtime"] == shown["runtime"]


async def test_scaling_in_place_is_in_the_history_too(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    path = f"/api/v2/workloads/{workload['id']}/settings"
    done = await api.owner.patch(path, json={"runtime": runtime_body(replicaCount=2)})
    assert (done.status_code, done.json()["status"]) == (202, "completed")
    await wait_status(api, workload, None)
    (entry,) = (await get(api, f"{workload['id']}/history"))["data"]
    assert (entry["id"], entry["origin"]) == (done.json()["id"], "settings")


# ---- beside other requests


async def test_a_stop_ends_it(api: Api) -> None:
    workload = await api.workload()
    await begin(api, workload)
    path = f"/api/v2/workloads/{workload['id']}"
    assert (await api.owner.post(f"{path}/stop")).status_code == 202
    after = await get(api, workload["id"])
    assert (after["status"], after["replacement"]) == ("stopped", None)
    assert len((await get(api, f"{workload['id']}/protons"))["data"]) == 1
    (entry,) = (await get(api, f"{workload['id']}/history"))["data"]
    assert (entry["status"], entry["isDeleted"]) == ("errored", True)


async def test_a_stopped_workload_starts_with_the_other_artifact(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    await api.owner.post(f"/api/v2/workloads/{workload['id']}/stop")
    begun = await begin(api, workload)
    assert begun["status"] == "completed"
    after = await get(api, workload["id"])
    assert after["artifactId"] == begun["candidateArtifactId"]
    assert after["status"] == "submitted"
    await wait_status(api, workload, None)


async def test_a_delete_takes_both_protons(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    begun = await begin(api, workload)
    assert (await api.owner.delete(f"/api/v2/workloads/{workload['id']}")).status_code == 204
    assert await api.store.list(Proton) == []
    (entry,), _ = await api.store.read_journal(f"history:{workload['id']}", limit=10)
    ended = msgspec.json.decode(entry, type=Replacement)
    assert (ended.id, ended.status) == (begun["id"], ReplacementStatus.ERRORED)
    assert ended.message == "Cancelled: the workload was removed."


async def test_a_draft_edit_does_not_reach_the_candidate(api: Api) -> None:
    workload = await api.workload()
    begun = await begin(api, workload)
    edited = await api.owner.put(
        f"/api/v2/artifacts/{begun['candidateArtifactId']}", json=artifact_body(name="edited")
    )
    assert edited.status_code == 200
    (candidate,) = begun["candidateProtonIds"]
    stored = await api.store.get(Proton, candidate)
    assert stored is not None
    assert stored.record.spec == record_spec(api, workload)


def record_spec(api: Api, workload: dict[str, Any]) -> object:
    """What the active proton runs: both were made from the same body."""
    active = api.services.mirror.get(Proton, workload["protonId"])
    assert active is not None
    return active.spec


async def test_metadata_changes_while_it_goes_on_and_reach_both_protons(conducted: Api) -> None:
    api = conducted
    workload = await api.workload()
    await begin(api, workload)
    path = f"/api/v2/workloads/{workload['id']}"
    for _ in range(5):  # the conductor may be faster; the caller is told
        changed = await api.owner.patch(path, json={"importance": "critical"})
        if changed.status_code != 409:
            break
        await asyncio.sleep(0.05)
    assert changed.status_code == 200
    protons = api.services.protons[workload["id"]].values()
    assert {p.importance.value for p in protons} == {"critical"}


@pytest.mark.parametrize("path", PATHS)
async def test_history_is_paged_and_knows_no_other_parameter(api: Api, path: str) -> None:
    workload = await api.workload(path)
    one = f"{path}/{workload['id']}"
    for count in (2, 3, 4):
        runtime = runtime_body(replicaCount=count)
        answer = await api.owner.patch(f"{one}/settings", json={"runtime": runtime})
        assert answer.status_code == 202
    page = (await api.owner.get(f"{one}/history?limit=2")).json()
    assert (page["totalCount"], page["count"], page["previous"]) == (3, 2, None)
    rest = (await api.owner.get(page["next"])).json()
    assert (rest["count"], rest["next"]) == (1, None)
    times = [entry["createdAt"] for entry in page["data"] + rest["data"]]
    assert times == sorted(times, reverse=True)
    refused = await api.owner.get(f"{one}/history?status=errored")
    assert (refused.status_code, refused.json()["detail"][0]["type"]) == (422, "extra_forbidden")
    assert (await api.owner.get(f"{path}/{'0' * 24}/history")).status_code == 404
