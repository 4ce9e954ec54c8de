"""Journals: newest first, capped, whole."""

import asyncio

from tests.fakes.people import user


async def test_entries_come_newest_first_with_their_total(store):
    for number in range(5):
        await store.append("events:w", b"e%d" % number, keep=10)
    assert await store.read_journal("events:w") == ([b"e4", b"e3", b"e2", b"e1", b"e0"], 5)
    assert await store.read_journal("events:w", offset=1, limit=2) == ([b"e3", b"e2"], 5)
    assert await store.read_journal("events:w", offset=5) == ([], 5)
    assert await store.read_journal("events:w", limit=0) == ([], 5)


async def test_the_oldest_go_beyond_what_is_kept(store):
    for number in range(7):
        await store.append("events:w", b"e%d" % number, keep=3)
    assert await store.read_journal("events:w") == ([b"e6", b"e5", b"e4"], 3)


async def test_a_journal_that_does_not_exist_is_empty(store):
    assert await store.read_journal("events:w") == ([], 0)


async def test_entries_are_bytes_of_any_kind(store):
    entry = bytes(range(256)) * 4
    await store.append("events:w", entry, keep=1)
    assert await store.read_journal("events:w") == ([entry], 1)


async def test_concurrent_appends_are_all_kept(store, second):
    await asyncio.gather(
        *((store, second)[n % 2].append("events:w", b"%d" % n, keep=100) for n in range(60))
    )
    entries, total = await store.read_journal("events:w")
    assert total == 60
    assert {int(entry) for entry in entries} == set(range(60))


async def test_a_dropped_journal_is_gone(store):
    await store.append("events:w", b"x", keep=1)
    await store.drop_journal("events:w")
    assert await store.read_journal("events:w") == ([], 0)


async def test_a_journal_that_nobody_writes_to_expires_in_the_end(store):
    await store.append("events:w", b"x", keep=1)
    ttl_s = await store.link.call("TTL", store.keys["journal:events:w"])
    assert 89 * 86_400 < ttl_s <= 90 * 86_400


async def test_an_entry_alone_changes_no_revision_and_wakes_no_mirror(store):
    revision = await store.put(user(1))
    await store.append("events:w", b"x", keep=1)
    assert await store.put(user(2)) == revision + 1
