"""Replacing processes that share sockets, with real, tiny ones."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controlplane.cli.children import ProcessChild, ProcessSpec, Stage
from controlplane.cli.slots import Slot
from controlplane.cli.supervisor import Rolls, Supervisor
from controlplane.listening import listen_tcp
from tests.integration.cli.test_supervisor import Recorder, obedient, until

# Answers every connection with its process id. `argv[1]` is a directory whose files tell it what
# to do: `broken` (or that with its name, `argv[2]`) and it fails its start, `never` and it is never
# ready, `stay` and it stays on after it has been told to end, accepting nothing.
WORKER = """
import os, select, signal, socket, sys, time
told = lambda name: os.path.exists(os.path.join(sys.argv[1], name))
if told("broken") or told("broken-" + sys.argv[2]):
    raise SystemExit("no such port")
fds = dict(part.split("=") for part in os.environ["TIDEGATE_GATEWAY_LISTEN_FDS"].split())
sock, ready = socket.socket(fileno=int(fds["http"])), int(fds["ready"])
wake, waker = os.pipe()
leave = lambda *_: os.write(waker, b"!")
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGUSR1, leave)
while told("never"):
    time.sleep(0.01)
os.write(ready, b"\\n")
while wake not in select.select([sock, wake], [], [])[0]:
    try:
        connection, _ = sock.accept()
    except BlockingIOError:
        continue
    connection.sendall(str(os.getpid()).encode())
    connection.close()
sock.close()
os.close(ready)
while told("stay"):
    time.sleep(0.01)
"""


class Slots:
    """Two slots with a socket each, both on one port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        first = listen_tcp("127.0.0.1", 0, shared=True)
        self.port = int(first.getsockname()[1])
        second = listen_tcp("127.0.0.1", self.port, shared=True)
        self.slots = [Slot({"http": first}), Slot({"http": second})]
        self.children = [self._child(f"gateway-{i}", slot) for i, slot in enumerate(self.slots)]

    def _child(self, name: str, slot: Slot) -> ProcessChild:
        return ProcessChild(
            ProcessSpec(
                name=name,
                stage=Stage.GATEWAY,
                argv=(sys.executable, "-S", "-c", WORKER, str(self.directory), name),
                environ=dict(os.environ),
                log_path=self.directory / "logs" / f"{name}.log",
                slot=slot,
            )
        )

    def tell(self, name: str) -> None:
        (self.directory / name).touch()

    def untell(self, name: str) -> None:
        (self.directory / name).unlink()

    def close(self) -> None:
        for slot in self.slots:
            slot.close()

    async def ask(self) -> int:
        """The process id of whoever serves a new connection."""
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                return int(await reader.read())
            finally:
                writer.close()


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    slots = Slots(tmp_path)
    yield slots
    slots.close()


@asynccontextmanager
async def running(
    slots: Slots, *others: ProcessChild, start_timeout_s: float = 30.0
) -> AsyncIterator[tuple[Supervisor, Recorder]]:
    recorder = Recorder()
    supervisor = Supervisor(
        [*others, *slots.children],
        announce=recorder,
        changed=lambda: None,
        stop_timeout_s=20.0,
        start_timeout_s=start_timeout_s,
        stopping=slots.close,
    )
    task = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: supervisor.ready or task.done())
        yield supervisor, recorder
    finally:
        for name in ("stay", "never"):
            (slots.directory / name).unlink(missing_ok=True)
        supervisor.request_stop()
        assert await task
    assert supervisor.processes == {}


def gateways(supervisor: Supervisor) -> dict[str, int]:
    return {name: pid for name, pid in supervisor.processes.items() if name.startswith("gateway")}


async def rolled(supervisor: Supervisor, count: int = 1) -> Rolls:
    await until(lambda: supervisor.rolls.ended >= count)
    return supervisor.rolls


async def test_every_worker_is_replaced_and_nobody_else(slots, tmp_path):
    store = obedient(tmp_path, "store", Stage.STORE)
    async with running(slots, store) as (supervisor, recorder):
        before, other = gateways(supervisor), store.pid
        supervisor.request_roll()
        assert (await rolled(supervisor)).error == ""
        await until(lambda: set(gateways(supervisor)) == set(before))
        after = gateways(supervisor)
        assert not set(before.values()) & set(after.values())
        assert store.pid == other
        assert [fields["process"] for fields in recorder.of("replaced")] == list(before)
        assert not recorder.of("died")
        assert {await slots.ask() for _ in range(40)} <= set(after.values())


async def test_old_workers_finish_beside_the_new_ones(slots):
    slots.tell("stay")
    async with running(slots) as (supervisor, _):
        before = gateways(supervisor)
        supervisor.request_roll()
        await rolled(supervisor)
        assert set(before.values()) < set(gateways(supervisor).values())
        for _ in range(500):  # the last one is told, and stops in its next turn
            answered = {await slots.ask() for _ in range(40)}
            if not answered & set(before.values()):
                break
        assert not answered & set(before.values())
        slots.untell("stay")
        await until(lambda: not set(before.values()) & set(gateways(supervisor).values()))


@pytest.mark.parametrize(
    ("fault", "told", "error"),
    [
        pytest.param("broken", "no such port", "exited with code 1", id="dies"),
        pytest.param("never", "", "was not ready after 1 s", id="never-ready"),
    ],
)
async def test_a_successor_that_fails_leaves_everything_as_it_is(slots, fault, told, error):
    async with running(slots, start_timeout_s=1.0) as (supervisor, recorder):
        before = gateways(supervisor)
        slots.tell(fault)
        supervisor.request_roll()
        rolls = await rolled(supervisor)
        assert rolls.error == f"gateway-0 stays as it is, its successor {error}"
        assert gateways(supervisor) == before
        assert told in "".join(recorder.of("roll_failed")[0]["tail"])
        assert {await slots.ask() for _ in range(20)} <= set(before.values())
        slots.untell(fault)
        supervisor.request_roll()
        assert (await rolled(supervisor, 2)).error == ""


async def test_connections_to_a_killed_worker_s_socket_wait_for_the_next_one(slots):
    async with running(slots) as (supervisor, recorder):
        pid = gateways(supervisor)["gateway-0"]
        os.kill(pid, signal.SIGSTOP)
        asked = [asyncio.create_task(slots.ask()) for _ in range(40)]
        await until(lambda: sum(task.done() for task in asked) >= 1)
        os.kill(pid, signal.SIGKILL)
        answers = set(await asyncio.gather(*asked))
        await until(lambda: recorder.of("restarted"))
        assert answers <= set(gateways(supervisor).values())


async def test_a_worker_that_does_not_come_up_again_gets_no_connections_meanwhile(slots):
    async with running(slots) as (supervisor, recorder):
        slots.tell("broken-gateway-0")
        os.kill(gateways(supervisor)["gateway-0"], signal.SIGKILL)
        await until(lambda: any(died["restart_in_s"] > 1 for died in recorder.of("died")))
        other = gateways(supervisor)["gateway-1"]
        assert {await slots.ask() for _ in range(40)} == {other}
        slots.untell("broken-gateway-0")
        await until(lambda: recorder.of("restarted")[-1:] and "gateway-0" in gateways(supervisor))
        seen: set[int] = set()
        while len(seen) < 2:
            seen |= {await slots.ask() for _ in range(10)}
        assert seen == set(gateways(supervisor).values())


async def test_a_worker_that_somebody_told_to_end_has_its_successor_at_once(slots):
    slots.tell("stay")
    async with running(slots) as (supervisor, recorder):
        pid = gateways(supervisor)["gateway-0"]
        os.kill(pid, signal.SIGTERM)
        await until(lambda: gateways(supervisor).get("gateway-0", pid) != pid)
        assert recorder.of("left")[0]["pid"] == pid
        assert pid in gateways(supervisor).values(), "it finishes what it has begun"
        assert pid not in {await slots.ask() for _ in range(40)}
        slots.untell("stay")
        await until(lambda: pid not in gateways(supervisor).values())
        assert not recorder.of("died")


async def test_who_asks_during_a_roll_gets_another_one(slots):
    async with running(slots) as (supervisor, _):
        slots.tell("never")
        supervisor.request_roll()
        await until(lambda: supervisor.rolls.begun == 1)
        supervisor.request_roll()
        supervisor.request_roll()
        slots.untell("never")
        assert (await rolled(supervisor, 2)).begun == 2


async def test_a_stop_during_a_roll_ends_old_and_new(slots):
    async with running(slots) as (supervisor, _):
        slots.tell("never")
        supervisor.request_roll()
        await until(lambda: supervisor.rolls.begun == 1)


async def test_a_stop_in_the_moment_of_a_replacement_waits_for_the_new_worker(slots):
    class Stopper(Recorder):
        def __call__(self, event: str, text: str, **fields: object) -> None:
            super().__call__(event, text, **fields)
            if event == "replaced":
                supervisor.request_stop()

    recorder = Stopper()
    supervisor = Supervisor(
        slots.children[:1],
        announce=recorder,
        changed=lambda: None,
        stop_timeout_s=20.0,
        stopping=slots.close,
    )
    task = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.ready)
    old = gateways(supervisor)["gateway-0"]
    slots.tell("stay")
    supervisor.request_roll()
    await until(lambda: recorder.of("stopping"))
    os.kill(old, signal.SIGKILL)
    await until(lambda: old not in gateways(supervisor).values())
    early, _ = await asyncio.wait({task}, timeout=0.5)  # the new one runs on
    slots.untell("stay")
    assert await task
    assert not early
    assert supervisor.processes == {}


async def test_the_sockets_are_let_go_before_the_workers_are_told_to_end(slots):
    """What comes from then on is refused, instead of waiting for nobody."""
    slots.tell("stay")
    async with running(slots) as (supervisor, recorder):
        supervisor.request_stop()
        await until(lambda: recorder.of("stopping"))

        async def refused() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", slots.port)
            except OSError:
                return True
            writer.transport.abort()
            return False

        async with asyncio.timeout(30):
            while not await refused():  # noqa: ASYNC110 - the kernel tells no event
                await asyncio.sleep(0.01)
        assert len(gateways(supervisor)) == 2, "they are still there"


@pytest.mark.parametrize(
    ("number", "terminal"),
    [(signal.SIGUSR1, False), (signal.SIGUSR1, True), (signal.SIGHUP, False)],
)
async def test_signals_roll(slots, monkeypatch, number, terminal):
    monkeypatch.setattr(os, "isatty", lambda _: terminal)
    async with running(slots) as (supervisor, _):
        os.kill(os.getpid(), number)
        assert (await rolled(supervisor)).error == ""


async def test_the_terminal_s_end_is_a_request_to_stop(slots, monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda _: True)
    async with running(slots) as (supervisor, recorder):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: recorder.of("stopping"))
        assert supervisor.rolls.begun == 0
