"""The access log of `python -m gateway`: JSON lines on standard output."""

import json
from typing import Any

import pytest

from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.records import PROTON_ID, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering

pytestmark = uvloop_only  # a child process has the loop that it always has

FAILED = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"


async def lines_after(rig: Rig, gateway: ChildGateway) -> tuple[list[dict[str, Any]], str]:
    """What is in the log after one good, one failed and one refused request, and the good id."""
    replica = await rig.replica(answering(OK, FAILED))
    client = await rig.client()
    client.send(request("POST", "/good?secret=1", "X-Request-Id: good", body=b"x"))
    assert (await client.answer()).status == 200
    client.send(request("GET", "/failed"))
    assert (await client.answer()).status == 500
    await rig.gone(replica)
    client.send(request("GET", "/held"))
    assert (await client.answer()).status == 504
    await gateway.stop()
    return [json.loads(line) for line in gateway.output.read_text().splitlines()], replica.id


async def test_all_requests_are_logged_with_what_matters(rig: Rig) -> None:
    gateway = await rig.start_child(access_log="all", cold_start_timeout_s=0.1)
    lines, replica_id = await lines_after(rig, gateway)
    assert [line["status"] for line in lines] == [200, 500, 504]
    good, failed, held = lines
    assert good["request_id"] == "good"
    assert good["method"] == "POST"
    assert good["path"] == f"/api/v2/endpoints/workloads/{WORKLOAD_ID}/good", "without the query"
    assert (good["workload"], good["proton"]) == (WORKLOAD_ID, PROTON_ID)
    assert good["replica"] == replica_id
    assert good["attempts"] == 1
    assert good["client"] == "127.0.0.1"
    assert good["duration_ms"] > 0
    assert good["bytes_out"] > 0
    assert "secret" not in json.dumps(lines)
    assert [line["ending"] for line in lines] == ["ok", "ok", "refused"]
    assert held["code"] == "cold_start_timeout"
    assert "code" not in failed


async def test_only_failures_are_logged_by_default(rig: Rig) -> None:
    gateway = await rig.start_child(access_log="errors", cold_start_timeout_s=0.1)
    lines, _ = await lines_after(rig, gateway)
    assert [line["status"] for line in lines] == [500, 504]


@pytest.mark.parametrize(
    "settings", [{"access_log": "off"}, {"access_log": "all", "access_log_sample_ratio": 0.0}]
)
async def test_nothing_is_logged_when_off_or_sampled_away(
    rig: Rig, settings: dict[str, Any]
) -> None:
    gateway = await rig.start_child(cold_start_timeout_s=0.1, **settings)
    lines, _ = await lines_after(rig, gateway)
    assert lines == []


async def test_a_client_that_vanishes_is_logged_as_aborted(rig: Rig) -> None:
    gateway = await rig.start_child(access_log="errors")
    replica = await rig.replica()
    client = await rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    client.reset()
    await rig.counted(in_flight=0, finished={"aborted": 1})
    await gateway.stop()
    (line,) = [json.loads(text) for text in gateway.output.read_text().splitlines()]
    assert line["ending"] == "aborted"


async def test_what_never_became_an_exchange_is_logged_too(rig: Rig) -> None:
    gateway = await rig.start_child(access_log="errors")
    assert (await rig.ask(token="wrong")).status == 401
    client = await rig.client()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert (await client.answer()).status == 400
    await gateway.stop()
    lines = [json.loads(line) for line in gateway.output.read_text().splitlines()]
    assert [(line["status"], line["code"], line["ending"]) for line in lines] == [
        (401, "unauthenticated", "refused"),
        (400, "bad_request", "refused"),
    ]
    assert lines[0]["path"] == f"/api/v2/endpoints/workloads/{WORKLOAD_ID}/"
    assert lines[1]["path"] == "", "it could not be read"
