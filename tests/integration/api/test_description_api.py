import re

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from controlplane import accounts
from controlplane.model.people import Token
from tests.integration.api.conftest import artifact_body
from tests.integration.api.described import described

VERBS = {"get", "post", "put", "patch", "delete"}


def served(app):
    """Every (verb, path) that the application has a route for."""
    found = set()

    def walk(routes, prefix):
        for route in routes:
            context = getattr(route, "include_context", None)
            inner = getattr(route, "original_router", None)
            if inner is not None:
                walk(inner.routes, prefix + (context.prefix if context is not None else ""))
            else:
                found.update((verb.lower(), prefix + route.path) for verb in route.methods)

    walk(app.routes, "")
    return {(verb, path) for verb, path in found if verb in VERBS}


async def document(_):
    return described().document


async def test_every_route_is_described_and_every_description_has_a_route(api):
    described = {
        (verb, path) for path, verbs in (await document(api))["paths"].items() for verb in verbs
    }
    app = api.owner._transport.app
    assert described == served(app)
    assert len(described) > 50


async def test_every_described_path_answers_with_and_without_slash(api):
    workload = await api.workload()
    values = {
        "workload_id": workload["id"],
        "proton_id": workload["protonId"],
        "artifact_id": workload["artifactId"],
        "repository_id": workload["artifact"]["artifactRepositoryId"],
        "user_id": accounts.OWNER_ID,
        "api_key_id": (await api.store.list(Token))[0].record.id,
        "metric_name": "totalRequests",
        "entityType": "workload",
        "entityId": workload["id"],
    }
    # Nothing is replaced, no workload of an agent, no telemetry kept, no images built.
    elsewhere = ("/replacement", "agentCard", "/otel/", "/builds")
    for path, verbs in (await document(api))["paths"].items():
        if "get" not in verbs:
            continue
        names = set(re.findall(r"\{(\w+)\}", path))
        there = path.format(**dict.fromkeys(names, "0" * 24) | values)
        known = names <= values.keys() and not any(word in path for word in elsewhere)
        answers = [await api.owner.get(there + slash) for slash in ("", "/")]
        assert answers[0].status_code == answers[1].status_code, path
        expected = {200, 204} if known else {200, 204, 403, 404, 422}
        assert answers[0].status_code in expected, (path, answers[0].text)
        assert "/docs lists" not in answers[0].text[:200], path


async def test_wrong_verbs_and_paths_are_refused_in_json(api):
    wrong = await api.owner.put("/api/v2/workloads", json={})
    assert wrong.status_code == 405
    assert wrong.json() == {
        "detail": "PUT is not served at this path; these are: GET, HEAD, OPTIONS, POST."
    }
    nothing = await api.owner.get("/api/v2/nothing/")
    assert nothing.status_code == 404
    assert "/docs" in nothing.json()["detail"]
    twice = await api.owner.get("/api/v2/workloads//")
    assert twice.status_code == 404


async def test_the_document_is_the_same_as_json_and_yaml(api):
    body = await document(api)
    assert (await api.owner.get("/openapi.json")).json() == body
    assert (await api.owner.get("/api/v2/openapi.json")).json() == body
    answer = await api.owner.get("/api/v2/openapi.yaml")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(answer.text) == body
    assert {"info", "paths", "components"} <= set(body)


async def test_operation_ids_are_unique(api):
    ids = [
        operation["operationId"]
        for verbs in (await document(api))["paths"].values()
        for operation in verbs.values()
    ]
    assert len(set(ids)) == len(ids)


async def test_everything_under_the_prefix_is_documented_as_needing_a_token(api):
    for path, verbs in (await document(api))["paths"].items():
        open_to_all = not path.startswith("/api/v2") or "openapi" in path
        for operation in verbs.values():
            assert ("security" not in operation) == open_to_all, path


async def test_request_bodies_refuse_unknown_fields_in_the_document_too(api):
    body = await document(api)
    for path, verbs in body["paths"].items():
        for operation in verbs.values():
            if "/otel/v1/" in path:  # OTLP's own messages
                continue
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                names = re.findall(r"#/components/schemas/(\w+)", str(schema))
                assert names, path
                for name in names:
                    assert body["components"]["schemas"][name]["additionalProperties"] is False


async def test_the_docs_page_needs_nothing_from_elsewhere(api):
    answer = await api.client(None).get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.findall(r"(?:src|href|action)=[\"']?(?:https?:)?//", answer.text)
    assert "@import" not in answer.text
    assert "url(" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.findall(r"\son\w+=|\sstyle=", answer.text)
    for linked in re.findall(r"(?:href=|fetch\()[\"'](/[^\"']*)", answer.text):
        assert (await api.client(None).get(linked)).status_code == 200


async def test_the_version_is_one_that_public_clients_accept(api):
    body = (await api.owner.get("/api/v2/version/")).json()
    assert re.match(r"^(\d+)\.(\d+).*", body["versionString"])
    assert body["major"] == 2
    assert body["server"].startswith("tidegate ")


@pytest.mark.parametrize("given", ["my-request.1", "", "no spaces allowed", "x" * 200])
async def test_every_answer_carries_a_request_id(api, given):
    answer = await api.owner.get("/api/v2/workloads", headers={"X-Request-Id": given})
    shown = answer.headers["X-Request-Id"]
    assert (shown == given) == (given == "my-request.1")
    assert shown


async def test_metrics_name_routes_and_never_ids(api):
    workload = await api.workload()
    await api.owner.get(f"/api/v2/workloads/{workload['id']}/protons/{workload['protonId']}/")
    await api.owner.get("/api/v2/nowhere")
    await api.owner.request("BREW", "/livez")
    page = (await api.owner.get("/metrics")).text
    assert workload["id"] not in page
    assert "nowhere" not in page
    samples = [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]
    route = "/api/v2/workloads/{workload_id}/protons/{proton_id}"
    labels = {"method": "GET", "route": route, "status": "200"}
    assert ("api_requests_total", labels, 1.0) in samples
    assert ("api_store_up", {}, 1.0) in samples
    assert any(s[1].get("method") == "other" for s in samples)


async def test_a_body_beyond_all_measure_is_refused(api):
    body = artifact_body(description="x" * 1_100_000)
    whole = await api.owner.post("/api/v2/artifacts", json=body)
    assert whole.status_code == 413

    async def chunks():
        for _ in range(20):
            yield b" " * 100_000

    streamed = await api.owner.post(
        "/api/v2/artifacts", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert streamed.status_code == 413
    assert "1048576" in streamed.json()["detail"]
