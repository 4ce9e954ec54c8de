"""Users, roles and tokens on a real installation: who may do what, and what is told of it."""

import json
import sys

import httpx2
import pytest

from tests.system.conftest import installation, wait_until

SERVICE = f"{sys.executable} -P -m controlplane.demo.service"
WORKERS = 2
CONNECTIONS = 24
"""Kept alive, so many that every worker has some: the kernel spreads them."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """An installation with two gateway workers, and one workload."""
    settings = [f"up.workers={WORKERS}", "autoscaler.tick_s=0.2"]
    with installation(tmp_path_factory.mktemp("up"), settings=settings) as up:
        created = up.cli(
            "workload", "create", "--name", "predictor", "--entrypoint", SERVICE,
            "--readiness", "/healthz", "--replicas", "1", "--wait", "--json",
        )  # fmt: skip
        yield up, json.loads(created.stdout)


def client(token, base=""):
    """Connections that are kept alive."""
    return httpx2.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def api(up, token=None):
    return client(token or up.token, f"{up.api_url}/api/v2/")


def test_roles_and_tokens_from_the_command_line(shared):
    up, workload = shared
    one = f"workloads/{workload['id']}"
    up.cli_here("user", "create", "ann", "--first-name", "Ann")
    text = up.cli_here("token", "create", "--user", "ann", "--name", "laptop").stdout.strip()
    with api(up, text) as as_ann:
        wait_until(lambda: as_ann.get(one).status_code == 403, what="known, without a role")
        up.cli_here("workload", "share", "predictor", "--user", "ann", "--everybody", "consumer")
        assert as_ann.get(f"{one}/events").status_code == 200
        shown = up.cli_here("workload", "share", "predictor").stdout.splitlines()
        assert [line.split("\t")[:2] for line in shown[1:]] == [
            ["admin", "OWNER"],
            ["ann", "USER"],
            ["Everybody", "CONSUMER"],
        ]
        up.cli_here("workload", "share", "predictor", "--everybody", "owner", code=2)
        up.cli_here("workload", "share", "predictor", "--remove", "ann")
        assert as_ann.get(f"{one}/events").status_code == 403

        reader = up.cli_here("token", "create", "--scope", "read").stdout.strip()
        refused = up.cli_here("workload", "stop", "predictor", code=1, TIDEGATE_TOKEN=reader)
        assert "scope read" in refused.stderr

        up.cli_here("user", "set", "ann", "--disable")
        assert as_ann.get("version").status_code == 401
        assert "ann\t" in up.cli_here("user", "list").stdout
    up.cli_here("user", "delete", "ann")
    assert "last admin" in up.cli_here("user", "set", "admin", "--no-admin", code=1).stderr

    lines = json.loads(up.cli_here("audit", "--kind", "user", "--json").stdout)
    of_ann = [line["action"] for line in lines if line["recordName"] == "ann"]
    assert of_ann == ["deleted", "updated", "created"]
    told = up.cli_here("audit", "--record", workload["id"], "--action", "updated").stdout
    assert "-> CONSUMER" in told
    assert text not in told


def test_what_is_revoked_ends_at_every_worker_on_open_connections_too(shared):
    up, workload = shared
    url = f"{workload['endpoint']}healthz"
    with api(up) as admin:
        bob = admin.post("users", json={"username": "bob"}).json()
        for end, after in (("role", 403), ("token", 401), ("user", 401)):
            made = admin.post("account/apiKeys", json={"name": end, "userId": bob["id"]}).json()
            share(admin, workload, "admin", "bob")
            clients = [client(made["key"]) for _ in range(CONNECTIONS)]

            def statuses(clients=clients):
                return {one.get(url).status_code for one in clients}

            try:
                wait_until(lambda statuses=statuses: statuses() == {200}, what="all may")
                if end == "role":
                    share(admin, workload, "admin")
                elif end == "token":
                    assert admin.delete(f"account/apiKeys/{made['id']}").status_code == 204
                else:
                    changed = admin.patch(f"users/{bob['id']}", json={"disabled": True})
                    assert changed.status_code == 200
                wait_until(
                    lambda statuses=statuses, after=after: statuses() == {after},
                    what=f"nobody may: {end}",
                )
            finally:
                for one in clients:
                    one.close()
        share(admin, workload, "admin")


def share(admin, workload, *owners):
    """Make these users the owners, and nobody else anything."""
    roles = [{"shareRecipientType": "user", "role": "OWNER", "username": name} for name in owners]
    answer = admin.patch(
        f"workloads/{workload['id']}/sharedRoles", json={"operation": "updateRoles", "roles": roles}
    )
    assert answer.status_code == 204, answer.text
