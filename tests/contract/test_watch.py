"""Mirrors: every process's own copy ends up as the store is, and never shows half a commit."""

import asyncio

import pytest

from controlplane.model.people import Token, User
from controlplane.store.changes import Delta
from controlplane.store.client import Delete, Put, Store
from controlplane.store.errors import StoreUnavailableError
from controlplane.store.watch import Change, Mirror
from tests.contract.test_records import token
from tests.fakes.people import record_id, user
from tests.fakes.waiting import until

NEVER_S = 3600.0
"""A poll interval that no test waits for."""


async def contents(store: Store) -> dict[str, tuple[User, int]]:
    return {item.record.id: (item.record, item.version) for item in await store.list(User)}


def copied(mirror: Mirror) -> dict[str, tuple[User, int]]:
    return {rid: (record, mirror.version(User, rid)) for rid, record in mirror.all(User).items()}


@pytest.fixture
async def mirror(second):
    """Another process's mirror of users and tokens."""
    mirror = Mirror(second, [User, Token])
    await mirror.start()
    yield mirror
    await mirror.stop()


async def test_a_mirror_starts_with_everything_there_is(store, second):
    for start in range(0, 1500, 500):
        await store.commit([Put(user(number)) for number in range(start, start + 500)])
    revision = await store.commit([Put(token(1)), Delete(User, record_id(3))])
    mirror = Mirror(second, [User, Token])
    await mirror.start()
    assert mirror.revision == revision
    assert mirror.healthy
    assert copied(mirror) == await contents(store)
    assert len(mirror.all(User)) == 1499
    assert mirror.get(Token, record_id(1)) == token(1)
    assert mirror.get(User, record_id(3)) is None
    assert mirror.version(User, record_id(3)) == 0
    await mirror.stop()


async def test_own_writes_are_read_after_their_revision_is_reached(store, mirror):
    for number in range(50):
        revision = await store.put(user(1, f"n{number}"))
        await mirror.reached(revision)
        found = mirror.get(User, record_id(1))
        assert found is not None
        assert found.username == f"n{number}"
        assert mirror.version(User, record_id(1)) == revision


async def test_a_hint_brings_changes_without_a_poll(store, second):
    mirror = Mirror(second, [User], poll_s=NEVER_S)
    await mirror.start()
    await store.put(user())
    await until(lambda: mirror.get(User, record_id(1)))
    await mirror.stop()


async def test_a_change_whose_hint_was_lost_is_found_by_the_poll(store, second):
    mirror = Mirror(second, [User], poll_s=0.05)
    await mirror.start()
    await second.link.unsubscribe(second.keys["changes"], mirror._hint)
    await store.put(user())
    await until(lambda: mirror.get(User, record_id(1)))
    await mirror.stop()


async def test_the_default_poll_is_below_a_second(second):
    assert Mirror(second, [User])._poll_s < 1


async def test_changes_of_other_kinds_move_the_revision_only(store, second):
    mirror = Mirror(second, [User])
    await mirror.start()
    heard: list[list[Change]] = []
    mirror.subscribe(heard.append)
    await mirror.reached(await store.put(token(1)))
    assert heard == []
    await mirror.stop()


async def test_i1_a_commit_is_seen_whole_or_not_at_all(store, second):
    """Two records that are always written together are always seen equal."""
    count = 60
    mirror = Mirror(second, [User, Token])
    await store.commit([Put(user(1, "0")), Put(user(2, "0")), Put(token(1))])
    await mirror.start()
    seen: set[str] = set()

    def check(_: list[Change]) -> None:
        first, other = mirror.get(User, record_id(1)), mirror.get(User, record_id(2))
        assert first is not None
        assert other is not None
        assert first.username == other.username
        seen.add(first.username)

    mirror.subscribe(check)

    async def write_pairs() -> int:
        revision = 0
        for number in range(1, count):
            revision = await store.commit(
                [Put(user(1, str(number))), Put(user(2, str(number)))]
                + [Put(user(1000 + number * 20 + extra)) for extra in range(20)]
            )
        return revision

    await mirror.reached(await write_pairs(), timeout_s=30)
    check([])
    assert str(count - 1) in seen
    await mirror.stop()


async def test_i1_a_mirror_that_starts_while_others_write_is_exact(store, second):
    stop = asyncio.Event()

    async def write() -> int:
        revision, number = 0, 0
        while not stop.is_set():
            number += 1
            writes = [Put(user(slot, f"n{number}")) for slot in range(number % 7, 400, 7)]
            gone = [Delete(User, record_id(slot)) for slot in range((number + 3) % 7, 400, 7)]
            revision = await store.commit([*writes, *gone])
        return revision

    writer = asyncio.create_task(write())
    for _ in range(5):
        mirror = Mirror(second, [User])
        await mirror.start()
        await asyncio.sleep(0.02)
        await mirror.stop()
    mirror = Mirror(second, [User])
    await mirror.start()
    stop.set()
    await mirror.reached(await writer, timeout_s=30)
    assert copied(mirror) == await contents(store)
    await mirror.stop()


async def test_i3_callbacks_hear_of_every_difference(store, second):
    mirror = Mirror(second, [User])
    shadow: dict[str, User] = {}

    def follow(changes: list[Change]) -> None:
        for change in changes:
            assert change.cls is User
            if change.record is None:
                del shadow[change.id]
            else:
                assert isinstance(change.record, User)
                shadow[change.id] = change.record

    mirror.subscribe(follow)
    await store.put(user(1))
    await mirror.start()
    assert shadow == {record_id(1): user(1)}
    await store.put(user(2))
    await store.put(user(1, "bob"))
    await mirror.reached(await store.delete(User, record_id(2)))
    assert shadow == dict(mirror.all(User)) == {record_id(1): user(1, "bob")}
    await mirror.stop()


async def test_a_callback_that_fails_stops_neither_the_others_nor_the_mirror(store, mirror, caplog):
    heard: list[list[Change]] = []

    def fail(_: list[Change]) -> None:
        raise ValueError("a bug")

    mirror.subscribe(fail)
    mirror.subscribe(heard.append)
    await mirror.reached(await store.put(user(1)))
    await mirror.reached(await store.put(user(2)))
    assert len(heard) == 2
    assert "a callback of the mirror failed" in caplog.text


async def test_a_mirror_outlives_an_unforeseen_failure(store, second, caplog):
    mirror = Mirror(second, [User], poll_s=0.01)
    await mirror.start()
    read = mirror._follower.read

    async def fail() -> Delta:
        mirror._follower.read = read
        raise ValueError("a bug")

    mirror._follower.read = fail
    await until(lambda: "unforeseen" in caplog.text)
    await mirror.reached(await store.put(user()))
    assert mirror.healthy
    await mirror.stop()


async def test_two_mirrors_converge_under_concurrent_writers(store, second):
    first, other = Mirror(store, [User]), Mirror(second, [User])
    await first.start()
    await other.start()

    async def write(client: Store, offset: int) -> int:
        revision = 0
        for number in range(150):
            slot = (number * 7 + offset) % 40
            if number % 3 == 2:
                revision = await client.delete(User, record_id(slot))
            else:
                revision = await client.put(user(slot, f"w{offset}-{number}"))
        return revision

    revisions = await asyncio.gather(
        *(write(client, offset) for offset, client in enumerate([store, second] * 3))
    )
    for mirror in (first, other):
        await mirror.reached(max(revisions), timeout_s=30)
    assert copied(first) == copied(other) == await contents(store)
    await first.stop()
    await other.stop()


async def test_a_revision_that_never_comes_is_an_error_in_time(mirror):
    with pytest.raises(StoreUnavailableError, match="did not come in time"):
        await mirror.reached(10**9, timeout_s=0.01)


async def test_a_stopped_mirror_keeps_what_it_had_and_hears_nothing_more(store, second):
    mirror = Mirror(second, [User])
    await mirror.start()
    await mirror.reached(await store.put(user(1)))
    await mirror.stop()
    await store.put(user(2))
    await second.ping()
    assert set(mirror.all(User)) == {record_id(1)}
    assert not mirror.healthy
    assert second.link._handlers == {}


async def test_the_live_view_cannot_be_written(mirror):
    with pytest.raises(TypeError):
        mirror.all(User)["x"] = user()


async def test_i2_a_mirror_of_an_emptied_store_is_empty(store, mirror):
    for number in range(20):
        revision = await store.put(user(number))
    await mirror.reached(revision)
    await store.link.call("FLUSHALL")
    await until(lambda: not mirror.all(User))
    # A new history begins at revision 1 again.
    await mirror.reached(await store.put(user(99)))
    assert copied(mirror) == await contents(store)


async def test_i2_a_new_history_that_is_longer_already_is_noticed(store, second):
    mirror = Mirror(second, [User], poll_s=0.05)
    await mirror.start()
    for number in range(5):
        revision = await store.put(user(number))
    await mirror.reached(revision)
    await store.link.call("FLUSHALL")
    for number in range(100, 120):
        revision = await store.put(user(number))
    await until(lambda: copied(mirror).keys() == {record_id(n) for n in range(100, 120)})
    assert copied(mirror) == await contents(store)
    await mirror.stop()


async def test_i2_a_reader_further_behind_than_deletes_are_remembered_reads_all_again(
    store, second
):
    mirror = Mirror(second, [User], poll_s=NEVER_S)
    await store.commit([Put(user(number)) for number in range(900)])
    await mirror.start()
    await second.link.unsubscribe(second.keys["changes"], mirror._hint)
    for round_number in range(1, 13):
        numbers = range(round_number * 1000, round_number * 1000 + 900)
        await store.commit([Put(user(number)) for number in numbers])
        revision = await store.commit([Delete(User, record_id(number)) for number in numbers])
    await store.commit([Delete(User, record_id(number)) for number in range(450)])
    revision = await store.put(user(5, "back"))
    await mirror.reached(revision, timeout_s=30)
    assert copied(mirror) == await contents(store)
    assert len(copied(mirror)) == 451
    assert await store.link.call("ZCARD", store.keys["gone:user"]) == 10_000 - 1
    await mirror.stop()
