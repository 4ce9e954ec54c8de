"""The calls of the public clients as they send them, and what each reads out of the answer.

Facts from the code of datarobot-genai 0.31, the `dr` CLI 0.3, the Terraform provider 0.10.46 and
the agent skills' scripts. A redirect would be an error to some of them, so that none may happen.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.test_shapes import make_ready
from tests.integration.api.conftest import api, make_api, runtime_body

__all__ = ["api", "make_api"]

PREFIX = "/api/v2/"
NOTHING = object()
"""No body at all; None is the body `null`."""


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    status: int
    reads: tuple[str, ...] = ()
    """Fields without which the client breaks; dots lead into objects."""
    body: Any = NOTHING
    headers: tuple[tuple[str, str], ...] = ()


PAGE = ("data", "count", "totalCount", "next", "previous")
CLI_WORKLOAD = (
    *("id", "name", "status", "type", "importance", "artifactId", "endpoint"),
    *("createdAt", "updatedAt"),
)
TF_WORKLOAD = (*CLI_WORKLOAD, "description", "runtime", "protonId", "replacement")
REPLACEMENT = (
    *("id", "workloadId", "candidateArtifactId", "status", "strategy", "createdAt", "updatedAt"),
    "message",
)
OPERATION = ("status", "workloadId", "trackVia")
ARTIFACT = ("id", "name", "status", "type", "version", "artifactRepositoryId", "spec")
STATS = ("period.start", "period.end", "metrics.totalRequests", "metrics.totalErrorRate")
CONTAINER = {"name": "main", "imageUri": "hashicorp/http-echo:0.2.3", "primary": True, "port": 8080}
GENAI_WORKLOAD = {
    "name": "echo",
    "importance": "low",
    "artifact": {
        "name": "echo",
        "spec": {
            "type": "service",
            "containerGroups": [
                {
                    "containers": [
                        {**CONTAINER, "resourceRequest": {"cpu": 1, "memory": 134217728, "gpu": 0}}
                    ]
                }
            ],
        },
    },
    "runtime": {"containerGroups": [{"name": "default", "replicaCount": 1}]},
}
SPEC = {"containerGroups": [{"name": "default", "containers": [CONTAINER]}]}
CLI_GROUP = {
    "name": "default",
    "autoscaling": {
        "enabled": True,
        "minReplicaCount": 0,
        "maxReplicaCount": 2,
        "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 10}],
    },
    "containers": [
        {"name": "main", "resourceAllocation": {"cpu": 0.5, "memory": "512MB", "gpu": 0}}
    ],
}
OLD_POLICY = {
    "scalingMetric": "httpRequestsConcurrency",
    "target": 10,
    "minCount": 0,
    "maxCount": 2,
    "priority": None,
}
SKILL_GROUP = {"autoscaling": {"enabled": True, "policies": [OLD_POLICY]}}
FIXED = runtime_body(name="default", replicaCount=2)
JSON_KIND = (("Content-Type", "application/json"),)
START = {
    "artifactId": "{other}",
    "strategy": "rolling",
    "config": {"warmupDurationMinutes": 0, "keepOldVersionMinutes": 0},
}


def inline(group: Any) -> dict[str, Any]:
    artifact = {"name": "inline", "type": "service", "spec": SPEC}
    return {"name": "inline", "artifact": artifact, "runtime": {"containerGroups": [group]}}


GENAI = [
    Call("GET", "version/", 200, ("versionString", "major", "minor")),
    Call("GET", "account/info/", 200, ("uid", "email", "orgId", "limits.maxConcurrentWorkloads")),
    Call("GET", "workloads/?limit=100&offset=0", 200, PAGE),
    Call("GET", "workloads/?limit=20&offset=0&search=a", 200, PAGE),
    Call("POST", "workloads/", 201, ("id", "status", "endpoint"), GENAI_WORKLOAD),
    Call("GET", "workloads/{w}", 200, CLI_WORKLOAD),
    Call("PATCH", "workloads/{w}", 200, ("name",), {"name": "new", "importance": "high"}),
    Call("GET", "workloads/{w}/settings", 200, ("runtime.containerGroups",)),
    Call("PATCH", "workloads/{w}/settings", 202, REPLACEMENT, {"runtime": FIXED}),
    Call("GET", "workloads/{w}/replacement", 404, ("detail",)),
    Call("POST", "workloads/{w}/replacement", 202, REPLACEMENT, START),
    Call(
        "GET", "workloads/{w}/stats?responseTimeQuantile=0.5&slowRequestsThreshold=2000", 200, STATS
    ),
    Call("GET", "workloads/{w}/history?limit=10&offset=0", 200, PAGE),
    Call("GET", "workloads/{w}/events?limit=10&offset=0", 200, PAGE),
    Call("GET", "workloads/{w}/protons?limit=10&offset=0", 200, PAGE),
    Call("GET", "workloads/{w}/protons/{p}", 200, ("id", "status", "role", "endpoint")),
    Call(
        "GET", "workloads/{w}/protons/{p}/statusDetails", 200, ("overallStatus.state", "replicas")
    ),
    Call("GET", "workloads/{w}/related", 200, ("count", "data")),
    Call("POST", "workloads/{w}/stop", 202, OPERATION),
    Call("POST", "workloads/{w}/start", 200, OPERATION),
    Call("POST", "workloads/{w}/promote", 202, ("id", "artifact.version")),
    Call("GET", "otel/workload/{w}/logs/?limit=100&offset=0&level=debug", 200, ("data", "next")),
    Call("GET", "artifacts/?limit=100&offset=0", 200, PAGE),
    Call("GET", "artifacts/?limit=100&offset=0&status=draft&type=service", 200, PAGE),
    Call("POST", "artifacts/", 201, ARTIFACT, {"name": "a", "spec": SPEC}),
    Call("GET", "artifacts/{a}", 200, ARTIFACT),
    Call("PUT", "artifacts/{a}", 200, ARTIFACT, {"name": "b", "spec": SPEC}),
    Call("PATCH", "artifacts/{a}", 200, ARTIFACT, {"description": "c"}),
    Call("POST", "artifacts/{a}/clone", 200, ARTIFACT, {"name": "copy"}),
    Call("PATCH", "artifacts/{a}", 200, ("version",), {"status": "locked"}),
    Call("DELETE", "artifacts/{a}", 204),
    Call("GET", "artifacts/{a}/builds?limit=100&offset=0", 200, PAGE),
    Call("POST", "artifacts/{a}/builds", 422, ("detail",)),
    Call("GET", "artifacts/{a}/builds/{nowhere}", 422, ("detail",)),
    Call("GET", "artifacts/{a}/builds/{nowhere}/logs", 422, ("detail",)),
    Call("DELETE", "artifacts/{a}/builds/{nowhere}", 422, ("detail",)),
    Call("GET", "artifactRepositories?limit=100&offset=0", 200, PAGE),
    Call("GET", "artifactRepositories/{r}", 200, ("id", "lastVersionNumber", "numArtifacts")),
    Call("DELETE", "artifactRepositories/{r}", 204),
    Call("GET", "mlops/compute/bundles", 200, ("data",)),
    Call("GET", "agentCards/?limit=100&workloadIds={w}", 200, ("data",)),
    Call("DELETE", "workloads/{w}", 204),
]
CLI = [
    Call("GET", "version/", 200, ("versionString",)),
    Call(
        "GET", "account/info/", 200, ("uid", "orgId", "tenantId", "email", "firstName", "lastName")
    ),
    Call("GET", "workloads/?limit=100", 200, PAGE),
    Call("GET", "workloads/?limit=100&status=running&status=stopped", 200, PAGE),
    Call("POST", "workloads/", 201, CLI_WORKLOAD, inline(CLI_GROUP)),
    Call("GET", "workloads/{w}/", 200, CLI_WORKLOAD),
    Call("POST", "workloads/{w}/start", 200, OPERATION, {}),
    Call("POST", "workloads/{w}/stop", 202, OPERATION, {}),
    Call("GET", "workloads/{w}/settings/", 200, ("runtime", "replacement")),
    Call("PATCH", "workloads/{w}/settings/", 202, REPLACEMENT, {"runtime": FIXED}),
    Call("GET", "workloads/{w}/replacement/", 404, ("detail",)),
    Call("POST", "workloads/{w}/replacement/", 202, REPLACEMENT, START),
    Call("GET", "workloads/{w}/events/?limit=10", 200, PAGE),
    Call("GET", "otel/workload/{w}/logs/?limit=1000", 200, ("data", "next")),
    Call("GET", "otel/workload/{w}/logs/?limit=1000&level=error", 200, ("data",)),
    Call("GET", "artifacts/?limit=100&status=locked", 200, PAGE),
    Call("POST", "artifacts/", 201, ARTIFACT, {"name": "a", "type": "service", "spec": SPEC}),
    Call("GET", "artifacts/{a}/", 200, ARTIFACT),
    Call("PATCH", "artifacts/{a}/", 200, ARTIFACT, {"status": "locked"}),
    Call("GET", "artifacts/{a}/builds/?limit=1", 200, PAGE),
    Call("POST", "artifacts/{a}/builds/", 422, ("detail",)),
    Call("DELETE", "artifacts/{a}/", 204, (), None, JSON_KIND),
    Call("GET", "credentials/", 200, ("data",)),
    Call("DELETE", "workloads/{w}/", 204, (), None, JSON_KIND),
]
TERRAFORM = [
    Call("POST", "artifacts/", 201, ARTIFACT, {"name": "a", "status": "draft", "spec": SPEC}),
    Call("GET", "artifacts/{a}/", 200, ARTIFACT),
    Call("PATCH", "artifacts/{a}/", 200, ARTIFACT, {"name": "b", "spec": SPEC}),
    Call("GET", "artifacts/?status=locked&limit=100", 200, PAGE),
    Call("POST", "workloads/", 201, TF_WORKLOAD, inline(CLI_GROUP)),
    Call("GET", "workloads/{w}/", 200, TF_WORKLOAD),
    Call("PATCH", "workloads/{w}/", 200, TF_WORKLOAD, {"name": "b", "description": ""}),
    Call("PATCH", "workloads/{w}/settings", 202, REPLACEMENT, {"runtime": FIXED}),
    Call("POST", "workloads/{w}/replacement", 202, REPLACEMENT, START),
    Call("DELETE", "artifactRepositories/{r}/", 204),
    Call("DELETE", "workloads/{w}/", 204),
]
SKILLS = [
    Call(
        "GET",
        "workloads/?limit=10&offset=0&orderBy=-createdAt&ids={w}&status=running&importance=low"
        "&artifactId={wa}&artifactStatus=draft&repositoryId={r}&createdBy={u}&tagKeys=a&tagValues=b"
        "&serviceStats=true",
        200,
        PAGE,
    ),
    Call("POST", "workloads/", 201, CLI_WORKLOAD, inline(SKILL_GROUP)),
    Call("GET", "workloads/{w}/", 200, CLI_WORKLOAD),
    Call("PATCH", "workloads/{w}/", 200, ("importance",), {"importance": "critical"}),
    Call("POST", "workloads/{w}/start/", 200, OPERATION),
    Call("POST", "workloads/{w}/stop/", 202, OPERATION),
    Call("POST", "workloads/{w}/promote/", 202, ("id",)),
    Call("GET", "workloads/{w}/replacement/", 404, ("detail",)),
    Call("GET", "workloads/{w}/stats/", 200, STATS),
    Call("GET", "workloads/{w}/stats/totalRequests/", 200, ("metric", "summary", "buckets")),
    Call("GET", "workloads/{w}/stats/responseTime/?resolution=PT1H", 200, ("buckets",)),
    Call("GET", "workloads/stats/", 200, ("workloads.total", "requests.total", "errorRate.rate")),
    Call("DELETE", "workloads/{w}/stats/?metricName=totalRequests", 204),
    Call("GET", "workloads/{w}/history/", 200, PAGE),
    Call("GET", "workloads/{w}/related/", 200, ("count", "data")),
    Call("GET", "workloads/{w}/sharedRoles/", 200, PAGE),
    Call(
        *("PATCH", "workloads/{w}/sharedRoles/", 204, ()),
        {
            "operation": "updateRoles",
            "roles": [{"shareRecipientType": "user", "role": "OWNER", "id": "{u}"}],
        },
    ),
    Call("GET", "otel/workload/{w}/logs/", 200, ("data",)),
    Call("GET", "otel/workload/{w}/traces/", 200, ("data",)),
    Call("GET", "otel/workload/{w}/metrics/autocollectedValues/", 200),
    Call("GET", "artifactRepositories/{r}/", 200, ("id",)),
    Call("GET", "mlops/compute/bundles/", 200, ("data",)),
    Call("GET", "credentials/", 200, ("data",)),
    Call("DELETE", "workloads/{w}/", 204),
]
CLIENTS = {"genai": GENAI, "dr CLI": CLI, "terraform": TERRAFORM, "skills": SKILLS}
TABLE = [
    pytest.param(client, call, id=f"{client}-{call.method}-{call.path.partition('?')[0]}-{number}")
    for client, calls in CLIENTS.items()
    for number, call in enumerate(calls)
]


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if isinstance(value, str) and value.startswith("{"):
        return value.format_map(names)
    return value


def read(body: Any, field: str) -> Any:
    for name in field.split("."):
        assert name in body, f"no {field}: {body}"
        body = body[name]
    return body


@pytest.mark.parametrize(("client", "call"), TABLE)
async def test_a_clients_call_is_answered_as_it_reads_it(api, client, call):
    runs = await api.workload(runtime=runtime_body(replicaCount=1), tags=[{"name": "a"}])
    await make_ready(api, runs)
    draft = await api.artifact()
    names = {
        "w": runs["id"],
        "p": runs["protonId"],
        "wa": runs["artifactId"],
        "a": draft["id"],
        "r": draft["artifactRepositoryId"],
        "u": runs["creator"]["id"],
        "other": (await api.artifact())["id"],
        "nowhere": "0" * 24,
    }
    more: dict[str, Any] = {} if call.body is NOTHING else {"json": filled(call.body, names)}
    if call.body is None:
        more = {"content": b"null"}
    agent = {"X-DataRobot-Api-Consumer-Trace": "test", "User-Agent": client}
    answer = await api.owner.request(
        call.method,
        PREFIX + call.path.format_map(names),
        headers={**agent, **dict(call.headers)},
        follow_redirects=False,
        **more,
    )
    assert answer.status_code == call.status, f"{answer.status_code} {answer.text}"
    if call.status == 204:
        assert answer.content == b""
    for field in call.reads:
        read(answer.json(), field)


async def test_deleted_things_are_gone_at_once_for_terraform(api):
    made = await api.workload()
    path = f"{PREFIX}workloads/{made['id']}/"
    assert (await api.owner.delete(path)).status_code == 204
    assert (await api.owner.get(path)).status_code == 404


async def test_both_schemes_of_the_token_work(api):
    header = api.owner.headers["Authorization"].removeprefix("Bearer ")
    for scheme in ("Bearer", "Token", "token", "bearer"):
        answer = await api.client(None).get(
            f"{PREFIX}version/", headers={"Authorization": f"{scheme} {header}"}
        )
        assert answer.status_code == 200


async def test_the_next_page_is_on_the_host_that_was_asked(api):
    for _ in range(2):
        await api.artifact()
    answer = await api.owner.get(f"{PREFIX}artifacts/?limit=1")
    assert answer.json()["next"].startswith("http://api.test:8081/api/v2/artifacts/?")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param({"name": "a", "artifactId": "{locked}"}, 201, "", id="a-locked-artifact"),
        pytest.param(
            inline({"replicaCount": 1, **SKILL_GROUP}), 422, "", id="fixed-and-scaled-at-once"
        ),
        pytest.param(
            {
                **inline(CLI_GROUP),
                "artifact": {
                    "name": "a",
                    "spec": {"containerGroups": [{"containers": [{**CONTAINER, "port": 80}]}]},
                },
            },
            *(422, "port"),
            id="a-port-below-1024",
        ),
    ],
)
async def test_what_clients_rely_on_at_create(api, body, status, said):
    locked = await api.artifact(lock=True)
    answer = await api.owner.post(
        f"{PREFIX}workloads/", json=filled(body, {"locked": locked["id"]})
    )
    assert answer.status_code == status, answer.text
    assert said in answer.text
