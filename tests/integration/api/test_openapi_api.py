"""The served document says all that clients can rely on; every other test checks answers by it."""

import json
import re

import pytest

from controlplane import sealing
from controlplane.api import description, examples
from controlplane.model.sections import ApiSettings, Settings
from tests.integration.api.conftest import GATEWAY, artifact_body, runtime_body
from tests.integration.api.described import Described, UndescribedError, described

PREFIX = "/api/v2/"


@pytest.fixture
def document():
    """As it is served: see `test_the_document_is_the_same_as_json_and_yaml`."""
    return described().document


def under_the_prefix(document):
    """All but those that speak OTLP, which has errors of its own."""
    return [
        (path, verb, operation)
        for path, verb, operation in description.operations(document)
        if path.startswith(PREFIX) and "openapi" not in path and "/otel/v1/" not in path
    ]


async def test_every_operation_announces_the_errors_that_it_can_have(document):
    for path, verb, operation in under_the_prefix(document):
        announced = set(operation["responses"])
        told = f"{verb} {path}: {sorted(announced)}"
        assert {"400", "401", "403", "413", "422", "500", "503"} <= announced, told
        if "{" in path:
            assert "404" in announced, told
        if verb != "get" and "{" in path:
            assert "409" in announced, told
        assert ("415" in announced) == ("requestBody" in operation), told
        assert any(status.startswith("2") for status in announced), told
        assert not any(status.startswith("3") for status in announced), told


async def test_every_error_has_a_body_with_detail_and_says_when(document):
    schemas = document["components"]["schemas"]
    for path, verb, operation in under_the_prefix(document):
        for status, answer in operation["responses"].items():
            assert answer["description"] not in {"", "Successful Response"} or status[0] == "2"
            if status[0] == "2":
                continue
            schema = answer["content"]["application/json"]["schema"]
            name = schema["$ref"].rpartition("/")[2]
            assert name == ("InvalidShape" if status == "422" else "ErrorShape"), (path, verb)
            assert "detail" in schemas[name]["required"]
            assert "X-Request-Id" in answer["headers"]
        assert "Retry-After" in operation["responses"]["503"]["headers"]
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]


async def test_every_success_has_a_shape_or_no_body(document):
    for path, verb, operation in under_the_prefix(document):
        for status, answer in operation["responses"].items():
            if status[0] != "2":
                continue
            if status == "204":
                assert "content" not in answer, (path, verb)
            for content in answer.get("content", {}).values():
                assert content["schema"], (path, verb, status)


async def test_operation_ids_are_the_functions_names_and_name_the_old_family(document):
    ids = {(p, v): o["operationId"] for p, v, o in description.operations(document)}
    assert ids["/api/v2/workloads", "get"] == "listWorkloads"
    assert ids["/api/v2/console/workloads", "get"] == "listConsoleWorkloads"
    assert ids["/api/v2/registry/artifacts/{artifact_id}", "patch"] == "editRegistryArtifact"
    for (path, _), name in ids.items():
        assert re.fullmatch("[a-z][A-Za-z0-9]+", name), path
        old = path.startswith((f"{PREFIX}console/", f"{PREFIX}registry/"))
        assert old == ("Console" in name or "Registry" in name), (path, name)
    assert len(set(ids.values())) == len(ids)


async def test_every_operation_and_every_parameter_of_ours_is_described(document):
    for path, verb, operation in description.operations(document):
        assert operation.get("description"), (path, verb)
        assert operation.get("tags"), (path, verb)
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], (path, parameter["name"])
            assert parameter["description"], (path, parameter["name"])
            if parameter["in"] == "path":
                assert parameter["required"] is True


PUBLIC = """
    GET POST /workloads
    GET /workloads/stats
    GET PATCH DELETE /workloads/{workload_id}
    POST /workloads/{workload_id}/start
    POST /workloads/{workload_id}/stop
    POST /workloads/{workload_id}/promote
    GET PATCH /workloads/{workload_id}/settings
    GET POST DELETE /workloads/{workload_id}/replacement
    GET /workloads/{workload_id}/history
    GET /workloads/{workload_id}/events
    GET /workloads/{workload_id}/protons
    GET /workloads/{workload_id}/protons/{proton_id}
    GET /workloads/{workload_id}/protons/{proton_id}/statusDetails
    GET DELETE /workloads/{workload_id}/stats
    GET /workloads/{workload_id}/stats/{metric_name}
    GET /workloads/{workload_id}/related
    GET PATCH /workloads/{workload_id}/sharedRoles
    GET /workloads/{workload_id}/agentCard
    GET /agentCards
    GET POST /artifacts
    GET PUT PATCH DELETE /artifacts/{artifact_id}
    POST /artifacts/{artifact_id}/clone
    GET POST /artifacts/{artifact_id}/builds
    GET DELETE /artifacts/{artifact_id}/builds/{build_id}
    GET /artifacts/{artifact_id}/builds/{build_id}/logs
    GET PATCH /artifacts/{artifact_id}/sharedRoles
    GET /artifactRepositories
    GET DELETE /artifactRepositories/{repository_id}
    GET PATCH /artifactRepositories/{repository_id}/sharedRoles
    GET POST /console/workloads
    GET DELETE /console/workloads/{workload_id}
    POST /console/workloads/{workload_id}/start
    POST /console/workloads/{workload_id}/stop
    GET POST /registry/artifacts
    GET PUT PATCH DELETE /registry/artifacts/{artifact_id}
    GET POST /console/deployments
    GET PATCH DELETE /console/deployments/{deployment_id}
    GET /console/deployments/{deployment_id}/stats
    GET /account/info
    GET /version
    GET /openapi.yaml
    GET POST /credentials
    GET PATCH DELETE /credentials/{credential_id}
    GET /mlops/compute/bundles
    GET /otel/{entityType}/{entityId}/logs
    GET /otel/{entityType}/{entityId}/traces
    GET /otel/{entityType}/{entityId}/traces/{traceId}
    GET /otel/{entityType}/{entityId}/metrics
    GET /otel/{entityType}/{entityId}/metrics/autocollectedValues
    GET /otel/{entityType}/{entityId}/metrics/summary
    GET /otel/{entityType}/{entityId}/metrics/values
"""
"""What the public documents and clients have; the older generation's words for it included."""


def public():
    """(verb, path) of all of them."""
    for line in PUBLIC.split("\n"):
        *verbs, path = line.split() or [""]
        yield from ((verb.lower(), f"/api/v2{path}") for verb in verbs)


async def test_every_route_of_the_public_api_is_there_and_not_called_an_extension(document):
    there = {(verb, path): o for path, verb, o in description.operations(document)}
    assert set(public()) <= set(there), set(public()) - set(there)
    assert not [one for one in public() if there[one].get(description.EXTENSION)]


async def test_routes_that_the_public_api_does_not_have_are_marked(document):
    """The older family has all routes that the current one has; what is about OTLP is OTLP's."""
    known = set(public())
    for path, verb, operation in under_the_prefix(document):
        current = path.replace("/console/", "/").replace("/registry/", "/")
        if (verb, path) in known or (verb, current) in known:
            continue
        assert operation.get(description.EXTENSION), (verb, path)


async def test_fields_that_the_public_api_does_not_have_are_marked(document):
    workload = document["components"]["schemas"]["WorkloadFormatted"]["properties"]
    assert workload["traffic"][description.EXTENSION] is True
    assert description.EXTENSION not in workload["name"]


@pytest.mark.parametrize("path", ["/api/v2/workloads", "/api/v2/workloads/", "/docs", "/livez"])
async def test_head_is_get_without_a_body(api, path):
    whole = await api.owner.get(path)
    head = await api.owner.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert head.headers["content-length"] == whole.headers["content-length"]


async def test_head_refuses_as_get_does(api):
    assert (await api.owner.head(f"/api/v2/workloads/{'0' * 24}")).status_code == 404
    assert (await api.client(None).head("/api/v2/workloads")).status_code == 401
    assert (await api.owner.head("/api/v2/workloads?limit=0")).status_code == 422


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"])
async def test_a_method_that_a_path_does_not_have_is_405_with_all_that_it_has(api, verb):
    for path in ("/api/v2/workloads", "/api/v2/console/workloads/"):
        answer = await api.owner.request(verb, path)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        assert verb in answer.json()["detail"]


async def test_405_names_the_methods_of_all_routes_of_a_path(api, document):
    for path, verbs in document["paths"].items():
        missing = next(v for v in ("TRACE", "PUT", "DELETE") if v.lower() not in verbs)
        answer = await api.owner.request(missing, re.sub(r"\{\w+\}", "0" * 24, path))
        assert answer.status_code == 405, (missing, path)
        expected = {verb.upper() for verb in verbs} | {"OPTIONS"}
        if "get" in verbs:
            expected.add("HEAD")
        assert set(answer.headers["Allow"].split(", ")) == expected, path


async def test_options_names_the_methods(api):
    there = await api.owner.options(f"/api/v2/workloads/{'0' * 24}/")
    assert (there.status_code, there.content) == (204, b"")
    assert there.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
    assert (await api.owner.options("/api/v2/nothing")).status_code == 404


NOT_HERE = {"BuildInput": 422, "DeploymentInput": 404, "StartReplacement": 404}
"""Images are not built; ids in examples are made up."""


@pytest.mark.parametrize("name", sorted(examples.BODIES))
async def test_every_example_of_a_body_is_accepted(make_api, document, name, tmp_path):
    (tmp_path / "key").write_text(sealing.new_key())
    keyed = ApiSettings(gateway_url=GATEWAY, credentials_key_file=str(tmp_path / "key"))
    api = await make_api(Settings(api=keyed))
    draft = await api.artifact()
    workload = await api.workload()
    values = {
        "{artifact_id}": draft["id"],
        "{workload_id}": workload["id"],
        "{proton_id}": workload["protonId"],
    }
    shown = [
        (path, verb, example["value"])
        for path, verb, operation in under_the_prefix(document)
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if f"/{name}'" in str(content["schema"])
        for example in content["examples"].values()
    ]
    assert shown, f"{name} is no body's shape"
    path, verb, body = shown[0]
    for place, value in values.items():
        path = path.replace(place, value)
    path = re.sub(r"\{\w+\}", "0" * 24, path)
    answer = await api.owner.request(verb.upper(), path, json=body)
    if "0" * 24 in path:  # nothing there, but the body is read before that is found
        assert answer.status_code == 404, (verb, path, answer.text)
    elif NOT_HERE.get(name):
        assert answer.status_code == NOT_HERE[name], (verb, path, answer.text)
    else:
        assert answer.status_code in {200, 201, 202, 204}, (verb, path, answer.text)


async def test_a_change_under_a_stale_if_match_is_refused_wherever_it_is_announced(api, document):
    workload = await api.workload(name="guarded")
    artifact = await api.artifact(name="guarded")
    bodies = {
        "ArtifactInput": artifact_body(name="new"),
        "ArtifactPatch": {"name": "new"},
        "WorkloadPatch": {"name": "new"},
        "SettingsInput": {"runtime": runtime_body(replicaCount=2)},
    }
    values = {"{workload_id}": workload["id"], "{artifact_id}": artifact["id"]}
    tried = set()
    for path, verb, operation in under_the_prefix(document):
        if not any(p["name"] == "If-Match" for p in operation.get("parameters", [])):
            continue
        there = path
        for place, value in values.items():
            there = there.replace(place, value)
        name = re.findall(r"schemas/(\w+)", str(operation.get("requestBody")))
        if "{" in there or (name and name[0] not in bodies):
            continue
        body = bodies[name[0]] if name else None
        answer = await api.owner.request(
            verb.upper(), there, json=body, headers={"If-Match": '"1"'}
        )
        assert answer.status_code == 409, (verb, path, answer.text)
        tried.add((verb, path.removeprefix(PREFIX)))
    assert {
        ("put", "artifacts/{artifact_id}"),
        ("delete", "workloads/{workload_id}"),
        ("patch", "workloads/{workload_id}/settings"),
    } <= tried
    assert (await api.owner.get(f"/api/v2/workloads/{workload['id']}")).json()["name"] == "guarded"


async def test_a_body_of_another_kind_is_refused_by_its_name(api):
    answer = await api.owner.post(
        "/api/v2/artifacts", content=b"name: a", headers={"Content-Type": "text/yaml"}
    )
    assert answer.status_code == 415
    assert "text/yaml" in answer.json()["detail"]
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"name": "\xff"}', id="not-utf-8"),
        pytest.param(b"[" * 100_000, id="nested-without-end"),
        pytest.param('{"name": "a"}'.encode("utf-16-le")[1:], id="half-a-character"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_with_the_remedy(api, body):
    answer = await api.owner.post(
        "/api/v2/artifacts", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}
    if answer.status_code == 400:
        assert "JSON" in answer.json()["detail"]


# -- the checker itself ---------------------------------------------------------------------------

HEADERS = {"content-type": "application/json", "X-Request-Id": "a"}


@pytest.fixture
def checker(document):
    return Described(document)


def test_the_checker_accepts_what_is_announced(checker):
    nothing = json.dumps({"detail": "nothing"}).encode()
    checker.check("GET", "/api/v2/workloads/a", 404, HEADERS, nothing)
    checker.check("GET", "/api/v2/no", 404, HEADERS, nothing)
    page = {"totalCount": 0, "count": 0, "next": None, "previous": None, "data": []}
    checker.check("GET", "/api/v2/workloads/", 200, HEADERS, json.dumps(page).encode())


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body"),
    [
        pytest.param("GET", "/api/v2/workloads", 418, {}, {"detail": "a"}, id="status"),
        pytest.param("GET", "/api/v2/no", 200, {}, {}, id="path"),
        pytest.param("PUT", "/api/v2/workloads", 200, {}, {}, id="verb"),
        pytest.param("GET", "/api/v2/workloads", 405, {}, {"detail": "a"}, id="405-of-a-route"),
        pytest.param("GET", "/api/v2/workloads/a", 404, {}, {"message": "a"}, id="field"),
        pytest.param(
            "GET", "/api/v2/workloads/a", 404, {}, {"detail": "a", "more": 1}, id="field-too-many"
        ),
        pytest.param("GET", "/api/v2/workloads/a", 404, {}, None, id="no-body"),
        pytest.param(
            *("GET", "/api/v2/workloads/a", 404, {"content-type": "text/plain"}, {"detail": "a"}),
            id="content-type",
        ),
        pytest.param("DELETE", "/api/v2/workloads/a", 204, {}, {"detail": "a"}, id="body"),
        pytest.param("GET", "/api/v2/workloads", 401, {}, {"detail": "a"}, id="header"),
    ],
)
def test_the_checker_refuses_what_is_not_announced(  # noqa: PLR0917 - a table's columns
    checker, method, path, status, headers, body
):
    content = b"" if body is None else json.dumps(body).encode()
    with pytest.raises(UndescribedError):
        checker.check(method, path, status, HEADERS | headers, content)
