"""Any sequence of commits leaves store, version numbers and mirrors as a dict would have it."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Delete, Put, Store
from controlplane.store.errors import ConflictError
from controlplane.store.watch import Mirror
from tests.contract.test_records import token
from tests.fakes.people import record_id, user
from tests.fakes.valkey import flush

Key = tuple[type[Record], str]


@dataclass
class Model:
    """What the store should hold, and what is expected of one commit."""

    records: dict[Key, tuple[Record, int]] = field(default_factory=dict)
    revision: int = 0

    def conflict(self, writes: list[Put | Delete]) -> Key | None:
        for write in writes:
            key = key_of(write)
            if write.expected is not None and write.expected != self.version(key):
                return key
        return None

    def apply(self, writes: list[Put | Delete]) -> None:
        self.revision += 1 if writes else 0
        for write in writes:
            if isinstance(write, Put):
                self.records[key_of(write)] = (write.record, self.revision)
            else:
                self.records.pop(key_of(write), None)

    def version(self, key: Key) -> int:
        return self.records.get(key, (None, 0))[1]


def key_of(write: Put | Delete) -> Key:
    if isinstance(write, Put):
        return type(write.record), write.record.id
    return write.cls, write.id


one_write = st.tuples(
    st.sampled_from([User, Token]),
    st.integers(0, 4),
    st.sampled_from(["put", "put", "delete"]),
    st.sampled_from(["any", "any", "actual", "actual", "zero", "stale"]),
)
commits = st.lists(
    st.lists(one_write, max_size=5, unique_by=lambda write: write[:2]), min_size=1, max_size=25
)


def build(model: Model, number: int, choices) -> list[Put | Delete]:
    writes: list[Put | Delete] = []
    for cls, slot, action, expectation in choices:
        actual = model.version((cls, record_id(slot)))
        expected = {"any": None, "actual": actual, "zero": 0, "stale": max(actual - 1, 0)}
        record = user(slot, f"n{number}") if cls is User else token(slot)
        if action == "put":
            writes.append(Put(record, expected[expectation]))
        else:
            writes.append(Delete(cls, record_id(slot), expected[expectation]))
    return writes


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(commits)
def test_any_sequence_of_commits_is_as_a_dict_would_have_it(server, sequence):
    async def scenario() -> None:
        flush(server)
        model = Model()
        async with await Store.connect(StoreSettings(url=server.url), client_name="t") as store:
            mirror = Mirror(store, [User, Token])
            await mirror.start()
            for number, choices in enumerate(sequence):
                writes = build(model, number, choices)
                conflict = model.conflict(writes)
                if conflict is not None:
                    with pytest.raises(ConflictError) as caught:
                        await store.commit(writes)
                    assert (caught.value.kind, caught.value.id) == (conflict[0].kind, conflict[1])
                    assert caught.value.actual == model.version(conflict)
                    continue
                revision = await store.commit(writes)
                model.apply(writes)
                assert revision == model.revision
            await mirror.reached(model.revision)
            for cls in (User, Token):
                expected = {
                    rid: (record, version)
                    for (kind, rid), (record, version) in model.records.items()
                    if kind is cls
                }
                listed = await store.list(cls)
                assert {i.record.id: (i.record, i.version) for i in listed} == expected
                copied = mirror.all(cls)
                assert {rid: (copied[rid], mirror.version(cls, rid)) for rid in copied} == expected
            await mirror.stop()

    asyncio.run(scenario())
