"""Somebody else's server: what it must keep, whom it lets in, what happens when it is full."""

import asyncio
import re
import resource
import subprocess
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import store as store_package
from controlplane.model.people import User
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Put, Store
from controlplane.store.errors import (
    StoreFullError,
    StoreSettingsError,
    StoreUnavailableError,
    VolatileStoreError,
)
from controlplane.store.watch import Mirror
from tests.fakes.people import record_id, user
from tests.fakes.redis_server import ExternalServer, free_port
from tests.fakes.tools import require_tool
from tests.fakes.waiting import DEADLINE_S

DURABLE = ("--appendonly", "yes", "--save", "")


async def connect(url: str, **settings) -> Store:
    return await Store.connect(StoreSettings(url=url, **settings), client_name="external")


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        pytest.param(("--appendonly", "no", "--save", ""), False, id="nothing"),
        pytest.param(("--appendonly", "yes", "--save", ""), True, id="log"),
        pytest.param(("--appendonly", "no", "--save", "60 1"), True, id="snapshots"),
    ],
)
async def test_a_server_that_keeps_nothing_is_refused_unless_allowed(
    tmp_path, server_binary, options, kept
):
    async with ExternalServer(tmp_path, *options, binary=server_binary) as server:
        if not kept:
            with pytest.raises(VolatileStoreError, match=r"turn on `appendonly yes`.*allow_vol"):
                await connect(server.url())
        async with await connect(server.url(), allow_volatile=not kept) as store:
            await store.put(user())


async def test_a_server_that_does_not_say_what_it_keeps_is_refused_unless_allowed(
    tmp_path, server_binary
):
    rights = ("--user", *["us", "on", ">pw", "~*", "&*", "+@all", "-config"])
    async with ExternalServer(tmp_path, *DURABLE, *rights, binary=server_binary) as server:
        with pytest.raises(VolatileStoreError, match=r"allow CONFIG\|GET to this user"):
            await connect(server.url("us:pw@"))
        async with await connect(server.url("us:pw@"), allow_volatile=True) as store:
            await store.put(user())


@pytest.mark.parametrize(
    ("account", "welcome"),
    [
        pytest.param(":secret@", True, id="password"),
        pytest.param("us:other@", True, id="user-and-password"),
        pytest.param("", False, id="nothing"),
        pytest.param(":wrong@", False, id="wrong-password"),
        pytest.param("nobody:secret@", False, id="unknown-user"),
    ],
)
async def test_passwords_are_used_and_a_refusal_is_final(tmp_path, server_binary, account, welcome):
    options = (
        *DURABLE,
        "--requirepass",
        "secret",
        "--user",
        *["us", "on", ">other", "~*", "&*", "+@all"],
    )
    async with ExternalServer(tmp_path, *options, binary=server_binary) as server:
        if welcome:
            async with await connect(server.url(account)) as store:
                await store.ping()
        else:
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(StoreSettingsError, match=r"redis://127.*user and password"):
                    await connect(server.url(account))


async def test_missing_rights_on_channels_are_an_error_and_mix_no_replies(tmp_path, server_binary):
    rights = ("--user", *["us", "on", ">pw", "~*", "resetchannels", "+@all"])
    async with (
        ExternalServer(tmp_path, *DURABLE, *rights, binary=server_binary) as server,
        await connect(server.url("us:pw@")) as store,
    ):
        mirror = Mirror(store, [User])
        starting = asyncio.create_task(mirror.start())
        pings = [asyncio.create_task(store.link.call("ECHO", n)) for n in range(20)]
        assert await asyncio.gather(*pings) == [b"%d" % n for n in range(20)]
        with pytest.raises(StoreSettingsError, match="NOPERM"):
            await starting


async def test_the_rights_that_the_readme_names_are_enough(tmp_path, server_binary):
    readme = Path(store_package.__file__).with_name("README.md").read_text()
    named = re.findall(r"`([~&+][^`]+)`", readme.partition("What the server must allow")[2])
    rights = ("--user", "us", "on", ">pw", *" ".join(named).split())
    async with (
        ExternalServer(tmp_path, *DURABLE, *rights, binary=server_binary) as server,
        await connect(server.url("us:pw@")) as store,
        aclosing(store.wakes()) as wakes,
    ):
        mirror = Mirror(store, [User])
        await mirror.start()
        lease = await store.acquire("autoscaler", "a", ttl_s=60)
        await mirror.reached(await store.put(user(), fence=lease))
        await mirror.reached(await store.delete(User, record_id(1)))
        await store.append("j", b"x", keep=1)
        assert await store.read_journal("j") == ([b"x"], 1)
        await store.drop_journal("j")
        load = ProtonLoad(workload_id="w", starts_by_minute={7: 3, 8: 1})
        report = LoadReport(worker_id="w", sent_at=0, clock_s=0, revision=0, protons={"p": load})
        await store.publish_report(report, ttl_s=60)
        assert await store.collect_reports() == [report]
        assert await store.hourly_starts("p", now_s=67 * 60) == 1
        await store.wake("p")
        assert await anext(wakes) == "p"
        await store.release(lease)
        await store.ping()
        await mirror.stop()


async def test_databases_are_apart(tmp_path, server_binary):
    async with (
        ExternalServer(tmp_path, *DURABLE, binary=server_binary) as server,
        await connect(server.url(query="/0")) as first,
        await connect(server.url(query="/3")) as other,
    ):
        await first.put(user())
        assert await other.list(User) == []


async def test_a_server_that_is_no_store_is_an_error_that_says_so():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    web = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = web.sockets[0].getsockname()[1]
    async with web:
        with pytest.raises(StoreUnavailableError, match="does not speak its protocol"):
            await Store.connect(
                StoreSettings(url=f"redis://127.0.0.1:{port}"),
                client_name="x",
                connect_timeout_s=0.2,
            )


async def test_a_server_out_of_memory_refuses_writes_whole_and_still_reads(tmp_path, server_binary):
    async with (
        ExternalServer(tmp_path, *DURABLE, binary=server_binary) as server,
        await connect(server.url()) as store,
    ):
        await store.put(user(1))
        await store.link.call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreFullError, match="OOM"):
            await store.commit([Put(user(2)), Put(user(3))], journal=[("j", b"x", 1)])
        assert [item.record.id for item in await store.list(User)] == [record_id(1)]
        assert await store.read_journal("j") == ([], 0)
        await store.link.call("CONFIG", "SET", "maxmemory", "0")
        assert await store.put(user(2)) > 0


async def test_a_server_whose_disk_is_full_refuses_writes_whole_and_still_reads(
    tmp_path, server_binary
):
    """The kernel refuses to let the log grow beyond a limit, as a full disk does."""

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    options = (*DURABLE, "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
    async with (
        ExternalServer(tmp_path, *options, binary=server_binary, preexec_fn=limit_files) as server,
        await connect(server.url()) as store,
    ):
        written = 0

        async def fill() -> None:
            nonlocal written
            while True:
                await store.put(user(written + 1, "x" * 1000))
                written += 1

        with pytest.raises(StoreFullError, match="MISCONF"):
            await asyncio.wait_for(fill(), DEADLINE_S)
        with pytest.raises(StoreFullError):
            await store.commit([Put(user(900)), Put(user(901))])
        assert len(await store.list(User)) == written
        # A process that starts now can still read, and route.
        async with await connect(server.url()) as late:
            mirror = Mirror(late, [User])
            await mirror.start()
            assert len(mirror.all(User)) == written
            await mirror.stop()


async def test_the_node_of_a_cluster_that_has_the_keys_is_found(tmp_path, server_binary):
    buses = [str(free_port()), str(free_port())]
    options = (*DURABLE, "--cluster-enabled", "yes", "--cluster-port")
    async with (
        ExternalServer(tmp_path / "a", *options, buses[0], binary=server_binary) as a,
        ExternalServer(tmp_path / "b", *options, buses[1], binary=server_binary) as b,
    ):
        await _join(a, b, buses[1])
        async with await connect(a.url()) as one, await connect(b.url()) as other:
            revision = await one.put(user())
            assert await other.list(User) == await one.list(User)
            mirror = Mirror(other, [User])
            await mirror.start()
            assert mirror.revision == revision
            await mirror.reached(await one.put(user(2)))
            await mirror.stop()
            assert one.link.address.port == other.link.address.port


async def _join(a: ExternalServer, b: ExternalServer, bus_of_b: str) -> None:
    """Make a cluster of two nodes, each with half of the slots."""

    async def call(server: ExternalServer, *command: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write((" ".join(command) + "\r\n").encode())
        text = (await reader.read(4096)).decode()
        writer.close()
        await writer.wait_closed()
        return text

    assert "OK" in await call(a, "CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    assert "OK" in await call(b, "CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    assert "OK" in await call(b, "CLUSTER", "SET-CONFIG-EPOCH", "2")
    assert "OK" in await call(a, "CLUSTER", "MEET", "127.0.0.1", str(b.port), bus_of_b)
    for server in (a, b):
        async with asyncio.timeout(DEADLINE_S):
            while "cluster_state:ok" not in await call(server, "CLUSTER", "INFO"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_tls_is_spoken_and_the_certificate_is_checked(tmp_path):
    openssl = require_tool("openssl", "apt-get install openssl")
    redis = require_tool("redis-server", "apt-get install redis-server")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(  # noqa: ASYNC221 - takes milliseconds, before there is anything else
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    options = (
        *("--tls-port", "PORT", "--port", "0", "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
    )
    async with ExternalServer(tmp_path, *DURABLE, *options, binary=redis) as server:
        for query in (f"?ca={certificate}", "?verify=no"):
            async with await connect(server.url(scheme="rediss", query=query)) as store:
                await store.put(user())
        with pytest.raises(StoreUnavailableError, match="certificate"):
            await Store.connect(
                StoreSettings(url=server.url(scheme="rediss")),
                client_name="x",
                connect_timeout_s=0.3,
            )


async def test_a_store_without_a_url_says_how_to_get_one():
    with pytest.raises(StoreSettingsError, match="tidegate up"):
        await Store.connect(StoreSettings(), client_name="x")


async def test_the_reserve_on_the_disk_refuses_records_and_lets_the_rest_through(
    server, settings, tmp_path
):
    full = replace(settings, min_free_bytes=2**62)
    async with await Store.connect(full, client_name="x", data_dir=tmp_path) as store:
        with pytest.raises(StoreFullError, match="in reserve"):
            await store.put(user())
        with pytest.raises(StoreFullError):
            await store.append("j", b"x", keep=1)
        load = ProtonLoad(workload_id="w", starts_by_minute={7: 3})
        report = LoadReport(worker_id="w", sent_at=0, clock_s=0, revision=0, protons={"p": load})
        await store.publish_report(report, ttl_s=60)
        assert await store.collect_reports() == [report]
        assert await store.hourly_starts("p", now_s=7 * 60) == 0
        store._guard._min_free_bytes = 1  # somebody made room
        await store.publish_report(report, ttl_s=60)
        assert await store.hourly_starts("p", now_s=7 * 60) == 3
        assert await store.acquire("autoscaler", "a", ttl_s=60) is not None
