"""A service that cannot run: a state, and a sentence that tells its owner what to do."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import Up, installation, wait_until
from tests.system.service import READY_PROBE, api, deploy_container, tally, wait_state, workload
from tests.system.test_cold_starts import run

SETTINGS = [
    "autoscaler.tick_s=0.2",
    "autoscaler.crash_limit=2",
    "autoscaler.restart_backoff_s=0.1",
    "autoscaler.start_timeout_s=4",
]
SAMPLE = [sys.executable, "-m", "controlplane.demo.service"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation that gives up quickly."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def broken(up: Up, name: str, entrypoint: list[str] | None, **environ: str) -> str:
    container: dict[str, Any] = {
        "name": "main",
        "primary": True,
        "port": 8080,
        "imageUri": "sample/broken:1",
        "entrypoint": entrypoint,
        "environmentVars": [{"name": k, "value": v} for k, v in environ.items()],
        "readinessProbe": READY_PROBE,
    }
    return deploy_container(up, name, group={"replicaCount": 1}, container=container)


def told(up: Up, workload_id: str) -> str:
    """Everything the API says about the workload's trouble."""
    details = workload(up, workload_id)["statusDetails"] or {}
    return str(details)


@pytest.mark.parametrize(
    ("entrypoint", "environ", "says"),
    [
        pytest.param(
            [sys.executable, "-c", "import sys; sys.exit('no model found')"],
            {},
            ["exit", "no model found"],
            id="exits-at-once",
        ),
        pytest.param(SAMPLE, {"SAMPLE_NEVER_READY": "1"}, ["/healthz", "503"], id="never-ready"),
        pytest.param(SAMPLE, {"SAMPLE_WRONG_PORT": "9"}, ["PORT"], id="cannot-bind"),
        pytest.param(SAMPLE, {"SAMPLE_WRONG_PORT": "19999"}, ["19999", "PORT"], id="wrong-port"),
        pytest.param(SAMPLE, {"SAMPLE_GARBAGE": "1"}, ["/healthz", "HTTP"], id="answers-garbage"),
        pytest.param(None, {}, ["entrypoint"], id="no-entrypoint"),
        pytest.param(["/no/such/program"], {}, ["/no/such/program"], id="no-such-program"),
    ],
)
def test_what_cannot_run_is_errored_and_says_why(
    up: Up,
    request: pytest.FixtureRequest,
    entrypoint: list[str] | None,
    environ: dict[str, str],
    says: list[str],
) -> None:
    if environ.get("SAMPLE_WRONG_PORT") == "9" and _may_bind_low_ports():
        environ = {**environ, "SAMPLE_WRONG_PORT": "19998"}
    workload_id = broken(up, request.node.callspec.id, entrypoint, **environ)

    wait_state(up, workload_id, "errored")

    sentence = told(up, workload_id)
    assert all(word in sentence for word in says), sentence
    wait_until(lambda: set(tally(run(up, workload_id, 1))) == {"503 workload_errored"})
    api(up, "DELETE", f"/workloads/{workload_id}/", code=204)


def _may_bind_low_ports() -> bool:
    return os.geteuid() == 0


def test_a_broken_neighbour_does_not_disturb_a_sound_one_and_a_restart_clears_the_error(
    up: Up,
) -> None:
    bad = broken(up, "bad", [sys.executable, "-c", "raise SystemExit(3)"])
    good = broken(up, "good", SAMPLE)
    wait_state(up, bad, "errored")
    wait_state(up, good, "running")
    assert set(tally(run(up, good, 20))) == {"200"}

    api(up, "POST", f"/workloads/{bad}/stop", code=202)
    wait_state(up, bad, "stopped")
    assert set(tally(run(up, bad, 1))) == {"503 workload_stopped"}
    artifact_id = workload(up, bad)["artifactId"]
    spec = {"containerGroups": [{"containers": [{
        "name": "main", "primary": True, "port": 8080, "imageUri": "sample/mended:1",
        "entrypoint": SAMPLE, "readinessProbe": READY_PROBE,
    }]}]}  # fmt: skip
    api(up, "PATCH", f"/artifacts/{artifact_id}/", {"spec": spec}, code=200)
    api(up, "POST", f"/workloads/{bad}/start", code=202)
    wait_state(up, bad, "running")
    assert set(tally(run(up, bad, 5))) == {"200"}
