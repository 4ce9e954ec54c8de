"""Where a worker listens: TCP of both families, Unix sockets, and sockets that were handed over."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.listening import listen_tcp, listen_unix
from tests.integration.gateway.gateways import ChildGateway
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, answering
from tests.integration.gateway.waiting import until
from tests.integration.gateway.wire import DEADLINE_S, Wire


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory with a short path: a Unix socket's name has 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg-") as name:
        yield Path(name)


async def unix_client(rig: Rig, path: Path) -> Wire:
    return rig.own(Wire(*await asyncio.open_unix_connection(str(path))))


# ---- Unix sockets


async def test_requests_over_a_unix_socket_are_answered_and_say_where_they_came_from(
    rig: Rig, short_dir: Path
) -> None:
    path = short_dir / "gateway.sock"
    await rig.start(unix_path=str(path))
    replica = await rig.replica()
    client = await unix_client(rig, path)
    client.send(request())
    wire = await replica.accepted()
    heard = await wire.request()
    assert heard.get("x-forwarded-for") == "unix"
    assert heard.get("forwarded") == "for=_unix;proto=http"
    wire.send(OK)
    assert (await client.answer()).body == b"ok"


async def test_a_unix_client_with_a_name_of_its_own_is_shown_no_differently(
    rig: Rig, short_dir: Path
) -> None:
    path = short_dir / "gateway.sock"
    await rig.start(unix_path=str(path))
    replica = await rig.replica()
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(short_dir / "client.sock"))
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, str(path))
    client = rig.own(Wire(*await asyncio.open_unix_connection(sock=sock)))
    client.send(request())
    assert (await (await replica.accepted()).request()).get("x-forwarded-for") == "unix"


@pytest.mark.parametrize("mode", ["0660", "0600", "777"])
async def test_a_unix_socket_has_the_mode_that_was_set(
    rig: Rig, short_dir: Path, mode: str
) -> None:
    path = short_dir / "gateway.sock"
    await rig.start(unix_path=str(path), unix_mode=mode)
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)


async def test_only_the_unix_socket_when_plain_is_off(rig: Rig, short_dir: Path) -> None:
    path = short_dir / "gateway.sock"
    gateway = await rig.start(unix_path=str(path), plain=False)
    await rig.replica(answering(OK))
    assert gateway.port == 0
    client = await unix_client(rig, path)
    client.send(request())
    assert (await client.answer()).body == b"ok"
    await gateway.stop()
    assert not path.exists()


async def test_a_socket_that_a_killed_worker_left_is_replaced(rig: Rig, short_dir: Path) -> None:
    path = short_dir / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    await rig.start(unix_path=str(path))
    await rig.replica(answering(OK))
    client = await unix_client(rig, path)
    client.send(request())
    assert (await client.answer()).body == b"ok"


async def test_a_socket_on_which_somebody_listens_is_left_alone(rig: Rig, short_dir: Path) -> None:
    path = short_dir / "gateway.sock"
    with listen_unix(str(path), 0o600) as other:
        with pytest.raises(OSError, match="somebody listens there"):
            await rig.start(unix_path=str(path))
        await unix_client(rig, path)
        other.accept()[0].close()


async def test_a_file_that_is_no_socket_is_left_alone(rig: Rig, short_dir: Path) -> None:
    path = short_dir / "notes.txt"
    path.write_text("mine")
    with pytest.raises(OSError, match="not a socket"):
        await rig.start(unix_path=str(path))
    assert path.read_text() == "mine"


# ---- TCP


@pytest.mark.parametrize(
    ("host", "reach", "seen", "forwarded"),
    [
        pytest.param("::1", "::1", "::1", 'for="[::1]";proto=http', id="ipv6"),
        pytest.param("::", "::1", "::1", 'for="[::1]";proto=http', id="dual-stack-over-ipv6"),
        pytest.param(
            "::", "127.0.0.1", "127.0.0.1", "for=127.0.0.1;proto=http", id="dual-stack-over-ipv4"
        ),
        pytest.param(
            "0.0.0.0", "127.0.0.1", "127.0.0.1", "for=127.0.0.1;proto=http", id="all-ipv4"
        ),
    ],
)
async def test_clients_of_both_families_are_known_by_their_address(
    rig: Rig, host: str, reach: str, seen: str, forwarded: str
) -> None:
    gateway = await rig.start(host=host)
    replica = await rig.replica()
    client = rig.own(Wire(*await asyncio.open_connection(reach, gateway.port)))
    client.send(request())
    wire = await replica.accepted()
    heard = await wire.request()
    assert heard.get("x-forwarded-for") == seen
    assert heard.get("forwarded") == forwarded
    wire.send(OK)
    assert (await client.answer()).body == b"ok"


# ---- handed over


class Slot:
    """What a supervisor holds for one worker: the sockets, whoever accepts from them."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.http = listen_tcp("127.0.0.1", 0, shared=True)
        self.admin = listen_tcp("127.0.0.1", 0, shared=False)
        self.port = int(self.http.getsockname()[1])
        self._rig = rig
        self._directory = directory
        self._workers: list[HandedOver] = []

    async def worker(self) -> "HandedOver":
        """A worker that has begun to accept."""
        directory = self._directory / str(len(self._workers))
        directory.mkdir()
        worker = HandedOver(self._rig, directory, http=self.http, admin=self.admin)
        self._workers.append(worker)
        await until(lambda: worker.said("listening") or worker.process.poll() is not None)
        assert worker.said("listening"), worker.errors.read_text()
        return worker

    async def client(self) -> Wire:
        return self._rig.own(Wire(*await asyncio.open_connection("127.0.0.1", self.port)))

    def close(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()
            os.close(worker.ready)
        self.http.close()
        self.admin.close()


class HandedOver(ChildGateway):
    """`python -m gateway` with sockets and a pipe of ours."""

    def __init__(
        self, rig: Rig, directory: Path, *, http: socket.socket, admin: socket.socket
    ) -> None:
        self.ready, ready = os.pipe()
        fds = {"http": http.fileno(), "admin": admin.fileno(), "ready": ready}
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
        environ |= {
            "TIDEGATE_STORE_URL": rig.store_url,
            "TIDEGATE_LOG_FORMAT": "json",
            "TIDEGATE_GATEWAY_LISTEN_FDS": " ".join(f"{name}={fd}" for name, fd in fds.items()),
        }
        self.errors = directory / "stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environ,
                pass_fds=list(fds.values()),
            )
        os.close(ready)

    async def pipe(self) -> bytes:
        """What comes out of the pipe next; empty: its writing end is closed."""
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.to_thread(os.read, self.ready, 1)


@pytest.fixture
async def slot(rig: Rig, tmp_path: Path) -> AsyncIterator[Slot]:
    await rig.start()  # writes the world; nobody connects to it
    slot = Slot(rig, tmp_path)
    yield slot
    slot.close()


@uvloop_only
async def test_connections_that_a_killed_worker_had_not_accepted_are_the_next_one_s(
    rig: Rig, slot: Slot
) -> None:
    await rig.replica(answering(OK))
    first = await slot.worker()
    first.process.send_signal(signal.SIGSTOP)
    clients = [await slot.client() for _ in range(50)]
    for client in clients:
        client.send(request())
    first.process.kill()
    await first.exit_code()
    await slot.worker()
    for client in clients:
        assert (await client.answer()).body == b"ok"


@uvloop_only
async def test_a_worker_says_when_it_serves_and_when_it_accepts_no_more(
    rig: Rig, slot: Slot
) -> None:
    replica = await rig.replica()
    worker = await slot.worker()
    assert await worker.pipe() == b"\n"
    client = await slot.client()
    client.send(request())
    await (await replica.accepted()).request()
    worker.process.terminate()
    assert await worker.pipe() == b""
    assert worker.process.poll() is None, "a request is still open"
    client.reset()
    assert await worker.exit_code() == 0


@uvloop_only
async def test_a_replaced_worker_leaves_everything_new_to_its_successor(
    rig: Rig, slot: Slot
) -> None:
    replica = await rig.replica()
    old = await slot.worker()
    held = await slot.client()
    held.send(request("GET", "/old"))
    wire = await replica.accepted()
    await wire.request()
    new = await slot.worker()
    old.process.send_signal(signal.SIGUSR1)
    assert await old.pipe() == b"\n"
    assert await old.pipe() == b""

    fresh = [await slot.client() for _ in range(20)]
    for client in fresh:
        client.send(request("GET", "/new"))
        later = await replica.accepted()
        await later.request()
        later.send(OK)
        answer = await client.answer()
        assert answer.body == b"ok"
        assert answer.get("connection") is None, "the successor keeps it"
        later.close()
    new.admin_port = int(slot.admin.getsockname()[1])
    for _ in range(20):
        assert (await new.admin("/readyz"))[0] == 200, "the old one would say that it leaves"
    wire.send(OK)
    answer = await held.answer()
    assert answer.body == b"ok"
    assert answer.get("connection") == "close"
    assert await old.exit_code() == 0
    assert new.process.poll() is None


@uvloop_only
async def test_a_client_that_pauses_gets_one_more_answer_from_a_replaced_worker(
    rig: Rig, slot: Slot
) -> None:
    await rig.replica(answering(OK))
    old = await slot.worker()
    client = await slot.client()
    client.send(request())
    assert (await client.answer()).get("connection") is None
    await slot.worker()
    old.process.send_signal(signal.SIGUSR1)
    await until(lambda: old.said("draining"))
    await asyncio.sleep(0.3)  # longer than the notice of a worker without successor
    client.send(request())
    answer = await client.answer()
    assert answer.body == b"ok"
    assert answer.get("connection") == "close"
    assert await client.ended() == "eof"
    assert await old.exit_code() == 0, "nobody is left, so nothing is waited for"


@uvloop_only
async def test_a_replaced_worker_holds_requests_for_a_replica_that_is_to_come(
    rig: Rig, slot: Slot
) -> None:
    old = await slot.worker()
    client = await slot.client()
    client.send(request(workload="65f00000000000000000f999"))
    assert (await client.answer()).status == 404
    await slot.worker()
    old.process.send_signal(signal.SIGUSR1)
    await until(lambda: old.said("draining"))
    client.send(request())
    await rig.counted(queued=1)
    await rig.replica(answering(OK))
    assert (await client.answer()).body == b"ok"
    assert await old.exit_code() == 0


@uvloop_only
async def test_the_end_of_everything_cuts_the_notice_short(rig: Rig, slot: Slot) -> None:
    await rig.replica(answering(OK))
    old = await slot.worker()
    client = await slot.client()
    client.send(request())
    await client.answer()
    old.process.send_signal(signal.SIGUSR1)
    await until(lambda: old.said("draining"))
    old.process.terminate()
    assert await client.ended() == "eof"
    assert await old.exit_code() == 0


@uvloop_only
async def test_a_descriptor_that_is_none_is_told_and_exits_1(rig: Rig) -> None:
    with pytest.raises(AssertionError, match="cannot listen"):
        await rig.start_child(listen_fds="http=77")
