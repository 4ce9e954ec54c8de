"""`tidegate up` as a whole: start, refusal, restarts, kills, orderly stop."""

import os
import re
import signal
import socket
import subprocess
import sys

import httpx2
import pytest

from tests.system.conftest import (
    COMMAND,
    clean_environ,
    installation,
    processes_of,
    run_cli,
    wait_until,
)


def get(url: str) -> int:
    """Status of a GET; 0 when nobody answers."""
    try:
        return httpx2.get(url, timeout=5).status_code
    except httpx2.HTTPError:
        return 0


def replicas_of(data_dir):
    """Processes of the sample service."""
    return [p for p in processes_of(data_dir) if "controlplane.demo.service" in p.cmdline()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """For tests that leave it as it is."""
    with installation(tmp_path_factory.mktemp("up")) as started:
        yield started


def test_ready_means_that_the_api_and_every_gateway_worker_answer(undisturbed):
    up = undisturbed
    assert get(f"{up.api_url}/readyz") == 200
    assert [get(f"{url}/readyz") for url in up.admin_urls] == [200, 200]
    info = up.run_info()
    assert info["ready"]
    assert info["pid"] == up.process.pid
    assert set(info["processes"]) == {"store", "api", "autoscaler", "gateway-0", "gateway-1"}
    assert all(os.path.exists(f"/proc/{pid}") for pid in info["processes"].values())


def test_an_orderly_stop_ends_every_process_in_order_and_leaves_no_token_in_a_file(tidegate_up):
    up = tidegate_up()
    secret = up.token.encode()
    assert up.stop(signal.SIGINT) == 0
    order = [e["process"] for e in up.events if e["event"] == "stopping"]
    assert [name.split("-")[0] for name in order] == [
        "gateway",
        "gateway",
        "autoscaler",
        "api",
        "store",
    ]
    assert up.count("killed") == 0
    assert processes_of(up.data_dir) == []
    assert not (up.data_dir / "run.json").exists()
    files = [path for path in up.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


def test_a_second_up_on_the_same_directory_is_refused_and_names_the_first(undisturbed):
    up = undisturbed
    second = run_cli("up", "--data-dir", str(up.data_dir), "--port", "0", "--api-port", "0")
    assert second.returncode == 1
    assert f"pid {up.process.pid}" in second.stderr
    assert str(up.data_dir) in second.stderr
    assert "--data-dir" in second.stderr
    assert get(f"{up.api_url}/readyz") == 200


def test_the_owner_token_works_and_is_shown_at_the_first_start_only(tidegate_up):
    up = tidegate_up()
    token = up.token
    assert token in up.ready["message"]
    assert f"export TIDEGATE_API_URL={up.api_url} TIDEGATE_TOKEN={token}" in up.ready["message"]
    answer = httpx2.get(
        f"{up.api_url}/api/v2/workloads", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200
    up.stop()
    again = tidegate_up()
    assert again.ready["token"] is None
    assert token not in again.ready["message"]
    assert "tidegate token create" in again.ready["message"]
    answer = httpx2.get(
        f"{again.api_url}/api/v2/workloads", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200


def test_whatever_is_killed_is_started_again_alone_and_all_is_ready_again(tidegate_up):
    up = tidegate_up()
    for count, name in enumerate(["gateway-0", "autoscaler", "api", "store"], start=1):
        before = up.pids
        up.kill(name)
        died = up.wait_event("died", count=count)
        assert died["process"] == name
        assert re.search(rf"^{name} was killed by SIGKILL; restart in [0-9.]+ s", died["message"])
        up.wait_event("restarted", count=count)
        wait_until(
            lambda name=name, old=before[name]: up.pids.get(name) not in {None, old},
            what="a new pid",
        )
        for url in [up.api_url, *up.admin_urls, up.ready["autoscaler_admin_url"]]:
            wait_until(lambda url=url: get(f"{url}/readyz") == 200, what=f"{url} ready")
        assert {k: v for k, v in up.pids.items() if k != name} == {
            k: v for k, v in before.items() if k != name
        }
        assert up.count("died") == count, up.tell()
    assert up.stop() == 0


def test_children_of_a_killed_supervisor_end_by_themselves_and_the_next_start_works(tidegate_up):
    up = tidegate_up()
    token = up.token
    created = up.cli_here("token", "create", "--name", "kept").stdout.strip()
    up.process.kill()
    up.wait()
    wait_until(lambda: processes_of(up.data_dir) == [], what="children ended")
    again = tidegate_up()
    assert again.ready["token"] is None
    for text in (token, created):
        answer = httpx2.get(
            f"{again.api_url}/api/v2/workloads", headers={"Authorization": f"Bearer {text}"}
        )
        assert answer.status_code == 200
    again.stop()
    wait_until(lambda: processes_of(up.data_dir) == [], what="no process left")


def test_a_killed_supervisor_leaves_no_replica_and_the_next_start_brings_them_back(tidegate_up):
    up = tidegate_up()
    up.cli_here(
        "workload", "create", "--name", "kept", "--min", "2", "--max", "2", "--wait",
        "--readiness", "/healthz",
        "--entrypoint", f"{sys.executable} -P -m controlplane.demo.service",
    )  # fmt: skip
    up.cli_here("workload", "wait", "kept", "--for", "running")
    up.process.kill()
    up.wait()
    again = tidegate_up()
    token = {"TIDEGATE_TOKEN": up.token}
    again.cli_here("workload", "wait", "kept", "--for", "running", **token)
    wait_until(lambda: len(replicas_of(up.data_dir)) == 2, what="exactly two replicas")
    again.cli_here("invoke", "kept", "/", **token)
    again.stop()
    wait_until(lambda: processes_of(up.data_dir) == [], what="no process left")


def test_a_child_that_does_not_stop_is_killed_after_the_stage_s_time(tidegate_up):
    up = tidegate_up(settings=["up.stop_timeout_s=1"])
    up.kill("api", signal.SIGSTOP)
    assert up.stop() == 0
    assert [e["message"] for e in up.events if e["event"] == "killed"] == [
        "api did not stop, killed"
    ]
    assert processes_of(up.data_dir) == []


def test_a_second_signal_hurries(tidegate_up):
    up = tidegate_up(settings=["up.stop_timeout_s=600"])
    up.kill("gateway-0", signal.SIGSTOP)
    up.process.send_signal(signal.SIGTERM)
    up.wait_event("stopping")
    up.process.send_signal(signal.SIGTERM)
    assert up.wait() == 0
    assert up.count("hurry") == 1
    assert processes_of(up.data_dir) == []


def test_a_stop_while_starting_leaves_nothing(tidegate_up):
    up = tidegate_up(ready=False)
    up.wait_event("starting")
    assert up.stop() == 0
    assert processes_of(up.data_dir) == []


def test_a_taken_port_is_refused_before_anything_starts(up_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_cli(
            "up", "--data-dir", str(up_dir), "--port", "0", "--admin-port", "0",
            "--api-port", str(port),
        )  # fmt: skip
    assert done.returncode == 1
    assert f"port {port} for the API is in use" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert "--api-port" in done.stderr
    assert processes_of(up_dir) == []


def test_a_port_stolen_later_is_a_crash_loop_of_one_process_only(tidegate_up):
    up = tidegate_up()
    host, port = up.api_url.removeprefix("http://").split(":")
    others = {name: pid for name, pid in up.pids.items() if name != "api"}
    thief = socket.socket()
    try:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        up.kill("api", signal.SIGSTOP)
        up.kill("api")

        def stolen() -> bool:
            try:
                thief.bind((host, int(port)))
            except OSError:
                return False
            return True

        wait_until(stolen, what="the port")
        thief.listen()
        up.wait_event("died", count=3)
    finally:
        thief.close()
    wait_until(lambda: get(f"{up.api_url}/readyz") == 200, what="API ready again")
    assert {name: pid for name, pid in up.pids.items() if name != "api"} == others


def test_a_directory_that_cannot_be_written_is_refused(up_dir):
    blocker = up_dir / "file"
    blocker.write_text("")
    done = run_cli("up", "--data-dir", str(blocker / "below"), "--port", "0", "--api-port", "0")
    assert done.returncode == 1
    assert str(blocker / "below") in done.stderr
    assert "--data-dir" in done.stderr


def test_an_unknown_setting_is_refused_with_a_suggestion(up_dir):
    done = run_cli("up", "--data-dir", str(up_dir), "--set", "gateway.queue_limt=3")
    assert done.returncode == 2
    assert "did you mean 'queue_limit'" in done.stderr


def test_an_external_store_that_cannot_be_reached_is_named(up_dir):
    done = subprocess.run(
        [*COMMAND, "up", "--data-dir", str(up_dir), "--port", "0", "--api-port", "0",
         "--admin-port", "0", "--store", f"unix://{up_dir}/nobody.sock"],
        capture_output=True, text=True, env=clean_environ(), timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot reach the store at unix://{up_dir}/nobody.sock" in done.stderr
    assert processes_of(up_dir) == []
