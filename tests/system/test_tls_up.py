"""An installation with TLS on both sides: clients to the gateway, the gateway to replicas."""

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from tests.system.conftest import Up, installation
from tests.system.service import deploy_container, wait_state, workload

APPLICATION = """
import json, os, sys
import uvicorn

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = json.dumps({"scheme": scope["scheme"], "headers": headers}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning",
            proxy_headers=False, ssl_certfile=sys.argv[1], ssl_keyfile=sys.argv[2])
"""


class Files:
    """One authority, a certificate for the gateway, one for replicas."""

    def __init__(self, directory: Path) -> None:
        authority = Authority()
        self.ca = authority.write(directory / "ca.pem")
        self.gateway = directory / "gateway.pem", directory / "gateway-key.pem"
        self.replica = directory / "replica.pem", directory / "replica-key.pem"
        authority.issue(*self.gateway)
        authority.issue(*self.replica)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Up]:
    settings = [
        "autoscaler.tick_s=0.2",
        f"gateway.tls_cert_file={files.gateway[0]}",
        f"gateway.tls_key_file={files.gateway[1]}",
        "gateway.tls_port=0",
        f"gateway.upstream_ca_file={files.ca}",
    ]
    with installation(tmp_path_factory.mktemp("up"), settings=settings) as started:
        yield started


@pytest.fixture(scope="module")
def endpoint(up: Up, files: Files) -> str:
    """The invoke URL of a service whose port speaks TLS."""
    probe = {"path": "/", "port": 8080, "scheme": "HTTPS", "initialDelaySeconds": 0}
    container = {
        "name": "main",
        "primary": True,
        "port": 8080,
        "imageUri": "secure/service:1",
        "entrypoint": [sys.executable, "-c", APPLICATION, *map(str, files.replica)],
        "readinessProbe": probe | {"periodSeconds": 1},
    }
    workload_id = deploy_container(up, "secure", group={"replicaCount": 1}, container=container)
    wait_state(up, workload_id, "running")
    return str(workload(up, workload_id)["endpoint"])


def call(up: Up, files: Files, url: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {up.token}"})
    context = ssl.create_default_context(cafile=str(files.ca))
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()


def test_invoke_urls_are_https_and_requests_are_encrypted_all_the_way(
    up: Up, files: Files, endpoint: str
) -> None:
    assert endpoint.startswith(f"{up.gateway_url}/api/v2/endpoints/workloads/")
    assert endpoint.startswith("https://")
    status, body = call(up, files, endpoint)
    assert status == 200, up.tell()
    heard = json.loads(body)
    assert heard["scheme"] == "https"
    assert heard["headers"]["x-forwarded-proto"] == "https"


def test_rolling_loses_no_handshake(up: Up, files: Files, endpoint: str) -> None:
    """A new connection per request: each of them shakes hands with one worker or another."""

    def act() -> None:
        up.cli("roll")

    seen: Counter[int] = Counter()
    with ThreadPoolExecutor(1) as pool:
        rolling = pool.submit(act)
        until_s: float | None = None
        while until_s is None or time.monotonic() < until_s:
            seen[call(up, files, endpoint)[0]] += 1
            if until_s is None and rolling.done():
                until_s = time.monotonic() + 0.5
        rolling.result()
    assert set(seen) == {200}
    assert up.count("replaced") == 2


def test_the_command_line_speaks_it_with_an_authority_that_it_is_told(
    up: Up, files: Files, endpoint: str
) -> None:
    done = up.cli("invoke", "secure", "/", SSL_CERT_FILE=str(files.ca))
    assert json.loads(done.stdout)["scheme"] == "https"
    refused = up.cli("invoke", "secure", "/", code=1)
    assert "certificate" in refused.stderr.lower()
