"""The kinds of record that the store holds, and what every record has."""

from enum import StrEnum
from typing import ClassVar

import msgspec


class Kind(StrEnum):
    """A record's kind; part of its key in the store."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a kind of record, not a secret
    REPOSITORY = "repository"
    ARTIFACT = "artifact"
    WORKLOAD = "workload"
    DEPLOYMENT = "deployment"
    PROTON = "proton"
    REPLICA = "replica"
    SCALE = "scale"
    CREDENTIAL = "credential"
    NODE = "node"


class Tag(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A word on a record that lists can be filtered by."""

    id: str
    name: str
    value: str


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all records. `id` is 24 hexadecimal digits.

    Records and their parts are trees of immutable values, never cycles, so the garbage collector
    need not look at them (`gc=False`): 50,000 of them load in half the CPU time.
    """

    kind: ClassVar[Kind]
    id: str
