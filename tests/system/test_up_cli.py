"""The commands against a real installation: what a person types in the first ten minutes."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.system.conftest import (
    COMMAND,
    clean_environ,
    installation,
    run_cli,
    run_here,
    wait_until,
)

SERVICE = f"{sys.executable} -P -m controlplane.demo.service"
SETTINGS = [
    "autoscaler.cooldown_s=600",
    "autoscaler.tick_s=0.2",
    "autoscaler.crash_limit=2",
    "autoscaler.restart_backoff_s=0.1",
]


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """One installation for the module: tests name their workloads differently."""
    with installation(tmp_path_factory.mktemp("up"), settings=SETTINGS) as started:
        yield started


def create(up, name, *arguments, code=0):
    return up.cli_here(
        "workload", "create", "--name", name, "--entrypoint", SERVICE,
        "--readiness", "/healthz", "--min", "0", "--max", "2", "--concurrency", "5",
        "-e", "SAMPLE_SERVICE_S=0.01", *arguments, code=code,
    )  # fmt: skip


def test_a_workload_from_its_creation_to_its_deletion(up):
    created = json.loads(create(up, "predictor", "--json").stdout)
    assert created["endpoint"].startswith(up.gateway_url)
    assert up.cli_here("workload", "wait", "predictor", "--for", "suspended").stdout == (
        "predictor is suspended\n"
    )

    answer = up.cli("invoke", "predictor", "/predict", "-d", '{"x": 1}')
    assert json.loads(answer.stdout)
    up.cli_here("workload", "wait", created["id"], "--for", "running")

    echoed = json.loads(
        up.cli_here("invoke", "predictor", "echo?a=b%2Fc", "-X", "put", "-H", "X-Mine: 1").stdout
    )
    assert echoed["method"] == "PUT"
    assert "a=b%2Fc" in json.dumps(echoed)
    assert "X-Mine" in json.dumps(echoed) or "x-mine" in json.dumps(echoed)
    assert up.token not in json.dumps(echoed)

    explained = up.cli_here("explain", "predictor", "--history", "5").stdout
    assert created["id"] in explained
    assert "because" in explained
    last = json.loads(up.cli_here("explain", "predictor", "--json").stdout)[0]
    assert last["reason"]
    assert last["id"] in up.cli_here("explain", "predictor", "--decision", last["id"]).stdout
    assert "bit-identical" in up.cli("replay", "--decision", last["id"]).stdout

    shown = up.cli_here("top", "--once", "--interval", "0.3").stdout.splitlines()
    assert shown[0].split("\t")[0] == "WORKLOAD"
    assert ["predictor", "running"] in [line.split("\t")[:2] for line in shown]
    [row] = [
        row
        for row in json.loads(up.cli_here("top", "--json", "--interval", "0.3").stdout)
        if row["name"] == "predictor"
    ]
    assert (row["started"], row["ready"]) == (2, 1)

    for options in (["--prefix"], ["--prefix", "--local"]):
        logged = up.cli_here("logs", "predictor", *options).stdout
        assert "sample: listening on" in logged
    assert "predictor" in up.cli_here("workload", "list").stdout
    assert "1 ready" in up.cli_here("workload", "get", "predictor").stdout
    events = json.loads(up.cli_here("workload", "events", "predictor", "--json").stdout)
    assert events

    up.cli_here("workload", "stop", "predictor", "--wait")
    refused = up.cli("invoke", "predictor", "/", code=1)
    assert "workload_stopped" in refused.stderr
    assert "tidegate workload start predictor" in refused.stderr
    up.cli_here("workload", "start", "predictor", "--wait")
    up.cli_here("invoke", "predictor", "/", code=0)

    up.cli_here("workload", "delete", "predictor")
    up.cli("workload", "get", created["id"], code=3)
    up.cli_here("workload", "wait", created["id"], "--for", "deleted")
    gone = up.cli_here("invoke", "predictor", "/", code=3)
    assert "predictor" in gone.stderr
    wait_until(
        lambda: "predictor" not in up.cli_here("top", "--json", "--interval", "0.2").stdout,
        what="not among those that run",
    )


def test_errors_say_what_is_wrong_and_what_to_do(up):
    first = json.loads(create(up, "twin", "--json").stdout)
    second = json.loads(create(up, "twin", "--json").stdout)

    ambiguous = up.cli_here("workload", "get", "twin", code=1).stderr
    assert first["id"] in ambiguous
    assert second["id"] in ambiguous

    assert "tidegate workload list" in up.cli_here("workload", "get", "nobody", code=3).stderr
    up.cli_here("workload", "delete", "0" * 24, code=3)
    both = create(up, "both", "--replicas", "2", code=2).stderr
    assert "--replicas means no autoscaling" in both
    assert "nothing to run" in up.cli_here("workload", "create", "--name", "empty", code=2).stderr
    assert "needs a name" in up.cli_here("workload", "create", code=2).stderr
    late = up.cli_here(
        "workload", "wait", first["id"], "--for", "stopped", "--timeout", "0.2", code=4
    )
    assert "not stopped, after 0.2 s" in late.stderr
    wrong = up.cli_here("workload", "list", code=1, TIDEGATE_TOKEN="tg_wrong").stderr
    assert "tidegate token create" in wrong
    away = up.cli_here("workload", "list", code=1, TIDEGATE_API_URL="http://127.0.0.1:9").stderr
    assert "cannot reach the API at http://127.0.0.1:9" in away
    refused = up.cli_here("invoke", first["id"], "/status/418", code=1)
    assert "the service answered 418" in refused.stderr
    metric = create(up, "odd", "--metric", "moonPhase=3", code=1).stderr
    assert "moonPhase" in metric


def test_a_service_that_cannot_start_is_explained_where_one_looks(up):
    up.cli_here(
        "workload", "create", "--name", "broken", "--min", "1", "--max", "1",
        "--entrypoint", f"{sys.executable} -c 'raise SystemExit(\"no model file\")'",
    )  # fmt: skip
    failed = up.cli_here("workload", "wait", "broken", code=1).stderr
    assert "'broken' is errored" in failed
    assert "no model file" in failed
    wait_until(
        lambda: "no model file" in up.cli_here("logs", "broken").stdout, what="its last words"
    )
    assert "no model file" in up.cli_here("logs", "broken", "--local").stdout
    assert "errored" in up.cli_here("workload", "list").stdout
    refused = up.cli_here("invoke", "broken", "/", code=1).stderr
    assert "workload_errored" in refused


def test_artifacts_from_a_file_locked_run_and_deleted(up, tmp_path):
    spec = tmp_path / "artifact.yaml"
    spec.write_text(
        "name: echo\n"
        "spec:\n"
        "  containerGroups:\n"
        "  - containers:\n"
        "    - {name: main, primary: true, port: 8080, imageUri: example/echo,\n"
        f"       entrypoint: {json.dumps(SERVICE.split())}}}\n"
    )
    made = json.loads(up.cli_here("artifact", "create", "-f", str(spec), "--json").stdout)
    assert json.loads(up.cli_here("artifact", "get", "echo").stdout)["id"] == made["id"]
    assert "locked as version 1" in up.cli_here("artifact", "lock", "echo").stdout
    assert "locked" in up.cli_here("artifact", "list").stdout
    body = json.dumps({"name": "by-id", "artifactId": made["id"]})
    up.cli_here("workload", "create", "-f", "-", "--wait", stdin=body)
    up.cli_here("workload", "create", "--name", "by-name", "--artifact", "echo", "--wait")
    assert up.cli_here("invoke", "by-name", "/status/204").stdout == ""
    in_use = up.cli_here("artifact", "delete", "echo", code=1)
    assert in_use.stderr
    cloned = json.loads(
        up.cli_here("artifact", "clone", "echo", "--name", "echo-2", "--json").stdout
    )
    assert (cloned["status"], cloned["spec"]) == ("draft", made["spec"])
    up.cli_here("artifact", "delete", "echo-2")
    up.cli_here("artifact", "create", "--name", "draft", "--entrypoint", SERVICE)
    up.cli_here("artifact", "delete", "draft")
    up.cli_here("artifact", "get", "draft", code=3)


def test_a_draft_expires_until_it_is_promoted(up):
    create(up, "quick", "--wait")
    assert "expires" in up.cli_here("workload", "get", "quick").stdout
    assert "locked as version 1" in up.cli_here("workload", "promote", "quick").stdout
    assert "expires" not in up.cli_here("workload", "get", "quick").stdout
    assert "is not a draft" in up.cli_here("workload", "promote", "quick", code=1).stderr
    up.cli_here("workload", "delete", "quick", "--wait")
    up.cli_here("workload", "get", "quick", code=3)


def test_a_stream_is_printed_piece_by_piece(up):
    create(up, "talker", "--wait", "-e", "SAMPLE_TOKEN_S=0.2")
    up.cli_here("invoke", "talker", "/")
    process = subprocess.Popen(
        [*COMMAND, "invoke", "talker", "/stream?tokens=1000", "--stream"],
        stdout=subprocess.PIPE,
        env=clean_environ(TIDEGATE_API_URL=up.api_url, TIDEGATE_TOKEN=up.token),
    )
    assert process.stdout is not None
    with process.stdout as stream:
        # 1000 tokens take minutes: whatever arrives now was not waited for.
        assert stream.readline()
        process.kill()
    process.wait()


def test_logs_follow_new_lines_and_new_replicas(up):
    create(up, "chatty", "--wait")
    process = subprocess.Popen(
        [*COMMAND, "logs", "chatty", "-f"],
        stdout=subprocess.PIPE,
        env=clean_environ(TIDEGATE_UP_DATA_DIR=str(up.data_dir)),
    )
    assert process.stdout is not None
    with process.stdout as stream:
        up.cli_here("invoke", "chatty", "/")
        assert b"sample: listening on" in stream.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_login_keeps_credentials_that_only_the_user_can_read(up, tmp_path):
    home = {"XDG_CONFIG_HOME": str(tmp_path), "TIDEGATE_UP_DATA_DIR": str(tmp_path / "none")}
    done = run_cli("login", "--url", f"{up.api_url}/api/v2/", "--token", up.token, **home)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "tidegate" / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run_here("workload", "list", **home).returncode == 0
    refused = run_here("login", "--url", up.api_url, "--token", "tg_wrong", **home)
    assert refused.returncode == 1
    assert json.loads(path.read_text())["token"] == up.token
    # Another server must not get this token.
    other = run_here("workload", "list", TIDEGATE_API_URL="http://127.0.0.1:9", **home)
    assert "no token for http://127.0.0.1:9" in other.stderr


def test_tokens_are_made_listed_and_revoked_without_a_token(up):
    made = json.loads(up.cli_here("token", "create", "--name", "ci", "--json").stdout)
    up.cli_here("workload", "list", TIDEGATE_TOKEN=made["token"])
    listed = up.cli_here("token", "list").stdout
    assert made["id"] in listed
    assert made["token"] not in listed
    up.cli_here("token", "revoke", made["id"])
    deadline = time.monotonic() + 30
    while up.cli_here("workload", "list", code=None, TIDEGATE_TOKEN=made["token"]).returncode == 0:
        assert time.monotonic() < deadline
    up.cli_here("token", "revoke", made["id"], code=3)
    nowhere = run_here("token", "list", TIDEGATE_UP_DATA_DIR=str(up.data_dir / "none"))
    assert nowhere.returncode == 1
    assert "no `tidegate up` runs" in nowhere.stderr


def test_config_shows_every_layer_and_its_source(tmp_path):
    file = tmp_path / "tidegate.toml"
    file.write_text("[gateway]\nqueue_limit = 7\nport = 7000\n")
    done = run_cli(
        "config", "--json", "--config", str(file), "--set", "autoscaler.cooldown_s=5",
        TIDEGATE_GATEWAY_PORT="7001",
    )  # fmt: skip
    values = {
        f"{v['section']}.{v['key']}": (v["value"], v["source"]) for v in json.loads(done.stdout)
    }
    assert values["gateway.queue_limit"] == (7, "file")
    assert values["gateway.port"] == (7001, "env TIDEGATE_GATEWAY_PORT")
    assert values["autoscaler.cooldown_s"] == (5.0, "flag")
    assert values["api.port"] == (8081, "default")
    secret = run_here("config", "--set", "store.url=redis://me:secret@host:1/0").stdout
    assert "store.url\tredis://host:1/0\tflag" in secret
    text = run_here("config").stdout
    assert "gateway.queue_limit\t10000\tdefault" in text


def test_top_is_live_on_a_terminal_and_ends_with_q(up):
    create(up, "shown")
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, "top", "--interval", "0.1"],
            stdin=slave, stdout=slave, stderr=slave,
            env=clean_environ(TIDEGATE_UP_DATA_DIR=str(up.data_dir), TERM="xterm"),
        )  # fmt: skip
        seen = b""
        while b"shown" not in seen:
            seen += os.read(master, 65536)
        os.write(master, b"q")
        assert process.wait(30) == 0
    finally:
        os.close(slave)
        os.close(master)


def test_help_of_every_command_is_complete():
    listed = run_cli("--help").stdout
    for name in ("up", "demo", "config", "login", "token", "workload", "artifact", "invoke",
                 "explain", "logs", "traces", "top"):  # fmt: skip
        assert name in listed
        assert run_here(name, "--help").returncode == 0
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 timed out." in listed
    assert run_cli("--version").stdout.startswith("tidegate ")
    assert run_cli("workload", "creat").returncode == 2
