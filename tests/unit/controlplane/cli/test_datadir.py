import errno
import os
import subprocess
import sys

import psutil
import pytest

from controlplane.cli.datadir import (
    DataDir,
    RunInfo,
    end_leftovers,
    leftovers,
    read_run,
    running,
    start_time,
    unusable,
)
from controlplane.cli.errors import CliError


def info(path, **fields) -> RunInfo:
    return RunInfo(
        **{
            "pid": os.getpid(),
            "started_at": 1.0,
            "data_dir": str(path),
            "api_url": "http://127.0.0.1:8081",
            "gateway_url": "http://127.0.0.1:8080",
            "admin_urls": [],
            "store_url": "unix:///s",
            **fields,
        }
    )


def test_a_claimed_directory_is_refused_to_a_second_owner_until_it_is_released(tmp_path):
    with DataDir.claim(tmp_path / "d") as claimed:
        claimed.write_run(info(tmp_path / "d"))
        with pytest.raises(CliError) as caught:
            DataDir.claim(tmp_path / "d")
        assert f"pid {os.getpid()}" in caught.value.message
        assert f"kill {os.getpid()}" in caught.value.hint
    with DataDir.claim(tmp_path / "d"):
        pass


def test_a_claim_without_run_json_still_says_who_to_stop(tmp_path):
    with DataDir.claim(tmp_path), pytest.raises(CliError, match="another `tidegate up`"):
        DataDir.claim(tmp_path)


def test_a_new_directory_is_private(tmp_path):
    with DataDir.claim(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_run_json_is_private_and_comes_back_as_written(tmp_path):
    with DataDir.claim(tmp_path) as claimed:
        claimed.write_run(info(tmp_path, processes={"api": 1}))
        assert read_run(tmp_path) == info(tmp_path, processes={"api": 1})
        assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
        assert [p.name for p in tmp_path.glob(".run.json*")] == []
        claimed.remove_run()
        assert read_run(tmp_path) is None


def test_a_run_json_that_cannot_be_read_counts_as_none(tmp_path):
    (tmp_path / "run.json").write_text("{")
    assert read_run(tmp_path) is None


def test_running_is_only_what_holds_the_lock(tmp_path):
    assert running(tmp_path / "nothing") is None
    with DataDir.claim(tmp_path) as claimed:
        claimed.write_run(info(tmp_path))
        assert running(tmp_path) == info(tmp_path)
    assert running(tmp_path) is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(errno.ENOSPC, "no space left", id="disk-full"),
        pytest.param(errno.EACCES, "cannot use the data directory", id="not-writable"),
        pytest.param(errno.EROFS, "cannot use the data directory", id="read-only"),
    ],
)
def test_an_unusable_directory_says_why_and_what_to_do(tmp_path, number, words):
    error = unusable(tmp_path, OSError(number, os.strerror(number)))
    assert words in error.message
    assert str(tmp_path) in error.message
    assert "--data-dir" in error.hint


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CliError, match="cannot use the data directory"):
        DataDir.claim(tmp_path / "file" / "d")


def sleeper(code: str = "import time; print(flush=True); time.sleep(600)"):
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import time; print(flush=True); time.sleep(600)", id="obeys"),
        pytest.param(
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print(flush=True); time.sleep(600)",
            id="ignores-the-request",
        ),
    ],
)
def test_processes_of_a_killed_run_are_ended(tmp_path, code):
    process = sleeper(code)
    left = info(
        tmp_path,
        processes={"api": process.pid},
        process_started={"api": start_time(process.pid)},
    )
    assert end_leftovers(left, grace_s=0.5) == [process.pid]
    process.wait(30)
    assert not psutil.pid_exists(process.pid)
    assert leftovers(left) == []


def test_a_process_that_only_got_the_same_pid_is_left_alone(tmp_path):
    process = sleeper()
    try:
        stranger = info(
            tmp_path,
            processes={"api": process.pid},
            process_started={"api": start_time(process.pid) - 3600},
        )
        assert end_leftovers(stranger) == []
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_pid_that_is_gone_has_no_start_time():
    process = sleeper()
    process.kill()
    process.wait()
    assert start_time(process.pid) == 0.0
