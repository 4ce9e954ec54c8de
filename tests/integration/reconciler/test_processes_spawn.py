"""Hearing of the end of a process, with and without pidfds."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.reconcilers import processes_spawn
from autoscaler.reconcilers.processes_logs import ReplicaFiles
from autoscaler.reconcilers.processes_spawn import LocalProcessGroup, spawn
from tests.fakes.waiting import until


@pytest.fixture(params=["pidfd", "polling"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "polling":
        # What the module does on a kernel that has none.
        monkeypatch.setattr(processes_spawn, "_open_pidfd", lambda pid: None)
    return str(request.param)


@pytest.mark.parametrize(("ends", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9)])
async def test_the_end_of_a_child_is_heard_with_its_code(
    way: str, tmp_path: Path, ends: str, code: int
):
    heard: list[int] = []
    argv = (sys.executable, "-S", "-c", f"import os, sys; {ends}")
    process = await spawn(argv, {}, ReplicaFiles(tmp_path, "w", "r"), lambda: heard.append(1))
    await until(lambda: process.exited)
    assert process.exit_code == code
    assert heard == [1]
    process.signal(signal.SIGTERM)


async def test_a_process_that_is_not_our_child_is_heard_too(way: str, tmp_path: Path):
    # The shell ends at once, its child goes on in a session of its own.
    script = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
    pid = int(await asyncio.to_thread(subprocess.check_output, ["/bin/sh", "-c", script]))
    await until(lambda: os.getsid(pid) == pid)
    process = LocalProcessGroup(pid, None, lambda: None)
    assert process.started_at > 0
    process.signal(signal.SIGTERM)
    await until(lambda: process.exited)
    assert process.exit_code is None


async def test_a_process_that_is_gone_is_said_to_be():
    child = await asyncio.create_subprocess_exec("/bin/true")
    await child.wait()
    with pytest.raises(ProcessLookupError):
        LocalProcessGroup(child.pid, None, lambda: None)


async def test_a_detached_process_lives_on(way: str, tmp_path: Path):
    argv = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
    process = await spawn(argv, {}, ReplicaFiles(tmp_path, "w", "r"), lambda: None)
    process.detach()
    process.detach()
    os.kill(process.pid, 0)
    os.killpg(process.pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, process.pid, 0)


async def test_output_and_errors_land_in_the_log(tmp_path: Path):
    files = ReplicaFiles(tmp_path, "w", "r")
    argv = ("/bin/sh", "-c", "pwd; echo oops >&2; cat")
    process = await spawn(argv, {"PATH": os.environ["PATH"]}, files, lambda: None)
    await until(lambda: process.exited)
    assert files.tail() == (str(files.work), "oops")
