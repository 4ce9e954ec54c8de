"""Statistics in the store: written whole or not at all, by one writer at a time."""

import asyncio
import re
from collections.abc import Mapping

import msgspec
import pytest

from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.statistics import (
    LOST,
    NO_SUMMARY,
    SUMMARY,
    VERSION,
    Bucket,
    Changes,
    Level,
    bucket_field,
    bucket_of_field,
    decode_bucket,
    decode_summary,
    encode,
    seen_field,
)
from controlplane.store.errors import FencedError, WrongTypeError
from controlplane.store.statistics import (
    PER_CALL,
    Rewrite,
    Statistics,
    version_of,
)
from tests.fakes.waiting import DEADLINE_S


def rewrite(workload_id="w", *, expected="0", drops=(), ttl_s=60, **sets) -> Rewrite:
    fields = {name: value.encode() for name, value in sets.items()}
    return Rewrite(
        workload_id=workload_id,
        expected=expected,
        changes=Changes(fields, set(drops)),
        ttl_s=ttl_s,
    )


def report(worker="w1", **protons) -> LoadReport:
    return LoadReport(worker_id=worker, sent_at=5.0, clock_s=7.0, revision=1, protons=protons)


@pytest.fixture
def statistics(store) -> Statistics:
    return Statistics(store)


async def test_fields_are_set_and_dropped_together(statistics):
    assert await statistics.write([rewrite(a="1", b="2")]) == set()
    assert await statistics.read("w", ["a", "b", "c", VERSION]) == {
        "a": b"1",
        "b": b"2",
        VERSION: b"1",
    }
    assert await statistics.write([rewrite(expected="1", drops=["a"], b="3")]) == set()
    assert await statistics.read_all("w") == {"b": b"3", VERSION: b"2"}


async def test_of_two_writers_one_must_read_again(statistics, second):
    await statistics.write([rewrite(a="1")])
    fields = await statistics.read_all("w")
    assert version_of(fields) == "1"
    assert await Statistics(second).write([rewrite(expected="1", a="2")]) == set()
    assert await statistics.write([rewrite(expected="1", a="3", b="3")]) == {"w"}
    assert await statistics.read_all("w") == {"a": b"2", VERSION: b"2"}


async def test_a_late_workload_does_not_hold_up_the_others(statistics):
    await statistics.write([rewrite("late", a="1")])
    assert await statistics.write([rewrite("late", a="2"), rewrite("well", a="2")]) == {"late"}
    assert await statistics.read("well", ["a"]) == {"a": b"2"}


async def test_the_same_write_again_changes_nothing(statistics):
    one = rewrite(a="1")
    assert await statistics.write([one]) == set()
    assert await statistics.write([one]) == {"w"}
    assert await statistics.read_all("w") == {"a": b"1", VERSION: b"1"}


async def test_a_writer_without_its_lease_writes_nothing(statistics, store):
    old = await store.acquire("conductor", "old", ttl_s=60)
    assert await statistics.write([rewrite(a="1")], fence=old) == set()
    await store.release(old)
    new = await store.acquire("conductor", "new", ttl_s=60)
    with pytest.raises(FencedError, match="old"):
        await statistics.write([rewrite(expected="1", a="2")], fence=old)
    assert await statistics.write([rewrite(expected="1", a="3")], fence=new) == set()
    assert await statistics.read("w", ["a"]) == {"a": b"3"}


async def test_a_hash_is_forgotten_without_writes(statistics, store):
    await statistics.write([rewrite(ttl_s=1000, a="1")])
    assert 900 < await store.link.call("TTL", store.keys["stats:w"]) <= 1000
    await statistics.forget("w")
    assert await statistics.read_all("w") == {}
    assert await statistics.write([rewrite(a="1")]) == set(), "it begins anew"


async def test_many_workloads_are_read_and_written_in_few_calls(statistics):
    ids = [f"{n:024x}" for n in range(2 * PER_CALL + 7)]
    assert await statistics.write([rewrite(i, **{SUMMARY: "x"}) for i in ids]) == set()
    found = await statistics.summaries([*ids, "nobody"])
    assert found == dict.fromkeys(ids, b"x") | {"nobody": None}
    rows = await statistics.read_many(dict.fromkeys(ids, (VERSION, "none")))
    assert rows == {i: {VERSION: b"1"} for i in ids}
    names = await statistics.names(ids)
    assert {tuple(sorted(row)) for row in names.values()} == {(SUMMARY, VERSION)}


async def test_more_fields_than_a_script_takes_are_read(statistics):
    many = {f"f{n}": str(n) for n in range(9000)}
    await statistics.write([rewrite(**many)])
    assert len(await statistics.read("w", list(many))) == 9000
    assert await statistics.write([rewrite(expected="1", drops=many, last="1")]) == set()
    assert set(await statistics.read_all("w")) == {"last", VERSION}


async def test_reports_are_not_taken_apart_before_somebody_asks(statistics, store):
    load = ProtonLoad(workload_id="w", started=3, response_time={7: 2})
    await store.publish_report(report(p=load), ttl_s=60)
    [found] = await statistics.reports()
    assert found.lives
    assert (found.report.worker_id, found.report.sent_at, found.report.clock_s) == ("w1", 5, 7)
    assert statistics.load_of(found.report, "p") == load
    assert statistics.load_of(found.report, "q") is None


async def test_the_last_report_of_a_worker_that_is_gone_stays_until_it_is_counted(
    statistics, store
):
    await store.publish_report(report(), ttl_s=0.01)
    async with asyncio.timeout(DEADLINE_S):
        while await store.collect_reports():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    [found] = await statistics.reports()
    assert not found.lives
    await statistics.counted(found)
    assert await statistics.reports() == []


async def test_a_worker_that_came_back_keeps_its_report(statistics, store):
    await store.publish_report(report(), ttl_s=0.01)
    [found] = await statistics.reports()
    await store.publish_report(report(), ttl_s=60)
    await statistics.counted(found)
    [again] = await statistics.reports()
    assert again.lives


def told(caplog) -> list[str]:
    return [record.place for record in caplog.records if "cannot be read" in record.message]


def decoded(fields: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The fields, as work that decodes all of them gets them."""
    for name, value in fields.items():
        if name == SUMMARY:
            decode_summary(value)
        elif bucket_of_field(name):
            decode_bucket(value)
    return fields


async def test_a_field_that_cannot_be_read_hides_no_other(statistics, store, caplog):
    minute, hour = (bucket_field(level, 7, "p") for level in (Level.MINUTE, Level.HOUR))
    seen = seen_field("w1", "p")
    kept = {minute: encode(Bucket(started=3)), "n": b"whatever"}
    broken = dict.fromkeys((SUMMARY, hour, seen), b"{broken")
    await store.link.call("HSET", store.keys["stats:w"], *sum((kept | broken).items(), ()))
    expected = kept | {seen: LOST}
    for _ in range(2):
        fields = await statistics.read_all("w")
        assert fields == await statistics.read("w", [*kept, *broken]) == kept | broken
        assert statistics.worked_out("w", fields, decoded) == expected
        assert statistics.buckets("w", fields, [minute, hour]) == {minute: Bucket(started=3)}
        assert await statistics.summary("w") == NO_SUMMARY
    assert len(told(caplog)) == len(set(told(caplog))) == 3, "once each, not at every look"
    assert {record.workload_id for record in caplog.records} == {"w"}
    assert store.unreadable.count == 2 * (3 + 1 + 1)


async def test_reading_decodes_nothing(statistics, store):
    await store.link.call("HSET", store.keys["stats:w"], SUMMARY, b"{broken")
    assert await statistics.read_all("w") == {SUMMARY: b"{broken"}
    assert statistics.worked_out("w", {SUMMARY: b"{broken"}, len) == 1, (
        "nor does work that need not"
    )
    assert store.unreadable.count == 0


async def test_a_key_of_another_type_hides_no_other_workload(statistics, store, caplog):
    await statistics.write([rewrite("well", s="1")])
    await store.link.call("SET", store.keys["stats:w"], "what a person wrote")
    lease = await store.acquire("recorder", "me", ttl_s=60)
    for _ in range(2):
        assert await statistics.read("w", [SUMMARY]) == await statistics.read_all("w") == {}
        assert await statistics.summary("w") == NO_SUMMARY
        assert await statistics.read_many({"w": ["s"], "well": ["s"]}) == {
            "w": {},
            "well": {"s": b"1"},
        }
        assert {w: set(n) for w, n in (await statistics.names(["w", "well"])).items()} == {
            "w": set(),
            "well": {"s", VERSION},
        }
    both = [rewrite("w", s="2"), rewrite("well", expected="1", s="2")]
    assert await statistics.write(both, fence=lease) == set(), "the recorder goes on"
    with pytest.raises(WrongTypeError, match=re.escape(store.keys["stats:w"])):
        await statistics.write([rewrite("w"), rewrite("well", expected="2", s="3")])
    assert await statistics.read("well", ["s"]) == {"s": b"3"}
    assert told(caplog) == [f"key {store.keys['stats:w']}"], "once, not at every look"
    assert store.unreadable.count == 2 * 5 + 1


async def test_reports_of_another_type_are_none(statistics, store, caplog):
    await store.link.call("SET", store.keys["reports"], "what a person wrote")
    assert await statistics.reports() == []
    assert told(caplog) == [f"key {store.keys['reports']}"]


@pytest.mark.parametrize("version", [b"{broken", b"\xff", b"1.5", b"-1"])
async def test_a_version_that_cannot_be_read_begins_anew(statistics, store, version):
    await store.link.call("HSET", store.keys["stats:w"], VERSION, version)
    expected = version_of(await statistics.read_all("w"))
    assert await statistics.write([rewrite("w", expected=expected), rewrite("well")]) == set()
    assert version_of(await statistics.read_all("w")) == "1"
    assert version_of(await statistics.read_all("well")) == "1"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"99999999999999 {broken", id="no-json"),
        pytest.param(b"99999999999999", id="no-body"),
        pytest.param(b"soon", id="no-time"),
    ],
)
async def test_a_report_that_cannot_be_read_hides_no_other(statistics, store, caplog, value):
    await store.link.call("HSET", store.keys["reports"], "broken", value)
    await store.publish_report(report("well"), ttl_s=60)
    for _ in range(2):
        assert [one.report.worker_id for one in await statistics.reports()] == ["well"]
    assert told(caplog) == ["report of broken"]


async def test_a_proton_that_cannot_be_read_hides_no_other_of_the_report(statistics, store, caplog):
    body = b'{"worker_id":"w1","sent_at":5,"clock_s":7,"protons":{"p":{"workload_id":1},"q":%s}}'
    load = ProtonLoad(workload_id="w", started=3)
    value = b"99999999999999 " + body % msgspec.json.encode(load)
    await store.link.call("HSET", store.keys["reports"], "w1", value)
    for _ in range(2):
        [found] = await statistics.reports()
        assert statistics.load_of(found.report, "p") is None
        assert statistics.load_of(found.report, "q") == load
    assert told(caplog) == ["report of w1 on p"]
