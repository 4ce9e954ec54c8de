"""Credentials and workload tokens, from the command line to a replica's environment."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Up, installation, wait_until
from tests.system.service import READY_PROBE, api, wait_state, workload

SCRIPT = """
import http.server, json, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Page).serve_forever()
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One installation for the module."""
    with installation(tmp_path_factory.mktemp("up")) as started:
        yield started


def deploy(up: Up, name: str, *variables: dict[str, str]) -> str:
    container = {
        "name": "main",
        "port": 8080,
        "imageUri": "sample/env:1",
        "entrypoint": ["python3", "-c", SCRIPT],
        "environmentVars": list(variables),
        "readinessProbe": READY_PROBE,
    }
    spec = {"containerGroups": [{"containers": [container]}]}
    body = {"name": name, "artifact": {"name": name, "spec": spec}}
    return str(api(up, "POST", "/workloads", body, code=201)["id"])


def call(url: str, token: str, method: str = "GET") -> tuple[int, Any]:
    request = urllib.request.Request(
        url, method=method, headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()


def environment(up: Up, workload_id: str) -> dict[str, str]:
    wait_state(up, workload_id, "running")
    status, found = call(workload(up, workload_id)["endpoint"], up.token)
    assert status == 200
    return dict(found)


def restart(up: Up, workload_id: str) -> None:
    api(up, "POST", f"/workloads/{workload_id}/stop")
    wait_state(up, workload_id, "stopped")
    api(up, "POST", f"/workloads/{workload_id}/start")


def everything_on_disk(up: Up) -> bytes:
    found = b""
    for folder in ("store", "logs"):
        for path in Path(up.data_dir, folder).rglob("*"):
            if path.is_file():
                found += path.read_bytes()
    return found


def reference(credential_id: str) -> dict[str, str]:
    return {
        "source": "dr-credential",
        "name": "DB_PASSWORD",
        "drCredentialId": credential_id,
        "key": "password",
    }


def test_a_credential_reaches_the_replica_and_nothing_else(up: Up) -> None:
    made = up.cli_here(
        "credential", "create", "db", "--type", "basic", "user=app", "password=@-", "--json",
        stdin="hunter2-first\n",
    )  # fmt: skip
    credential = json.loads(made.stdout)
    workload_id = deploy(up, "with-credential", reference(credential["id"]))
    seen = environment(up, workload_id)
    assert seen["DB_PASSWORD"] == "hunter2-first"
    assert seen["WORKLOAD_ID"] == workload_id
    assert "DATAROBOT_API_TOKEN" not in seen
    assert "DATAROBOT_ENDPOINT" not in seen

    # Another value counts from the next start on, also when the key changes meanwhile.
    up.cli_here("credential", "edit", "db", "password=hunter2-second")
    assert environment(up, workload_id)["DB_PASSWORD"] == "hunter2-first"
    before = (up.data_dir / "credentials.key").read_text()
    told = up.cli("credential", "rekey").stdout
    assert "1 secrets encrypted anew" in told
    up.cli_here("credential", "rekey", "--keep-key", "--forget")
    after = (up.data_dir / "credentials.key").read_text()
    assert before not in after
    assert len(after.split()) == 1
    restart(up, workload_id)
    assert environment(up, workload_id)["DB_PASSWORD"] == "hunter2-second"

    refused = up.cli_here("credential", "delete", "db", code=1)
    assert workload_id in refused.stderr
    assert "hunter2" not in up.cli_here("credential", "get", "db").stdout
    assert "hunter2" not in up.cli_here("credential", "list").stdout
    assert b"hunter2" not in everything_on_disk(up)
    assert os.stat(up.data_dir / "credentials.key").st_mode & 0o777 == 0o600


def test_a_lost_key_is_told_by_the_workload_and_the_old_file_heals_it(up: Up) -> None:
    made = up.cli_here(
        "credential", "create", "lost", "--type", "bearer", "token=very-secret", "--json"
    )  # fmt: skip
    credential_id = json.loads(made.stdout)["id"]
    path = up.data_dir / "credentials.key"
    kept = path.read_text()
    path.write_text(up.cli_here("credential", "key").stdout)
    try:
        variable = {**reference(credential_id), "key": "token"}
        workload_id = deploy(up, "with-lost-key", variable)
        details = wait_until(
            lambda: (
                "cannot be opened" in str(workload(up, workload_id)["statusDetails"])
                and workload(up, workload_id)["statusDetails"]
            ),
            what="the sentence",
        )
        assert "DB_PASSWORD" in details["message"]
        assert "'lost'" in details["message"]
        assert str(path) in details["message"]
        failed = up.cli_here("credential", "rekey", "--keep-key", code=1)
        assert "lost" in failed.stderr
    finally:
        path.write_text(kept)
    restart(up, workload_id)
    assert environment(up, workload_id)["DB_PASSWORD"] == "very-secret"


def test_an_api_key_is_the_workloads_own_and_ends_with_it(up: Up) -> None:
    workload_id = deploy(up, "with-api-key", {"source": "api-key"})
    seen = environment(up, workload_id)
    token, base = seen["DATAROBOT_API_TOKEN"], seen["DATAROBOT_ENDPOINT"]
    assert seen["DATAROBOT_PUBLIC_API_ENDPOINT"] == base == f"{up.api_url}/api/v2"
    assert token != up.token
    assert token.encode() not in everything_on_disk(up)

    status, account = call(f"{base}/account/info", token)
    assert (status, account["uid"]) == (200, workload(up, workload_id)["creator"]["id"])
    status, refused = call(f"{base}/workloads/{workload_id}/stop", token, "POST")
    assert status == 403, refused
    status, _ = call(workload(up, workload_id)["endpoint"], token)
    assert status == 200

    # All replicas of a workload carry the same, and it survives the autoscaler.
    up.kill("autoscaler")
    settings = {"runtime": {"containerGroups": [{"replicaCount": 2}]}}
    api(up, "PATCH", f"/workloads/{workload_id}/settings", settings)
    wait_until(lambda: workload(up, workload_id)["statusDetails"]["readyReplicas"] == 2, what="two")
    told = {environment(up, workload_id)["DATAROBOT_API_TOKEN"] for _ in range(20)}
    assert told == {token}

    api(up, "POST", f"/workloads/{workload_id}/stop")
    wait_until(lambda: call(f"{base}/version", token)[0] == 401, what="the token's end")
    wait_state(up, workload_id, "stopped")
    api(up, "POST", f"/workloads/{workload_id}/start")
    again = environment(up, workload_id)["DATAROBOT_API_TOKEN"]
    assert again != token
    api(up, "DELETE", f"/workloads/{workload_id}")
    wait_until(lambda: call(f"{base}/version", again)[0] == 401, what="the other token's end")
