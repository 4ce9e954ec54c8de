"""The server dies, hangs, comes back, or comes back with less: what is seen, what is kept."""

import asyncio
import contextlib
import os
import shutil
import signal

import pytest

from controlplane.model.people import User
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Put, Store
from controlplane.store.errors import ConflictError, StoreUnavailableError
from controlplane.store.watch import Mirror
from tests.contract.test_watch import contents, copied
from tests.fakes.people import record_id, user
from tests.fakes.proxy import BreakingProxy
from tests.fakes.waiting import DEADLINE_S, until


@pytest.fixture
def own_settings(own_server):
    return StoreSettings(url=own_server.url)


@pytest.fixture
async def own_store(own_settings):
    async with await Store.connect(
        own_settings, client_name="own", call_timeout_s=DEADLINE_S
    ) as store:
        yield store


@pytest.fixture
async def proxy(own_server, tmp_path):
    async with BreakingProxy(own_server.socket_path, tmp_path / "proxy.sock") as proxy:
        yield proxy


@pytest.fixture
async def far_store(proxy):
    """A client whose connection the test can break."""
    async with await Store.connect(
        StoreSettings(url=proxy.url), client_name="far", call_timeout_s=DEADLINE_S
    ) as store:
        yield store


async def test_every_acknowledged_write_survives_a_killed_server(own_server, own_store):
    """Writers go on over the crash, and nothing that was acknowledged is missing or older."""
    acknowledged: dict[str, tuple[str, int]] = {}
    deaths = 3

    async def write(writer: int) -> None:
        for number in range(80):
            name = f"w{writer}-{number}"
            version = await own_store.put(user(writer * 10 + number % 10, name))
            acknowledged[record_id(writer * 10 + number % 10)] = (name, version)

    writers = [asyncio.create_task(write(writer)) for writer in range(6)]
    for death in range(1, deaths + 1):
        await until(lambda goal=death * 8: len(acknowledged) >= goal)
        own_server.kill()
        await own_server.start()
    await asyncio.gather(*writers)
    own_server.kill()
    await own_server.start()
    found = {i.record.id: (i.record.username, i.version) for i in await own_store.list(User)}
    assert found == acknowledged


async def test_a_commit_whose_reply_was_lost_is_repeated_but_happens_once(proxy, far_store):
    for number in range(5):
        before = await far_store.put(user(1), expected=None)
        proxy.swallow_replies()
        # Without its id the repetition would find the record there, and call it a conflict.
        version = await far_store.put(user(100 + number), expected=0)
        assert version == before + 1
    assert proxy.connections >= 6


async def test_a_journal_entry_whose_reply_was_lost_is_kept_once(proxy, far_store):
    await far_store.append("events:w", b"one", keep=10)
    proxy.swallow_replies()
    await far_store.append("events:w", b"two", keep=10)
    assert await far_store.read_journal("events:w") == ([b"two", b"one"], 2)


async def test_calls_go_on_over_broken_connections(proxy, far_store):
    done = 0

    async def write(writer: int) -> None:
        nonlocal done
        for number in range(40):
            await far_store.put(user(writer, f"n{number}"))
            done += 1
            if done % 40 == 0:
                proxy.cut()

    await asyncio.gather(*(write(writer) for writer in range(5)))
    assert proxy.connections >= 5
    found = await far_store.list(User)
    assert [item.record.username for item in found] == ["n39"] * 5


async def test_a_call_while_the_server_is_away_fails_in_time_and_names_it(own_server, own_settings):
    async with await Store.connect(own_settings, client_name="x", call_timeout_s=0.2) as store:
        own_server.kill()
        with pytest.raises(StoreUnavailableError, match=r"the store at unix://.* is away"):
            await store.put(user())
        assert not store.available
        await own_server.start()
        await until(lambda: store.available)
        await store.ping()


async def test_a_call_waits_for_a_server_that_comes_back_soon(own_server, own_store):
    own_server.kill()
    call = asyncio.create_task(own_store.put(user()))
    await asyncio.sleep(0.05)
    await own_server.start()
    assert await call > 0


async def test_a_server_that_hangs_is_an_error_in_time(own_server, own_settings):
    async with await Store.connect(own_settings, client_name="x", call_timeout_s=0.3) as store:
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailableError):
                await store.ping()
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(StoreUnavailableError):
                    await store.ping()
                    break


async def test_a_silent_network_is_left_for_a_new_connection(proxy):
    async with await Store.connect(
        StoreSettings(url=proxy.url), client_name="far", call_timeout_s=0.3
    ) as store:
        proxy.fall_silent()
        with pytest.raises(StoreUnavailableError):
            await store.ping()
        await until(lambda: proxy.connections > 1)
        proxy.speak_again()
        await until(lambda: store.available)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(StoreUnavailableError):
                    await store.ping()
                    break


async def test_closing_fails_the_calls_that_wait(own_server, own_settings):
    store = await Store.connect(own_settings, client_name="x", call_timeout_s=DEADLINE_S)
    own_server.kill()
    calls = [asyncio.create_task(store.put(user(number))) for number in range(5)]
    await asyncio.sleep(0.02)
    await store.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, StoreUnavailableError) for result in results)
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.ping()


async def test_connecting_waits_for_a_server_that_is_just_starting(own_server, own_settings):
    await own_server.stop()
    connecting = asyncio.create_task(Store.connect(own_settings, client_name="early"))
    await asyncio.sleep(0.05)
    await own_server.start()
    await (await connecting).close()


async def test_connecting_to_nothing_fails_in_time(tmp_path):
    with pytest.raises(StoreUnavailableError, match="No such file"):
        await Store.connect(
            StoreSettings(url=f"unix://{tmp_path}/no.sock"),
            client_name="x",
            connect_timeout_s=0.1,
        )


async def test_a_mirror_keeps_its_copy_and_catches_up(own_server, own_settings, own_store):
    async with await Store.connect(own_settings, client_name="m", call_timeout_s=0.2) as client:
        mirror = Mirror(client, [User], poll_s=0.05)
        await mirror.start()
        await mirror.reached(await own_store.put(user(1)))
        own_server.kill()
        await until(lambda: not mirror.healthy)
        assert copied(mirror).keys() == {record_id(1)}
        await own_server.start()
        revision = await own_store.put(user(2))
        await mirror.reached(revision, timeout_s=DEADLINE_S)
        assert mirror.healthy
        assert copied(mirror) == await contents(own_store)
        await mirror.stop()


async def test_a_mirror_reads_nothing_again_after_a_restart_that_lost_nothing(
    own_server, own_store
):
    mirror = Mirror(own_store, [User])
    await own_store.commit([Put(user(number)) for number in range(50)])
    await mirror.start()
    own_server.kill()
    await own_server.start()
    await own_store.ping()
    await own_store.put(user(99))
    delta = await mirror._follower.read()
    assert not delta.reset
    assert len(delta.found) <= 1
    await mirror.stop()


async def test_a_mirror_needs_the_store_to_start(own_server, own_settings):
    async with await Store.connect(own_settings, client_name="m", call_timeout_s=0.1) as client:
        own_server.kill()
        mirror = Mirror(client, [User])
        with pytest.raises(StoreUnavailableError):
            await mirror.start()
        assert client.link._handlers == {}


async def test_i2_a_server_that_lost_its_last_writes_takes_the_mirrors_back(own_server, own_store):
    """As after a crash of an external server that syncs once a second, or a failover."""
    backup = own_server.directory.with_name("backup")
    await own_store.commit([Put(user(1, "old")), Put(user(2, "old"))])
    await own_server.stop()
    shutil.copytree(own_server.directory, backup)
    await own_server.start()
    mirror = Mirror(own_store, [User])
    await mirror.start()
    lost = [await own_store.put(user(number, "lost")) for number in (1, 3, 4)]
    await mirror.reached(lost[-1])

    await own_server.stop()
    shutil.rmtree(own_server.directory)
    shutil.move(backup, own_server.directory)
    await own_server.start()

    await until(lambda: copied(mirror).keys() == {record_id(1), record_id(2)})
    assert copied(mirror) == await contents(own_store)
    # Versions of the lost writes never return, so nobody can write over what they did not see.
    again = await own_store.put(user(3, "new"), expected=0)
    assert again > lost[-1]
    with pytest.raises(ConflictError):
        await own_store.put(user(3, "late"), expected=lost[1])
    await mirror.reached(again)
    assert copied(mirror) == await contents(own_store)
    await mirror.stop()


async def test_i2_a_server_that_was_replaced_takes_the_mirrors_with_it(own_server, own_store):
    mirror = Mirror(own_store, [User])
    await mirror.start()
    await mirror.reached(await own_store.put(user(1)))
    await own_server.stop()
    shutil.rmtree(own_server.directory)
    await own_server.start()
    await until(lambda: not mirror.all(User))
    await mirror.reached(await own_store.put(user(2)), timeout_s=DEADLINE_S)
    assert copied(mirror) == await contents(own_store)
    await mirror.stop()


async def test_hours_are_sent_again_to_a_server_that_lost_them(own_server, own_store):
    minute = 1_000_000
    load = ProtonLoad(workload_id="w", starts_by_minute={minute: 3})
    report = LoadReport(worker_id="a", sent_at=0, clock_s=0, revision=0, protons={"p": load})
    await own_store.publish_report(report, ttl_s=60)
    await own_server.stop()
    shutil.rmtree(own_server.directory)
    await own_server.start()
    await own_store.ping()
    await own_store.publish_report(report, ttl_s=60)
    assert await own_store.hourly_starts("p", now_s=minute * 60) == 3


async def test_reports_are_not_on_disk_but_hours_are(own_server, own_store):
    minute = 1_000_000
    load = ProtonLoad(workload_id="w", starts_by_minute={minute: 3})
    report = LoadReport(worker_id="a", sent_at=0, clock_s=0, revision=0, protons={"p": load})
    await own_store.publish_report(report, ttl_s=60)
    await own_store.wake("p")
    own_server.kill()
    await own_server.start()
    assert await own_store.collect_reports() == []
    assert await own_store.link.call("EXISTS", own_store.keys["wakes"]) == 0
    assert await own_store.hourly_starts("p", now_s=minute * 60) == 3


async def test_a_listener_hears_after_a_reconnect_what_was_said_meanwhile(
    proxy, far_store, own_store
):
    wakes = far_store.wakes()
    await own_store.wake("before")
    async with asyncio.timeout(DEADLINE_S):
        assert await anext(wakes) == "before"
        far_store.link._handlers.pop(far_store.keys["wake"])  # deaf, as without a connection
        await own_store.wake("meanwhile")
        proxy.cut()
        heard = set()
        while "meanwhile" not in heard:
            heard.add(await anext(wakes))
    await wakes.aclose()


async def test_subscriptions_are_back_before_calls_are(proxy, far_store, own_store):
    heard = []
    await far_store.link.subscribe("{test}:news", heard.append)
    for number in range(1, 4):
        proxy.cut()
        await far_store.ping()
        await own_store.link.call("PUBLISH", "{test}:news", f"n{number}")
        await until(lambda goal=number: len(heard) == goal)
    assert heard == [b"n1", b"n2", b"n3"]


async def test_a_lease_survives_the_server(own_server, own_store):
    lease = await own_store.acquire("autoscaler", "a", ttl_s=600)
    own_server.kill()
    await own_server.start()
    assert await own_store.acquire("autoscaler", "b", ttl_s=600) is None
    assert await own_store.put(user(), fence=lease) > 0
