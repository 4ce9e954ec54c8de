"""The supervisor with real, tiny processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from controlplane.cli.children import ProcessChild, ProcessSpec, Stage
from controlplane.cli.supervisor import Supervisor

DEADLINE_S = 30.0

# Writes a line when told to stop, so that tests see the order.
OBEDIENT = """
import signal, sys, time
def stop(*_):
    with open(sys.argv[1], "a") as f:
        f.write(sys.argv[2] + "\\n")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True:
    time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    time.sleep(60)
"""
CRASHING = "import sys; sys.stderr.write('no such port\\n'); raise SystemExit(3)"


class Recorder:
    """Keeps what was announced."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def __call__(self, event: str, text: str, **fields: object) -> None:
        self.events.append((event, text, fields))

    def of(self, event: str) -> list[dict[str, object]]:
        return [fields for name, _, fields in self.events if name == event]

    def texts(self, event: str) -> list[str]:
        return [text for name, text, _ in self.events if name == event]


def spec(tmp_path: Path, name: str, stage: Stage, code: str, *argv: str) -> ProcessChild:
    return ProcessChild(
        ProcessSpec(
            name=name,
            stage=stage,
            argv=(sys.executable, "-S", "-c", code, *argv),
            environ=dict(os.environ),
            log_path=tmp_path / "logs" / f"{name}.log",
        )
    )


def obedient(tmp_path: Path, name: str, stage: Stage) -> ProcessChild:
    return spec(tmp_path, name, stage, OBEDIENT, str(tmp_path / "order"), name)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - files and processes tell no event
            await asyncio.sleep(0.01)


def is_up(child: ProcessChild) -> bool:
    return child.log_path.exists() and b"up" in child.log_path.read_bytes()


@asynccontextmanager
async def supervised(
    children: list[ProcessChild], *, stop_timeout_s: float = 20.0
) -> AsyncIterator[tuple[Supervisor, Recorder, "asyncio.Task[bool]"]]:
    recorder = Recorder()
    supervisor = Supervisor(
        children,
        announce=recorder,
        changed=lambda: None,
        stop_timeout_s=stop_timeout_s,
        start_timeout_s=DEADLINE_S,
    )
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, recorder, task
    finally:
        supervisor.request_stop()
        supervisor.request_stop()
        await asyncio.wait({task})
    assert not any(child.pid for child in children)


async def test_stop_goes_from_gateways_to_the_store_one_stage_after_the_other(tmp_path):
    children = [obedient(tmp_path, stage.name.lower(), stage) for stage in Stage]
    async with supervised(children) as (supervisor, _, task):
        await until(lambda: all(is_up(child) for child in children))
        supervisor.request_stop()
        assert await task
    assert (tmp_path / "order").read_text().split() == ["gateway", "autoscaler", "api", "store"]


async def test_a_killed_process_is_started_again_and_the_others_are_not_touched(tmp_path):
    victim = obedient(tmp_path, "victim", Stage.GATEWAY)
    other = obedient(tmp_path, "other", Stage.GATEWAY)
    async with supervised([victim, other]) as (supervisor, recorder, _):
        await until(lambda: supervisor.ready)
        pids = victim.pid, other.pid
        assert pids[0] is not None
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: recorder.of("restarted"))
        assert victim.pid not in {None, pids[0]}
        assert other.pid == pids[1]
    assert recorder.of("died")[0]["process"] == "victim"
    assert "was killed by SIGKILL; restart in" in recorder.texts("died")[0]


async def test_a_crash_loop_waits_longer_each_time_and_leaves_the_others_alone(tmp_path):
    flag = tmp_path / "crash"
    code = f"""
import os, time
print("up", flush=True)
while not os.path.exists({str(flag)!r}):
    time.sleep(0.01)
raise SystemExit(3)
"""
    victim = spec(tmp_path, "victim", Stage.API, code)
    other = obedient(tmp_path, "other", Stage.GATEWAY)
    async with supervised([victim, other]) as (supervisor, recorder, task):
        await until(lambda: supervisor.ready and is_up(victim))
        pid = other.pid
        flag.touch()
        await until(lambda: len(recorder.of("died")) >= 4)
        delays = [fields["restart_in_s"] for fields in recorder.of("died")]
        assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
        assert other.pid == pid
        assert not task.done()


async def test_a_process_that_cannot_start_fails_the_start_with_the_end_of_its_log(tmp_path):
    child = spec(tmp_path, "api", Stage.API, CRASHING)
    other = obedient(tmp_path, "gateway-0", Stage.GATEWAY)
    hold = spec(tmp_path, "slow", Stage.GATEWAY, STUBBORN)
    hold.ready_url = "http://127.0.0.1:9/readyz"  # never answers
    async with supervised([child, other, hold], stop_timeout_s=0.2) as (_, recorder, task):
        assert not await task
    failed = recorder.of("failed")[0]
    assert failed["process"] == "api"
    assert failed["tail"] == ["no such port"] * 3
    assert recorder.texts("failed") == ["api exited with code 3, 3 times"]


async def test_an_executable_that_does_not_exist_is_reported_not_raised(tmp_path):
    missing = ProcessChild(
        ProcessSpec(
            name="api",
            stage=Stage.API,
            argv=(str(tmp_path / "missing"),),
            environ={},
            log_path=tmp_path / "api.log",
        )
    )
    async with supervised([missing]) as (_, recorder, task):
        assert not await task
    assert "could not be started" in recorder.texts("died")[0]


async def test_a_process_that_ignores_the_request_is_killed_after_the_stage_s_time(tmp_path):
    children = [
        spec(tmp_path, "stubborn", Stage.GATEWAY, STUBBORN),
        obedient(tmp_path, "store", Stage.STORE),
    ]
    async with supervised(children, stop_timeout_s=0.3) as (supervisor, recorder, task):
        await until(lambda: all(is_up(child) for child in children))
        supervisor.request_stop()
        assert await task
    assert recorder.texts("killed") == ["stubborn did not stop, killed"]
    assert (tmp_path / "order").read_text().split() == ["store"]


async def test_a_second_signal_does_not_wait(tmp_path):
    children = [spec(tmp_path, "stubborn", Stage.GATEWAY, STUBBORN)]
    async with supervised(children, stop_timeout_s=3600) as (_, recorder, task):
        await until(lambda: is_up(children[0]))
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: recorder.of("stopping"))
        os.kill(os.getpid(), signal.SIGINT)
        assert await task
    assert recorder.of("hurry")


async def test_the_store_s_hook_runs_before_anything_else_starts(tmp_path):
    store = obedient(tmp_path, "store", Stage.STORE)
    gateway = obedient(tmp_path, "gateway-0", Stage.GATEWAY)
    seen = []

    async def hook() -> None:
        seen.append((store.pid is not None, gateway.pid))

    supervisor = Supervisor(
        [gateway, store],
        announce=Recorder(),
        changed=lambda: None,
        stop_timeout_s=20,
    )

    async def ready() -> None:
        supervisor.request_stop()

    assert await supervisor.run(store_up=hook, all_ready=ready)
    assert seen == [(True, None)]


async def test_an_error_in_a_hook_stops_everything_first(tmp_path):
    store = obedient(tmp_path, "store", Stage.STORE)

    async def refuse() -> None:
        await until(lambda: is_up(store))
        raise ValueError("volatile")

    supervisor = Supervisor([store], announce=Recorder(), changed=lambda: None, stop_timeout_s=20)
    with pytest.raises(ValueError, match="volatile"):
        await supervisor.run(store_up=refuse)
    assert store.pid is None
    assert (tmp_path / "order").read_text().split() == ["store"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: parent-death signals")
async def test_children_end_when_the_supervisor_is_killed(tmp_path):
    code = f"""
import asyncio, sys
from pathlib import Path
from controlplane.cli.supervisor import Supervisor
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.integration.cli.test_supervisor import OBEDIENT, obedient
from controlplane.cli.children import Stage
child = obedient(Path({str(tmp_path)!r}), "child", Stage.GATEWAY)
async def ready():
    print(child.pid, flush=True)
supervisor = Supervisor([child], announce=lambda *a, **k: None, changed=lambda: None,
                        stop_timeout_s=20)
asyncio.run(supervisor.run(all_ready=ready))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    child = psutil.Process(pid)
    process.kill()
    await process.wait()
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
