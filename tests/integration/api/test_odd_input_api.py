"""Whatever a client sends, the answer is a refusal or a result, never a fault of ours."""

import copy
import json
import random

import pytest

from tests.integration.api.conftest import CONCURRENCY, ELASTIC, artifact_body, container

ODD = [
    None,
    True,
    -1,
    0,
    10**18,
    10**40,
    1e300,
    0.1,
    "",
    " ",
    "\0",
    "\u202e",
    "\ud800",
    "x" * 6000,
    "9" * 50,
    [],
    [None],
    [[]],
    {},
    {"": None},
    {"source": []},
]
PROBE = {"path": "/", "port": 8000, "httpHeaders": {"a": "b"}, "periodSeconds": 1}
CONTAINER = container(
    primary=True,
    description="d",
    entrypoint=["a"],
    environmentVars=[{"source": "string", "name": "A", "value": "1"}, {"source": "api-key"}],
    readinessProbe=PROBE,
    securityContext={
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    routes=[{"path": "/", "auth": "optional"}],
    resourceRequest={"cpu": 1, "memory": 1, "gpu": 1, "gpuType": "x"},
)
ARTIFACT = artifact_body(
    description="d",
    type="service",
    spec={"type": "service", "containerGroups": [{"name": "default", "containers": [CONTAINER]}]},
)
GROUP = {
    "name": "default",
    "autoscaling": ELASTIC
    | {
        "policies": [CONCURRENCY | {"minCount": 0, "maxCount": 2}],
        "behavior": {"maxScaleUpRate": 2, "scaleDownDelaySeconds": 1, "activationScale": 2},
        "schedules": [
            {
                "name": "n",
                "cron": "0 8 * * 1-5",
                "timezone": "Europe/Vienna",
                "durationMinutes": 5,
                "minReplicaCount": 1,
                "maxReplicaCount": 2,
            }
        ],
    },
    "containers": [{"name": "main", "resourceAllocation": {"cpu": 1, "memory": "1GB"}}],
    "resourceBundles": ["cpu.small"],
    "concurrencyLimitPerReplica": 3,
}
WORKLOAD = {
    "name": "w",
    "description": "d",
    "importance": "high",
    "artifact": ARTIFACT,
    "runtime": {"containerGroups": [GROUP], "enclaves": ["a"]},
}


def places(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from places(child, (*path, key))


def mutated(body, chance):
    result = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        place = chance.choice([p for p in places(result) if p])
        target = result
        for key in place[:-1]:
            target = target[key]
        if chance.random() < 0.2 and isinstance(target, dict):
            del target[place[-1]]
        else:
            target[place[-1]] = copy.deepcopy(chance.choice(ODD))
    return result


@pytest.mark.parametrize("seed", range(5))
async def test_odd_bodies_never_break_the_api(api, seed):
    chance = random.Random(seed)
    counts = {}
    for _ in range(60):
        path, body = chance.choice(
            [("/api/v2/workloads", WORKLOAD), ("/api/v2/registry/artifacts/", ARTIFACT)]
        )
        sent = json.dumps(mutated(body, chance))
        answer = await api.owner.post(
            path, content=sent, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {201, 404, 409, 422}, (answer.status_code, sent)
        counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
        if answer.status_code == 201:
            one = f"{path.rstrip('/')}/{answer.json()['id']}"
            assert (await api.owner.get(one)).json() == answer.json()
            assert (await api.owner.delete(one)).status_code == 204
    assert set(counts) >= {201, 422}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/workloads/%00",
        "/api/v2/workloads/%ff%fe",
        "/api/v2/workloads/..%2f..",
        "/api/v2/artifacts/" + "x" * 5000,
        "/api/v2/workloads/ /events",
        "/api/v2/workloads/%F0%9F%8C%8A/protons/x/statusDetails/",
    ],
)
async def test_odd_ids_are_not_found(api, path):
    assert (await api.owner.get(path)).status_code == 404


@pytest.mark.parametrize(
    "query", ["ids=%00", "search=%ff", "ids=&ids=", "&&&", "offset=0&offset=1"]
)
async def test_odd_queries_are_answered(api, query):
    answer = await api.owner.get(f"/api/v2/workloads?{query}")
    assert answer.status_code in {200, 422}


async def test_bodies_nested_without_end_are_refused(api):
    deep = '{"spec":' + "[" * 50_000 + "]" * 50_000 + "}"
    answer = await api.owner.post(
        "/api/v2/artifacts", content=deep, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("host", ["[", "a b", "a/b", "x:port", "user@host"])
async def test_a_host_that_is_none_is_refused(api, host):
    answer = await api.owner.get("/api/v2/workloads", headers={"Host": host})
    assert answer.status_code == 400
    assert "Host" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["api.test", "localhost:8081", "[::1]:8081", "10.0.0.1"])
async def test_links_name_the_host_that_was_asked(api, host):
    for _ in range(2):
        await api.artifact()
    page = await api.owner.get("/api/v2/artifacts?limit=1", headers={"Host": host})
    assert page.json()["next"].startswith(f"http://{host}/api/v2/artifacts?")


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "application/json"])
async def test_a_body_is_read_as_json_whatever_curl_says_it_is(api, kind):
    body = json.dumps({"name": "a", "spec": artifact_body()["spec"]})
    headers = {"Content-Type": kind} if kind else {}
    created = await api.owner.post("/api/v2/artifacts/", content=body, headers=headers)
    assert created.status_code == 201, created.text


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("path", ["executionEnvironments/?limit=100", "files/", "files"])
async def test_what_only_image_builds_need_is_not_served(api, verb, path):
    answer = await api.owner.request(verb, f"/api/v2/{path}", json={})
    assert answer.status_code == 404
    assert isinstance(answer.json()["detail"], str)
