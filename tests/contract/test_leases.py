"""Leases: one holder, a token that grows, and nobody waits for a dead holder for ever."""

import asyncio

from controlplane.store.client import Lease


async def take(client, holder: str) -> Lease:
    """Acquire as soon as it is free."""
    while (lease := await client.acquire("autoscaler", holder, ttl_s=60)) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return lease


async def test_the_first_holder_keeps_the_others_out(store, second):
    lease = await store.acquire("autoscaler", "a", ttl_s=60)
    assert lease is not None
    assert (lease.name, lease.holder) == ("autoscaler", "a")
    assert await second.acquire("autoscaler", "b", ttl_s=60) is None


async def test_renewing_keeps_the_token_and_lengthens_the_time(store):
    first = await store.acquire("autoscaler", "a", ttl_s=1)
    again = await store.acquire("autoscaler", "a", ttl_s=100)
    assert again == first
    assert await store.link.call("PTTL", store.keys["lease:autoscaler"]) > 50_000


async def test_a_released_lease_is_free_and_its_next_token_is_larger(store, second):
    first = await store.acquire("autoscaler", "a", ttl_s=60)
    await store.release(first)
    other = await second.acquire("autoscaler", "b", ttl_s=60)
    assert other is not None
    assert other.token > first.token


async def test_a_lease_that_is_not_renewed_passes_on(store, second):
    first = await store.acquire("autoscaler", "a", ttl_s=0.02)
    assert (await take(second, "b")).token > first.token


async def test_a_late_release_does_not_take_the_lease_from_its_next_holder(store, second):
    first = await store.acquire("autoscaler", "a", ttl_s=0.02)
    other = await take(second, "b")
    await store.release(first)
    assert await store.acquire("autoscaler", "a", ttl_s=60) is None
    assert await second.acquire("autoscaler", "b", ttl_s=60) == other


async def test_leases_of_other_names_are_independent(store, second):
    assert await store.acquire("autoscaler", "a", ttl_s=60)
    assert await second.acquire("janitor", "b", ttl_s=60)


async def test_holders_may_have_any_name(store):
    lease = await store.acquire("autoscaler", "host 1:pid 7 %d", ttl_s=60)
    assert await store.acquire("autoscaler", "host 1:pid 7 %d", ttl_s=60) == lease


async def test_of_many_candidates_one_wins(store, second):
    leases = await asyncio.gather(
        *((store, second)[n % 2].acquire("autoscaler", f"h{n}", ttl_s=60) for n in range(30))
    )
    assert sum(lease is not None for lease in leases) == 1
