"""A key of another type than belongs there: left out where it is read, named where it is needed."""

import asyncio
import re
from contextlib import aclosing

import pytest

from controlplane.model.people import User
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.store.client import Put, Store
from controlplane.store.errors import StoreSettingsError, StoreUnavailableError, WrongTypeError
from controlplane.store.watch import Mirror
from tests.contract.test_wakes import take
from tests.fakes.people import user
from tests.fakes.waiting import DEADLINE_S

NOW_S = 7_200.0


async def spoil(store: Store, name: str) -> str:
    """Put a text where something else belongs; the key's whole name."""
    key = store.keys[name]
    await store.link.call("SET", key, "what a person wrote")
    return key


def told(caplog) -> list[str]:
    return [record.place for record in caplog.records if "cannot be read" in record.message]


def remedy(key: str, *, held: str = "string", should: str) -> str:
    return re.escape(f"key {key} holds a {held} where a {should} belongs") + ".*UNLINK"


async def test_a_journal_of_another_type_is_empty(store, caplog):
    key = await spoil(store, "journal:events:w")
    for _ in range(2):
        assert await store.read_journal("events:w") == ([], 0)
    assert told(caplog) == [f"key {key}"], "once, not at every look"
    assert store.unreadable.count == 2


@pytest.mark.parametrize(
    ("name", "should"),
    [
        ("journal:events:w", "list"),
        ("rec:user", "hash"),
        ("chg:user", "zset"),
        ("gone:user", "zset"),
    ],
)
async def test_a_commit_to_a_key_of_another_type_writes_nothing_at_all(store, name, should):
    await store.put(user(1))
    key = await spoil(store, name)
    revision = await store.link.call("HGET", store.keys["meta"], "rev")
    journal = [("fine", b"x", 10), ("events:w", b"x", 10)]
    with pytest.raises(WrongTypeError, match=remedy(key, should=should)):
        await store.commit([Put(user(2))], journal=journal)
    assert await store.read_journal("fine") == ([], 0)
    assert await store.link.call("HGET", store.keys["meta"], "rev") == revision


async def test_a_copy_stays_as_it_was_and_the_error_names_the_key(store, second):
    await store.put(user(1))
    mirror = Mirror(second, [User], poll_s=60)
    await mirror.start()
    try:
        key = await spoil(store, "chg:user")
        revision = await store.commit([], journal=[("events:w", b"x", 10)])
        await store.link.call("HSET", store.keys["meta"], "rev", revision + 1)
        with pytest.raises(WrongTypeError, match=remedy(key, should="zset")):
            await store.list(User)
        with pytest.raises(StoreUnavailableError):
            await mirror.reached(revision + 1, timeout_s=0.05)
        assert set(mirror.all(User)) == {user(1).id}
    finally:
        await mirror.stop()


@pytest.mark.parametrize("spoilt", [("reports",), ("numbers",), ("reports", "numbers")])
async def test_reports_of_another_type_are_none_and_everything_else_of_them_is_written(
    store, caplog, spoilt
):
    keys = [await spoil(store, name) for name in spoilt]
    load = ProtonLoad(workload_id="w", started=3, starts_by_minute={int(NOW_S // 60): 3})
    report = LoadReport(worker_id="w1", sent_at=0.0, clock_s=0.0, revision=1, protons={"p": load})
    with pytest.raises(WrongTypeError, match=remedy(keys[-1], should="hash")):
        await store.publish_report(report, ttl_s=60)
    assert await store.collect_reports() == ([] if "reports" in spoilt else [report])
    assert await store.collect_numbers() == ([] if "numbers" in spoilt else [report.numbers()])
    assert await store.hourly_starts("p", now_s=NOW_S) == 3
    assert told(caplog) == [f"key {key}" for key in keys]


async def test_minutes_of_another_type_hide_no_other_protons(store, caplog):
    key = await spoil(store, "hour:bad")
    minute = int(NOW_S // 60)
    loads = {p: ProtonLoad(workload_id="w", starts_by_minute={minute: 3}) for p in ("bad", "good")}
    report = LoadReport(worker_id="w1", sent_at=0.0, clock_s=0.0, revision=1, protons=loads)
    await store.publish_report(report, ttl_s=60)
    found = await store.hourly_buckets_of(["bad", "good"], now_s=NOW_S)
    assert found == {"bad": {}, "good": {minute: 3}}
    await store.link.call("UNLINK", key)
    await store.publish_report(report, ttl_s=60)
    assert await store.hourly_starts("bad", now_s=NOW_S) == 3, "nothing is lost once it is deleted"
    assert told(caplog) == [f"key {key}"]


async def test_who_listens_hears_wake_ups_without_their_memory(store, second, caplog):
    key = await spoil(store, "wakes")
    async with aclosing(second.wakes()) as wakes:
        hearing = asyncio.create_task(take(wakes, 1))
        async with asyncio.timeout(DEADLINE_S):
            while not told(caplog):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        with pytest.raises(WrongTypeError, match=remedy(key, should="zset")):
            await store.wake("p1")
        assert await hearing == ["p1"]


@pytest.mark.parametrize("name", ["lease:autoscaler", "secret:cursors"])
async def test_what_cannot_be_done_without_its_key_names_it(store, name):
    key = store.keys[name]
    await store.link.call("HSET", key, "a", "b")
    kind, _, what = name.partition(":")
    with pytest.raises(WrongTypeError, match=remedy(key, held="hash", should="string")):
        await (store.secret(what) if kind == "secret" else store.acquire(what, "me", ttl_s=60))


async def test_a_store_whose_counters_are_of_another_type_is_refused_at_once(store, settings):
    key = await spoil(store, "meta")
    with pytest.raises(StoreSettingsError, match=remedy(key, should="hash")):
        await Store.connect(settings, client_name="late")
