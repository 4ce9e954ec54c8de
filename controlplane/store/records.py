"""Records as the store keeps them: keys, JSON, versions, and commits of several at once."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, TypeVar

import msgspec

from controlplane.model.kinds import Record
from controlplane.store import scripts
from controlplane.store.connection import Argument
from controlplane.store.errors import ConflictError, FencedError, StoreError
from controlplane.store.leases import Lease
from controlplane.store.link import Link

MAX_WRITES: Final = 1000
"""Most records in one commit: the server does nothing else meanwhile."""

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)


@dataclass(frozen=True, slots=True)
class Versioned(Generic[R_co]):
    """A record and the revision of its last write."""

    record: R_co
    version: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write one record, whole."""

    record: Record
    expected: int | None = None
    """None: whatever is there; 0: it must not exist; n: it must be at version n."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one record; deleting what does not exist is no error."""

    cls: type[Record]
    id: str
    expected: int | None = None
    """As in `Put`."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one installation; `scripts` has the table."""

    namespace: str

    def __getitem__(self, name: str) -> str:
        """The key called `name`; the braces make all of them share a cluster's slot."""
        return f"{{{self.namespace}}}:{name}"

    def of_kind(self, kind: str) -> tuple[str, str, str]:
        """Records, changes and tombstones of a kind."""
        return self[f"rec:{kind}"], self[f"chg:{kind}"], self[f"gone:{kind}"]


@lru_cache
def _decoder(cls: type[R]) -> msgspec.json.Decoder[R]:
    return msgspec.json.Decoder(cls)


def decode(cls: type[R], value: bytes) -> Versioned[R]:
    """Take a stored value apart.

    Raises:
        StoreError: It is not a record of this class.
    """
    version, _, body = value.partition(b":")
    try:
        return Versioned(_decoder(cls).decode(body), int(version))
    except (ValueError, msgspec.DecodeError) as exc:
        raise StoreError(f"a {cls.kind} in the store cannot be read: {exc}") from exc


async def read(link: Link, keys: Keys, cls: type[R], record_id: str) -> Versioned[R] | None:
    """One record, from the server; None when there is none."""
    value = await link.call("HGET", keys[f"rec:{cls.kind}"], record_id)
    return None if value is None else decode(cls, value)


async def commit(
    link: Link,
    keys: Keys,
    writes: Sequence[Put | Delete],
    *,
    fence: Lease | None,
    journal: Sequence[tuple[str, bytes, int]],
) -> int:
    """See `Store.commit`."""
    if len(writes) > MAX_WRITES:
        raise ValueError(f"{len(writes)} writes in one commit; at most {MAX_WRITES}")
    all_keys = [
        keys["meta"],
        # The commit's own id makes a repetition after a lost connection run once.
        keys[f"commit:{secrets.token_hex(8)}"],
        keys[f"lease:{fence.name}"] if fence else keys["meta"],
    ]
    arguments: list[Argument] = [
        secrets.token_hex(8),
        fence.value if fence else "",
        keys["changes"],
        len(writes),
        len(journal),
    ]
    positions: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for write in writes:
        cls, record_id = _target(write)
        if (cls.kind, record_id) in seen:
            raise ValueError(f"{cls.kind} {record_id} is written twice in one commit")
        seen.add((cls.kind, record_id))
        if cls.kind not in positions:
            positions[cls.kind] = len(all_keys) + 1
            all_keys += keys.of_kind(cls.kind)
        arguments += [
            positions[cls.kind],
            cls.kind,
            record_id,
            "" if write.expected is None else write.expected,
            msgspec.json.encode(write.record) if isinstance(write, Put) else b"",
        ]
    for name, entry, keep in journal:
        all_keys.append(keys[f"journal:{name}"])
        arguments += [len(all_keys), keep, entry]
    reply = await link.run(scripts.COMMIT, all_keys, *arguments)
    return _outcome(reply, writes, fence)


def _target(write: Put | Delete) -> tuple[type[Record], str]:
    if isinstance(write, Put):
        return type(write.record), write.record.id
    return write.cls, write.id


def _outcome(reply: list[bytes], writes: Sequence[Put | Delete], fence: Lease | None) -> int:
    if reply[0] == b"ok":
        return int(reply[1])
    if reply[0] == b"fenced" and fence is not None:
        raise FencedError(f"{fence.holder} no longer holds the lease {fence.name!r}")
    write = writes[int(reply[1])]
    cls, record_id = _target(write)
    raise ConflictError(cls.kind, record_id, write.expected or 0, int(reply[2]))
