"""Records: what is written is read, versions guard it, and commits are whole."""

import asyncio
from dataclasses import replace

import pytest

from controlplane.model.people import Token, User
from controlplane.store.client import Delete, Put, Store, Versioned
from controlplane.store.errors import ConflictError, FencedError
from controlplane.store.leases import Lease
from tests.fakes.people import record_id, user


def token(number: int = 1) -> Token:
    return Token(
        id=record_id(number), name="t", digest="d", prefix="p", user_id="u", created_at=0.0
    )


async def test_what_was_never_written_is_not_there(store):
    assert await store.get(User, record_id(1)) is None
    assert await store.list(User) == []


async def test_a_record_comes_back_as_it_was_written_with_its_version(store):
    written = user(name="Zoë 中 \r\n '\"")
    version = await store.put(written)
    assert await store.get(User, written.id) == Versioned(written, version)


async def test_a_large_record_comes_back_whole(store):
    written = user(name="x" * 3_000_000)
    await store.put(written)
    found = await store.get(User, written.id)
    assert found is not None
    assert found.record == written


async def test_every_client_sees_it(store, second):
    version = await store.put(user())
    assert await second.get(User, record_id(1)) == Versioned(user(), version)


async def test_versions_only_grow_over_all_kinds(store):
    versions = [
        await store.put(user(1)),
        await store.put(token(1)),
        await store.put(user(1, "bob")),
        await store.delete(User, record_id(1)),
        await store.put(user(1)),
    ]
    assert versions == sorted(set(versions))


async def test_kinds_do_not_share_ids(store):
    await store.put(user(1))
    assert await store.get(Token, record_id(1)) is None
    assert await store.list(Token) == []


async def test_a_list_is_by_id_and_complete_over_many_pages(store):
    users = [user(number, f"n{number}") for number in range(1500)]
    await store.commit([Put(one) for one in reversed(users[:750])])
    await store.commit([Put(one) for one in reversed(users[750:])])
    assert [item.record for item in await store.list(User)] == users


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("expected", ["none", "zero", "actual", "wrong"])
@pytest.mark.parametrize("action", ["put", "delete"])
async def test_writes_happen_only_at_the_expected_version(store, exists, expected, action):
    version = await store.put(user()) if exists else 0
    before = await store.get(User, record_id(1))
    wanted = {"none": None, "zero": 0, "actual": version, "wrong": version + 7}[expected]
    refused = wanted is not None and wanted != version

    async def write() -> int:
        if action == "put":
            return await store.put(user(name="new"), expected=wanted)
        return await store.delete(User, record_id(1), expected=wanted)

    if refused:
        with pytest.raises(ConflictError) as caught:
            await write()
        assert (caught.value.kind, caught.value.id) == ("user", record_id(1))
        assert (caught.value.expected, caught.value.actual) == (wanted, version)
        assert await store.get(User, record_id(1)) == before
    else:
        written = await write()
        after = await store.get(User, record_id(1))
        assert after == (Versioned(user(name="new"), written) if action == "put" else None)


async def test_a_record_that_came_back_is_not_the_one_that_went(store):
    first = await store.put(user(), expected=0)
    await store.delete(User, record_id(1), expected=first)
    again = await store.put(user(), expected=0)
    assert again > first
    with pytest.raises(ConflictError):
        await store.put(user(name="late"), expected=first)


async def test_a_commit_writes_all_of_it_at_one_version(store):
    await store.put(user(2, "old"))
    revision = await store.commit(
        [Put(user(1)), Put(token(1)), Delete(User, record_id(2))],
        journal=[("events:w", b"one", 10), ("events:w", b"two", 10), ("other", b"x", 1)],
    )
    assert await store.list(User) == [Versioned(user(1), revision)]
    assert await store.list(Token) == [Versioned(token(1), revision)]
    assert await store.read_journal("events:w") == ([b"two", b"one"], 2)
    assert await store.read_journal("other") == ([b"x"], 1)


async def test_a_conflict_in_the_last_write_leaves_nothing_of_the_others(store):
    await store.put(token(9))
    with pytest.raises(ConflictError, match=r"token 0+9 is at version 1, not 0"):
        await store.commit(
            [Put(user(1)), Put(user(2), expected=0), Put(token(9), expected=0)],
            journal=[("events:w", b"one", 10)],
        )
    assert await store.list(User) == []
    assert await store.read_journal("events:w") == ([], 0)


async def test_of_many_writers_at_one_version_exactly_one_wins(store, second):
    version = await store.put(user())
    outcomes = await asyncio.gather(
        *(
            (store if number % 2 else second).put(user(name=f"w{number}"), expected=version)
            for number in range(20)
        ),
        return_exceptions=True,
    )
    won = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, int)]
    assert len(won) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 19
    found = await store.get(User, record_id(1))
    assert found is not None
    assert found.record.username == f"w{won[0]}"


async def test_counting_by_read_and_conditional_write_loses_nothing(store, second):
    await store.put(user(name="0"))

    async def add_ten(client) -> None:
        done = 0
        while done < 10:
            found = await client.get(User, record_id(1))
            try:
                await client.put(
                    user(name=str(int(found.record.username) + 1)), expected=found.version
                )
                done += 1
            except ConflictError:
                pass

    await asyncio.gather(*(add_ten(client) for client in (store, second, store, second)))
    found = await store.get(User, record_id(1))
    assert found is not None
    assert found.record.username == "40"


async def test_one_commit_may_not_write_a_record_twice(store):
    with pytest.raises(ValueError, match="written twice"):
        await store.commit([Put(user(1)), Delete(User, record_id(1))])


async def test_a_commit_of_more_than_a_thousand_is_refused(store):
    with pytest.raises(ValueError, match="1001 writes"):
        await store.commit([Put(user(number)) for number in range(1001)])


async def test_the_holder_of_the_lease_may_write(store):
    lease = await store.acquire("autoscaler", "a", ttl_s=60)
    version = await store.put(user(), fence=lease)
    assert await store.get(User, record_id(1)) == Versioned(user(), version)


@pytest.mark.parametrize("how", ["released", "expired", "taken", "never-held"])
async def test_a_writer_without_its_lease_is_fenced_off(store, second, how):
    if how == "never-held":
        lease = Lease("autoscaler", "a", 1)
    else:
        lease = await store.acquire("autoscaler", "a", ttl_s=0.001 if how == "expired" else 60)
    if how in {"released", "taken"}:
        await store.release(lease)
    if how == "expired":
        while await second.acquire("autoscaler", "b", ttl_s=0.001) is None:  # noqa: ASYNC110 - the server's clock
            await asyncio.sleep(0.001)
    if how == "taken":
        assert await second.acquire("autoscaler", "b", ttl_s=60) is not None
    with pytest.raises(FencedError, match="a no longer holds the lease 'autoscaler'"):
        await store.commit([Put(user())], fence=lease, journal=[("events:w", b"x", 1)])
    assert await store.list(User) == []
    assert await store.read_journal("events:w") == ([], 0)


async def test_fencing_comes_before_conflicts(store):
    await store.put(user())
    with pytest.raises(FencedError):
        await store.put(user(), expected=0, fence=Lease("autoscaler", "a", 1))


async def test_one_unreadable_record_does_not_hide_the_others(store, caplog):
    await store.put(user(1))
    await store.put(user(2))
    await store.link.call("HSET", store.keys["rec:user"], record_id(1), b"1:{}")
    assert [item.record for item in await store.list(User)] == [user(2)]
    assert "skipping a record" in caplog.text


async def test_namespaces_do_not_meet(store, settings):
    await store.put(user())
    async with await Store.connect(
        replace(settings, namespace="another"), client_name="other"
    ) as other:
        assert await other.list(User) == []
        await other.put(user(2))
    assert [item.record.id for item in await store.list(User)] == [record_id(1)]


async def test_scripts_that_the_server_forgot_are_sent_again(store):
    await store.link.call("SCRIPT", "FLUSH")
    version = await store.put(user())
    assert await store.list(User) == [Versioned(user(), version)]
