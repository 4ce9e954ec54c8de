"""Every field of every object that clients parse: there, of the right type, null where it may be.

The tables in `contract_shapes` are the public documents'; answers come from the real application
over a real store. Each object is looked at in the states in which its fields differ.
"""

import pytest

from controlplane.model.states import ProtonState, ReplicaPhase
from controlplane.model.workloads import Replica, Scale
from tests.clients import contract_shapes as s
from tests.integration.api.conftest import (
    ELASTIC,
    IDS,
    api,
    artifact_body,
    container,
    make_api,
    runtime_body,
)

__all__ = ["api", "make_api"]

NEW = {
    "workloads": "/api/v2/workloads",
    "artifacts": "/api/v2/artifacts",
    "status": s.NEW_WORKLOAD_STATUS,
    "artifact_status": s.NEW_ARTIFACT_STATUS,
    "runtime": s.NEW_RUNTIME,
    "autoscaling": s.AUTOSCALING,
    "locked": "locked",
}
OLD = {
    "workloads": "/api/v2/console/workloads",
    "artifacts": "/api/v2/registry/artifacts",
    "status": s.OLD_WORKLOAD_STATUS,
    "artifact_status": s.OLD_ARTIFACT_STATUS,
    "runtime": s.OLD_RUNTIME,
    "autoscaling": s.OLDER_AUTOSCALING,
    "locked": "registered",
}
families = pytest.mark.parametrize("family", [NEW, OLD], ids=["current", "v2.41"])


def workload_kind(family, **known):
    fields = s.workload_fields(family["status"], family["artifact_status"], family["runtime"])
    return s.shape("Workload", s.whole_shape(fields, **known), s.WORKLOAD_EXTENSIONS)


def proton_kind(family, **known):
    fields = s.whole_shape(s.proton_fields(family["runtime"]), **known)
    return s.shape("Proton", fields, s.PROTON_EXTENSIONS)


def replacement_kind(family, **known):
    fields = s.whole_shape(s.replacement_fields(family["runtime"]), **known)
    return s.shape("Replacement", fields, s.REPLACEMENT_EXTENSIONS)


def artifact_kind(family, **known):
    fields = s.whole_shape(s.artifact_fields(family["artifact_status"]), **known)
    return s.shape("Artifact", fields)


async def got(api, path, kind, *, status=200, verb="GET", **more):
    answer = await api.owner.request(verb, path, **more)
    assert answer.status_code == status, f"{verb} {path}: {answer.status_code} {answer.text}"
    why = kind(answer.json())
    assert not why, f"{verb} {path}: {why}\n{answer.text}"
    return answer.json()


async def make_ready(api, workload):
    """What the autoscaler does."""
    await api.write(
        Replica(
            id=IDS.new(),
            proton_id=workload["protonId"],
            workload_id=workload["id"],
            phase=ReplicaPhase.READY,
            host="127.0.0.1",
            port=9,
            created_at=1.0,
            started_at=2.0,
            ready_at=3.0,
        ),
        Scale(
            id=workload["protonId"],
            workload_id=workload["id"],
            wanted_replicas=1,
            ready_replicas=1,
            state=ProtonState.RUNNING,
            reason="fixed",
            updated_at=4.0,
        ),
    )


# -- workloads ------------------------------------------------------------------------------------


@families
async def test_a_workload_that_was_just_created(api, family):
    known = {"replacement": s.null, "requestStats": s.null, "lastResponse": s.null}
    kind = workload_kind(family, **known, protonId=s.object_id, creator=s.USER)
    body = {"name": "new", "artifact": artifact_body()}
    made = await got(api, f"{family['workloads']}/", kind, status=201, verb="POST", json=body)
    assert made["endpoint"].endswith(f"/api/v2/endpoints/workloads/{made['id']}/")
    assert made["status"] in {"submitted", "unknown"}
    assert made["description"] == ""
    assert made["importance"] == "low"
    await got(api, f"{family['workloads']}/{made['id']}/", kind)


@families
async def test_a_workload_that_runs(api, family):
    body = runtime_body(replicaCount=1)
    made = await api.workload(f"{family['workloads']}/", runtime=body, tags=[{"name": "team"}])
    await make_ready(api, made)
    path = f"{family['workloads']}/{made['id']}"
    known = {"statusDetails": s.STATUS_DETAILS, "tags": s.many(s.TAG)}
    found = await got(api, path, workload_kind(family, **known, status=s.one_of("running")))
    assert [tag["name"] for tag in found["tags"]] == ["team"]
    assert (
        s.shape("Settings", {"runtime": family["runtime"], "replacement": s.null})(
            (await api.owner.get(f"{path}/settings/")).json()
        )
        == ""
    )


@families
async def test_a_workload_that_scales_shows_its_bounds_where_its_clients_look(api, family):
    made = await api.workload(f"{family['workloads']}/", runtime=runtime_body(autoscaling=ELASTIC))
    (group,) = made["runtime"]["containerGroups"]
    assert group["replicaCount"] is None
    assert family["autoscaling"](group["autoscaling"]) == ""
    assert group["autoscaling"]["minReplicaCount"] == 0
    assert group["autoscaling"]["cooldownPeriodMinutes"] is None


@families
async def test_a_workload_that_is_stopped(api, family):
    made = await api.workload(f"{family['workloads']}/")
    path = f"{family['workloads']}/{made['id']}"
    await got(api, f"{path}/stop", s.OPERATION, status=202, verb="POST")
    await got(api, f"{path}/stop/", s.OPERATION, status=200, verb="POST", json={})
    await got(api, path, workload_kind(family, status=s.one_of("stopped", "stopping")))
    await got(api, f"{path}/start", s.OPERATION, status=202, verb="POST")
    await got(api, f"{path}/start", s.OPERATION, status=200, verb="POST")


@families
async def test_a_workload_in_a_replacement(api, family):
    made = await api.workload(f"{family['workloads']}/", runtime=runtime_body(replicaCount=1))
    await make_ready(api, made)
    path = f"{family['workloads']}/{made['id']}"
    nothing = await got(api, f"{path}/replacement", s.ERROR, status=404)
    assert nothing["detail"] == "There is no active replacement for this workload."
    other = await api.artifact(name="next")
    body = {
        "artifactId": other["id"],
        "strategy": "rolling",
        "config": {"warmupDurationMinutes": 0, "keepOldVersionMinutes": 0},
    }
    kind = replacement_kind(
        family, switchedAt=s.null, deletedAt=s.null, status=s.one_of("submitted", "initializing")
    )
    started = await got(api, f"{path}/replacement", kind, status=202, verb="POST", json=body)
    assert started["candidateArtifactId"] == other["id"]
    assert started["workloadId"] == made["id"]
    assert started["isDeleted"] is False
    await got(api, f"{path}/replacement/", replacement_kind(family))
    found = await got(api, path, workload_kind(family, replacement=replacement_kind(family)))
    assert found["replacement"]["id"] == started["id"]
    again = await got(api, f"{path}/replacement", s.ERROR, status=409, verb="POST", json=body)
    assert again["detail"]
    cancelled = await api.owner.delete(f"{path}/replacement")
    assert cancelled.status_code == 202


@families
async def test_settings_of_a_running_workload_answer_a_replacement(api, family):
    made = await api.workload(f"{family['workloads']}/", runtime=runtime_body(replicaCount=1))
    await make_ready(api, made)
    path = f"{family['workloads']}/{made['id']}/settings"
    body = {"runtime": runtime_body(replicaCount=2)}
    await got(api, path, replacement_kind(family), status=202, verb="PATCH", json=body)


@families
async def test_a_promotion_answers_the_workload_and_is_in_its_history(api, family):
    made = await api.workload(f"{family['workloads']}/", runtime=runtime_body(replicaCount=1))
    await make_ready(api, made)
    path = f"{family['workloads']}/{made['id']}"
    promoted = await got(api, f"{path}/promote", workload_kind(family), status=202, verb="POST")
    assert promoted["artifact"]["status"] == family["locked"]
    assert promoted["artifact"]["version"] == 1
    assert promoted["endpoint"] == made["endpoint"]
    history = await got(api, f"{path}/history?limit=10", s.page(replacement_kind(family)))
    assert history["data"]


@families
async def test_the_list_of_workloads(api, family):
    for name in ("a", "b", "c"):
        await api.workload(f"{family['workloads']}/", name=name)
    kind = s.page(workload_kind(family))
    first = await got(api, f"{family['workloads']}/?limit=2&offset=0", kind)
    assert (first["totalCount"], first["count"], len(first["data"])) == (3, 2, 2)
    assert first["previous"] is None
    following = await got(api, first["next"].removeprefix("http://api.test:8081"), kind)
    assert (following["next"], following["count"]) == (None, 1)
    assert following["previous"] is not None
    empty = await got(api, f"{family['workloads']}/?search=nothing-like-it", kind)
    assert (empty["data"], empty["totalCount"]) == ([], 0)


async def test_request_stats_are_there_when_the_list_is_asked_for_them(api):
    await api.workload()
    kind = s.page(workload_kind(NEW, requestStats=s.REQUEST_STATS))
    found = await got(api, "/api/v2/workloads/?serviceStats=true", kind)
    stats = found["data"][0]["requestStats"]
    assert (len(stats["requestRates"]), len(stats["errorRates"])) == (7, 7)


# -- what belongs to a workload -------------------------------------------------------------------


@families
async def test_protons(api, family):
    made = await api.workload(f"{family['workloads']}/", runtime=runtime_body(replicaCount=1))
    path = f"{family['workloads']}/{made['id']}"
    proton = f"{path}/protons/{made['protonId']}"
    before = await api.owner.get(f"{proton}/statusDetails")
    assert (before.status_code, before.content) == (204, b"")
    await make_ready(api, made)
    known = {"role": s.one_of("active"), "runningSince": s.moment}
    found = await got(api, f"{path}/protons/", s.page(proton_kind(family, **known)))
    assert found["data"][0]["id"] == made["protonId"]
    one = await got(api, proton, proton_kind(family, **known))
    assert one["endpoint"] == f"{made['endpoint'].rstrip('/')}?protonId={made['protonId']}"
    snapshot = await got(api, f"{proton}/statusDetails/", s.SNAPSHOT)
    (replica,) = snapshot["replicas"]
    assert replica["status"] == "running"


@families
async def test_events(api, family):
    made = await api.workload(f"{family['workloads']}/")
    path = f"{family['workloads']}/{made['id']}/events"
    found = await got(api, f"{path}?limit=5", s.page(s.EVENT))
    assert found["data"][0]["workloadId"] == made["id"]
    refused = await got(api, f"{path}?eventType=a", s.INVALID, status=422)
    assert refused["detail"][0]["type"] == "extra_forbidden"


async def test_stats(api):
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}"
    query = "responseTimeQuantile=0.5&slowRequestsThreshold=2000"
    await got(api, f"{path}/stats?{query}", s.STATS)


async def test_related_things_and_shared_roles(api):
    made = await api.workload()
    path = f"/api/v2/workloads/{made['id']}"
    await got(api, f"{path}/related", s.RELATED)
    found = await got(api, f"{path}/sharedRoles/", s.page(s.SHARED_ROLE))
    assert [item["role"] for item in found["data"]] == ["OWNER"]


# -- artifacts ------------------------------------------------------------------------------------


@families
async def test_a_draft_and_a_locked_artifact(api, family):
    kind = artifact_kind(family, version=s.null, status=s.one_of("draft"))
    body = artifact_body(
        status="locked",
        spec={
            "type": "service",
            "containerGroups": [
                {
                    "containers": [
                        container(
                            primary=True,
                            readinessProbe={"path": "/healthz", "port": 8000},
                            environmentVars=[{"source": "string", "name": "A", "value": "1"}],
                        )
                    ]
                }
            ],
        },
    )
    path = f"{family['artifacts']}/"
    made = await got(api, path, kind, status=201, verb="POST", json=body)
    one = f"{family['artifacts']}/{made['id']}"
    await got(api, one, kind)
    lock = {"status": family["locked"]}
    kind = artifact_kind(family, version=s.count, status=s.one_of(family["locked"]))
    locked = await got(api, f"{one}/", kind, verb="PATCH", json=lock)
    assert locked["version"] == 1
    again = await got(api, one, s.ERROR, status=403, verb="PATCH", json=lock)
    assert again["detail"]
    copy = artifact_kind(family, version=s.null, status=s.one_of("draft"))
    cloned = await got(api, f"{one}/clone", copy, verb="POST", json={"name": "copy"})
    assert cloned["artifactRepositoryId"] == made["artifactRepositoryId"]
    await got(api, f"{path}?limit=5", s.page(artifact_kind(family)))


async def test_repositories(api):
    made = await api.artifact(lock=True)
    path = f"/api/v2/artifactRepositories/{made['artifactRepositoryId']}"
    one = await got(api, path, s.REPOSITORY)
    assert (one["lastVersionNumber"], one["numArtifacts"]) == (1, 1)
    await got(api, "/api/v2/artifactRepositories", s.page(s.REPOSITORY))


# -- errors ---------------------------------------------------------------------------------------


@families
async def test_errors(api, family):
    nowhere = f"{family['workloads']}/{'0' * 24}"
    for verb in ("GET", "DELETE"):
        await got(api, nowhere, s.ERROR, status=404, verb=verb)
    await got(api, f"{family['workloads']}/nonsense", s.ERROR, status=404)
    body = {"name": "a", "artifactId": "0" * 24}
    await got(api, family["workloads"], s.ERROR, status=404, verb="POST", json=body)
    found = await got(api, family["workloads"], s.INVALID, status=422, verb="POST", json={"a": 1})
    assert {"missing", "extra_forbidden"} & {error["type"] for error in found["detail"]}
    unknown = await api.client(None).get(family["workloads"])
    assert unknown.status_code == 401
    assert s.ERROR(unknown.json()) == ""


# -- the language of the tables -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (s.object_id, "xyz"),
        (s.object_id, 5),
        (s.moment, "2026-11-21T19:00:00"),
        (s.moment, "yesterday Z"),
        (s.moment, None),
        (s.endpoint, "/api/v2/endpoints/workloads/a/"),
        (s.endpoint, "http://host/api"),
        (s.url, None),
        (s.count, True),
        (s.count, 1.5),
        (s.count, -1),
        (s.number, "1"),
        (s.flag, 0),
        (s.filled, ""),
        (s.many(s.text), "text"),
        (s.many(s.text), [1]),
        (s.one_of("a"), "b"),
        (s.shape("x", {"a": s.text}), {}),
        (s.shape("x", {"a": s.text}), {"a": None}),
        (s.shape("x", {"a": s.text}), {"a": "", "b": 1}),
        (s.shape("x", {}), []),
    ],
)
def test_a_wrong_value_is_told(kind, value):
    assert kind(value) != ""


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (s.moment, "2026-09-30T18:07:59.572000+00:00"),
        (s.moment, "2026-09-30T18:07:59Z"),
        (s.endpoint, "https://host/api/v2/endpoints/workloads/a/"),
        (s.maybe(s.count), None),
        (s.many(s.maybe(s.text)), ["a", None]),
        (s.shape("x", {"a": s.text}, ("b",)), {"a": "", "b": 1}),
    ],
)
def test_a_right_value_is_not(kind, value):
    assert kind(value) == ""
