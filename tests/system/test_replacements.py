"""Replacements through a real gateway, under load: not one request fails."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.system.conftest import Up, installation, wait_until
from tests.system.service import (
    READY_PROBE,
    api,
    api_status,
    call,
    client,
    deploy,
    replica_processes,
    scaling,
    steady,
    tally,
    wait_state,
    workload,
)
from tests.system.users import crowded

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "gateway.report_interval_s=0.1",
    "conductor.tick_s=0.1",
    "autoscaler.crash_limit=2",
    "autoscaler.restart_backoff_s=0.05",
    "autoscaler.drain_timeout_s=300",  # the WebSocket stays on the first replica to the end
]
QUICK = {"SAMPLE_SERVICE_S": "0.02"}
SERVICE = [sys.executable, "-m", "controlplane.demo.service"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def artifact(up: Up, name: str, *, entrypoint: list[str] | None = None, **environ: str) -> str:
    """Another draft of the sample service; returns its id."""
    container = {
        "name": "main",
        "primary": True,
        "port": 8080,
        "imageUri": "sample/service:2",
        "entrypoint": entrypoint or SERVICE,
        "environmentVars": [{"name": k, "value": v} for k, v in (QUICK | environ).items()],
        "readinessProbe": READY_PROBE | {"periodSeconds": 0.1},
    }
    spec = {"containerGroups": [{"containers": [container]}]}
    return str(api(up, "POST", "/artifacts/", {"name": name, "spec": spec}, code=201)["id"])


def running(up: Up, name: str, **group: Any) -> str:
    """A workload of the sample service that runs."""
    workload_id = deploy(up, name, group=group or {"replicaCount": 1}, **QUICK)
    wait_state(up, workload_id, "running", "suspended")
    return workload_id


def replace(up: Up, workload_id: str, artifact_id: str, **config: object) -> Any:
    """Start a replacement."""
    body = {"artifactId": artifact_id, "strategy": "rolling", "config": config}
    return api(up, "POST", f"/workloads/{workload_id}/replacement", body, code=202)


def status(up: Up, workload_id: str) -> str | None:
    """How far the workload's replacement is."""
    return (workload(up, workload_id)["replacement"] or {}).get("status")


def wait_status(up: Up, workload_id: str, *statuses: str | None) -> None:
    """Wait until the replacement is so far."""
    wait_until(lambda: status(up, workload_id) in statuses, what=f"replacement in {statuses}")


def wait_over(up: Up, workload_id: str) -> Any:
    """Wait until no replacement is under way; returns the newest entry of the history."""
    wait_status(up, workload_id, None, "errored")
    return api(up, "GET", f"/workloads/{workload_id}/history?limit=1")["data"][0]


def protons(up: Up, workload_id: str) -> list[str]:
    """The workload's protons."""
    return [p["id"] for p in api(up, "GET", f"/workloads/{workload_id}/protons")["data"]]


def events(up: Up, workload_id: str) -> list[str]:
    """What the journal says, oldest first."""
    page = api(up, "GET", f"/workloads/{workload_id}/events?limit=100")["data"]
    return [event["eventType"] for event in reversed(page)]


def under_load(up: Up, workload_id: str, act: Callable[[], None]) -> set[str]:
    """What a steady load was answered while something happened."""

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally(await steady(caller, act, method="POST", per_s=60.0)))

    return asyncio.run(run())


def test_a_replacement_switches_under_load_and_leaves_one_proton(up: Up) -> None:
    workload_id = running(up, "replaced")
    first = workload(up, workload_id)
    second = artifact(up, "second")

    def act() -> None:
        begun = replace(up, workload_id, second)
        assert begun["status"] == "submitted"
        ended = wait_over(up, workload_id)
        assert (ended["id"], ended["status"]) == (begun["id"], "completed")

    assert under_load(up, workload_id, act) == {"200"}
    after = workload(up, workload_id)
    assert after["artifactId"] == second
    assert after["protonId"] != first["protonId"]
    assert after["status"] == "running"
    assert protons(up, workload_id) == [after["protonId"]]
    assert events(up, workload_id)[-3:] == [
        "Replacement Started",
        "Replacement Switched",
        "Replacement Completed",
    ]
    wait_until(lambda: len(replica_processes(up, workload_id)) == 1, what="one replica")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        pytest.param({"SAMPLE_CRASH": "3"}, "3", id="it-ends-at-once"),
        pytest.param({"entrypoint": ["/nowhere/to/be/found"]}, "/nowhere", id="a-wrong-command"),
    ],
)
def test_a_candidate_that_fails_leaves_everything_as_it_was(
    up: Up, what: dict[str, Any], says: str
) -> None:
    workload_id = running(up, "kept")
    before = workload(up, workload_id)
    states = set()

    def act() -> None:
        replace(up, workload_id, artifact(up, "broken", **what))
        wait_until(
            lambda: (
                states.add(workload(up, workload_id)["status"])
                or status(up, workload_id) == "errored"
            ),
            what="errored",
        )

    assert under_load(up, workload_id, act) == {"200"}
    assert states == {"running"}
    after = workload(up, workload_id)
    assert (after["protonId"], after["artifactId"]) == (before["protonId"], before["artifactId"])
    assert says in after["replacement"]["message"]
    assert protons(up, workload_id) == [before["protonId"]]
    (told,) = [
        event
        for event in api(up, "GET", f"/workloads/{workload_id}/events?limit=100")["data"]
        if event["eventType"] == "Replacement Errored"
    ]
    assert says in told["details"]["message"]
    assert told["details"]["candidateProtonIds"] == after["replacement"]["candidateProtonIds"]
    assert api_status(up, "DELETE", f"/workloads/{workload_id}/replacement")[0] == 404
    replace(up, workload_id, artifact(up, "mended"))
    assert wait_over(up, workload_id)["status"] == "completed"


def test_a_workload_at_zero_replicas_is_replaced_by_one_that_has_proved_itself(up: Up) -> None:
    group = scaling(0, 2)
    group["autoscaling"]["cooldownPeriodMinutes"] = 0.05
    workload_id = running(up, "asleep", **group)
    assert workload(up, workload_id)["status"] == "suspended"
    replace(up, workload_id, artifact(up, "awake"))
    seen = wait_until(
        lambda: (found := workload(up, workload_id))["protonId"] and found, what="its proton"
    )
    wait_over(up, workload_id)
    assert workload(up, workload_id)["protonId"] != seen["protonId"]
    assert under_load(up, workload_id, lambda: time.sleep(0.3)) == {"200"}


def test_an_old_proton_that_is_kept_can_be_pinned_and_a_cancel_goes_back_to_it(up: Up) -> None:
    workload_id = running(up, "returned")
    first = workload(up, workload_id)

    def act() -> None:
        replace(up, workload_id, artifact(up, "regretted"), keepOldVersionMinutes=30)
        wait_status(up, workload_id, "switching")
        assert workload(up, workload_id)["protonId"] != first["protonId"]

        async def pinned() -> int | None:
            async with client(up, workload_id) as caller:
                return (await call(caller, f"/predict?protonId={first['protonId']}")).status

        assert asyncio.run(pinned()) == 200
        api(up, "DELETE", f"/workloads/{workload_id}/replacement", code=202)
        wait_over(up, workload_id)

    assert under_load(up, workload_id, act) == {"200"}
    after = workload(up, workload_id)
    assert (after["protonId"], after["artifactId"]) == (first["protonId"], first["artifactId"])
    assert after["replacement"] is None
    assert protons(up, workload_id) == [first["protonId"]]


def test_a_slow_candidate_is_held_at_its_share_and_rolled_back(up: Up) -> None:
    workload_id = running(up, "weighed")
    before = workload(up, workload_id)
    seen = {}

    def act() -> None:
        replace(
            up,
            workload_id,
            artifact(up, "slow", SAMPLE_SERVICE_S="0.4"),
            weightSteps=[{"percent": 30, "durationMinutes": 10}],
            weightRule={"minRequests": 10, "holdMinutes": 0.02},
        )
        wait_until(lambda: "Replacement Held" in events(up, workload_id), what="held")
        seen.update({p["role"]: p["weight"] for p in _protons(up, workload_id)})
        wait_status(up, workload_id, "errored")

    assert under_load(up, workload_id, act) == {"200"}
    after = workload(up, workload_id)
    assert after["protonId"] == before["protonId"]
    assert "of its responses took up to" in after["replacement"]["message"]
    assert seen in ({"active": 70, "candidate": 30}, {"active": 100, "candidate": 0})


def test_a_candidate_whose_replica_dies_in_its_weight_step_costs_no_request(up: Up) -> None:
    workload_id = running(up, "bereaved")

    def act() -> None:
        begun = replace(
            up,
            workload_id,
            artifact(up, "mortal"),
            weightSteps=[{"percent": 50, "durationMinutes": 10}],
        )
        (candidate,) = begun["candidateProtonIds"]
        path = f"/workloads/{workload_id}/protons/{candidate}/statusDetails"

        def processes() -> list[psutil.Process]:
            ids = {replica["id"] for replica in (api(up, "GET", path) or {})["replicas"]}
            found = replica_processes(up, workload_id)
            return [found[replica_id] for replica_id in ids & found.keys()]

        wait_until(lambda: _weight(up, workload_id, candidate) == 50, what="its share")
        time.sleep(0.5)
        (first,) = processes()
        first.kill()
        wait_until(lambda: any(p.pid != first.pid for p in processes()), what="another life")
        wait_until(lambda: _weight(up, workload_id, candidate) == 50, what="its share again")
        time.sleep(0.5)
        api(up, "DELETE", f"/workloads/{workload_id}/replacement", code=202)
        wait_over(up, workload_id)

    async def run() -> set[str]:
        async with client(up, workload_id) as caller:
            return set(tally(await steady(caller, act, method="GET", per_s=60.0)))

    assert asyncio.run(run()) == {"200"}


def _weight(up: Up, workload_id: str, proton_id: str) -> int:
    return next(p["weight"] for p in _protons(up, workload_id) if p["id"] == proton_id)


def _protons(up: Up, workload_id: str) -> list[Any]:
    return list(api(up, "GET", f"/workloads/{workload_id}/protons")["data"])


def test_a_replacement_is_carried_on_when_the_api_process_dies_in_the_middle(up: Up) -> None:
    workload_id = running(up, "survivor")
    first = workload(up, workload_id)
    second = artifact(up, "second life", SAMPLE_STARTUP_S="1")

    def act() -> None:
        replace(up, workload_id, second)
        up.kill("api")
        wait_until(lambda: up.count("died") >= 1, what="its death")
        wait_until(lambda: _answers(up), what="its successor")
        wait_over(up, workload_id)

    assert under_load(up, workload_id, act) == {"200"}
    after = workload(up, workload_id)
    assert after["artifactId"] == second
    assert after["protonId"] != first["protonId"]


def _answers(up: Up) -> bool:
    try:
        return api_status(up, "GET", "/version")[0] == 200
    except OSError:
        return False


@pytest.mark.timeout(400)
@pytest.mark.parametrize("rounds", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ten_replacements_in_a_row_break_no_request_no_stream_and_no_websocket(
    up: Up, rounds: int
) -> None:
    workload_id = running(up, f"ten-{rounds}", **scaling(1, 3))
    path = f"/workloads/{workload_id}/replacement"
    told: list[str] = []

    def act() -> None:
        for turn in list(range(10)) * rounds:
            what: dict[str, Any] = {}
            config: dict[str, Any] = {}
            if turn in {2, 7}:
                what = {"SAMPLE_CRASH": "3"}
            elif turn == 8:
                what = {"entrypoint": ["/nowhere/to/be/found"]}
            elif turn in {3, 9}:
                config = {"warmupDurationMinutes": 10}
            elif turn == 5:
                config = {
                    "weightSteps": [
                        {"percent": 20, "durationMinutes": 0.02},
                        {"percent": 60, "durationMinutes": 0.02},
                    ],
                    "weightRule": {"minRequests": 5, "latencyMargin": 1000},
                }
            elif turn == 6:
                config = {"keepOldVersionMinutes": 0.05}
            replace(up, workload_id, artifact(up, f"turn {turn}", **what), **config)
            if turn == 3:
                wait_status(up, workload_id, "awaiting_promotion")
            if turn in {3, 9}:
                api(up, "DELETE", path, code=202)
            told.append(wait_over(up, workload_id)["status"])

    asyncio.run(crowded(up, workload_id, act, tokens=750 * rounds))
    failed = {2, 3, 7, 8, 9}
    assert told == ["errored" if turn in failed else "completed" for turn in range(10)] * rounds
    assert len(protons(up, workload_id)) == 1
    page = api(up, "GET", f"/workloads/{workload_id}/history?limit=100")
    assert page["totalCount"] == 10 * rounds
    assert [entry["isDeleted"] for entry in page["data"]].count(True) == 2 * rounds


def test_the_commands_replace_show_cancel_and_roll_back(up: Up) -> None:
    workload_id = running(up, "by-command")
    first = workload(up, workload_id)["artifactId"]
    second = artifact(up, "second by command")
    nothing = up.cli_here("workload", "replacement", "by-command", code=None)
    assert nothing.returncode != 0
    assert "no active replacement" in nothing.stderr

    replaced = up.cli_here(
        "workload", "replace", "by-command", "second by command", "--wait"
    ).stdout
    assert "status      completed" in replaced
    assert workload(up, workload_id)["artifactId"] == second
    assert up.cli_here("workload", "history", "by-command").stdout.splitlines()[1].split("\t")[
        1:5
    ] == [
        "completed",
        "artifact",
        second,
        first,
    ]
    back = json.loads(up.cli_here("workload", "rollback", "by-command", "--wait", "--json").stdout)
    assert (back["status"], back["candidateArtifactId"]) == ("completed", first)
    assert workload(up, workload_id)["artifactId"] == first

    artifact(up, "broken by command", SAMPLE_CRASH="3")
    failed = up.cli_here(
        "workload", "replace", "by-command", "broken by command", "--wait", code=1
    ).stderr
    assert "failed" in failed
    assert "The candidate failed" in failed
    assert "replacement errored" in up.cli_here("workload", "get", "by-command").stdout

    up.cli_here("workload", "replace", "by-command", second, "--warmup", "10", "--step", "10:1")
    assert "Cancelled." in up.cli_here("workload", "cancel-replacement", "by-command").stdout
    wait_status(up, workload_id, None)
    assert "\tcancelled\t" in up.cli_here("workload", "history", "by-command").stdout
    assert (
        "PERCENT:MINUTES"
        in up.cli_here("workload", "replace", "by-command", second, "--step", "ten", code=2).stderr
    )
