"""The audit journal: one line for every record that people or the conductor change.

Lines are written in the commit that they tell of, so there is none without its change and no
change without its line. Whoever commits passes `lines(...)` on as journal entries:

    the API            `api.writes.carry_out`
    the command line   `accounts`
    the conductor      its terms' `commit`
    the autoscaler     `secrets`: tokens that it makes for replicas with `api-key`

What else the autoscaler writes, about replicas, is not audited: its decisions have a journal of
their own. Resets of statistics change no record; `api.statistics` writes their lines itself.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import to_builtins

from controlplane.model.artifacts import EnvVar, Probe
from controlplane.model.kinds import Record
from controlplane.model.people import Credential, Token
from controlplane.store.client import Delete, Put

JOURNAL: Final = "audit"

logger = logging.getLogger(__name__)

HIDDEN: Final = "***"
SECRET: Final = frozenset(
    {
        (Token, "digest"),
        (Token, "sealed"),
        (Credential, "sealed"),
        (EnvVar, "value"),
        (Probe, "http_headers"),
    }
)
"""Fields whose values are never written: a line says only that they changed. Any environment
variable may hold a secret, so none is shown."""

_CLOCK: Final = "updated_at"
"""Changes with every write, and says nothing that the line's own time does not."""

MAX_CHANGES: Final = 50
"""Changed fields that one line names; it says how many more there are."""

MAX_VALUE_BYTES: Final = 2000
"""Of a value as JSON; a longer one is told by its size."""

Read = Callable[[type[Record], str], Record | None]


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, and how the request can be found again."""

    name: str
    """The user's name, or what acts by itself: `conductor`."""
    user_id: str | None = None
    token: str | None = None
    """The shown first characters of the token that was used."""
    operation: str
    """What was asked for: method and route, or the command."""
    request_id: str | None = None
    address: str | None = None
    """Where the request came from, as far as the API can see."""


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field before and after."""

    field: str
    """The way to it, in the API's spelling: `runtime.containerGroups.0.replicaCount`."""
    before: Any = None
    after: Any = None


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record that was created, changed or deleted."""

    id: str
    at: float
    """Epoch seconds."""
    by: By
    kind: str
    record_id: str
    record_name: str | None = None
    action: str
    """`created`, `updated` or `deleted`."""
    changes: tuple[FieldChange, ...] = ()


def lines(
    writes: Sequence[Put | Delete],
    read: Read,
    *,
    by: By,
    now_s: float,
    new_id: Callable[[], str],
) -> list[AuditLine]:
    """What a commit changes.

    Args:
        writes: The commit's.
        read: The records as they were when the commit was planned.
        by: Who does it.
        now_s: Epoch seconds.
        new_id: Where ids come from.

    Returns:
        A line for each record that will differ; those written back unchanged have none.
    """
    found = []
    for write in writes:
        after = write.record if isinstance(write, Put) else None
        cls, record_id = (
            (type(write.record), write.record.id)
            if isinstance(write, Put)
            else (write.cls, write.id)
        )
        before = read(cls, record_id)
        changes = tuple(_changes(before, after))
        if changes:
            found.append(
                AuditLine(
                    id=new_id(),
                    at=now_s,
                    by=by,
                    kind=cls.kind,
                    record_id=record_id,
                    record_name=_name(after or before),
                    action=_action(before, after),
                    changes=_bounded(changes),
                )
            )
    return found


def entries(found: Sequence[AuditLine], *, keep: int) -> list[tuple[str, bytes, int]]:
    """Lines as a commit takes them; the journal keeps the newest `keep`."""
    return [(JOURNAL, msgspec.json.encode(line), keep) for line in found]


def log(found: Sequence[AuditLine]) -> None:
    """Say it in the process's log too, once it is committed: logs may be kept for longer."""
    for line in found:
        logger.info(
            "%s %s %s", line.kind, line.record_id, line.action, extra={"audit": to_builtins(line)}
        )


def _action(before: Record | None, after: Record | None) -> str:
    if before is None:
        return "created"
    gone = getattr(after, "deleted_at", None) is not None
    return "deleted" if after is None or gone else "updated"


def _name(record: Record | None) -> str | None:
    return getattr(record, "name", None) or getattr(record, "username", None)


def _changes(before: Record | None, after: Record | None) -> Iterator[FieldChange]:
    if before is not None and after is not None:
        yield from _differences("", before, after)
        return
    for name, part in (_parts(before or after) or {}).items():
        shown = _plain(part)
        if shown not in ({}, []):
            was, is_ = (shown, None) if after is None else (None, shown)
            yield FieldChange(field=name, before=was, after=is_)


def _differences(path: str, before: object, after: object) -> Iterator[FieldChange]:
    """Every leaf that differs."""
    if before == after:
        return
    old, new = _parts(before), _parts(after)
    if old is None or new is None or type(before) is not type(after):
        yield FieldChange(field=path, before=_plain(before), after=_plain(after))
        return
    for name in [*old, *(name for name in new if name not in old)]:
        here = f"{path}.{name}" if path else name
        yield from _differences(here, old.get(name), new.get(name))


def _parts(value: object) -> Mapping[str, object] | None:
    """What a value is made of; None: nothing. Lists are looked into element by element."""
    if isinstance(value, msgspec.Struct):
        return {
            _camel(name): _Hidden(part) if (type(value), name) in SECRET else part
            for name in value.__struct_fields__
            if name != _CLOCK and (part := getattr(value, name)) is not None
        }
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, tuple | list):
        return {str(number): part for number, part in enumerate(value)}
    return None


class _Hidden:
    """A secret: it can be compared, not read."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """A value as JSON, in the API's spelling."""
    if isinstance(value, _Hidden):
        return HIDDEN
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    parts = _parts(value)
    if parts is not None:
        return {name: _plain(part) for name, part in parts.items()}
    return value.value if isinstance(value, Enum) else value


def _bounded(changes: Sequence[FieldChange]) -> tuple[FieldChange, ...]:
    kept = [
        msgspec.structs.replace(c, before=_short(c.before), after=_short(c.after))
        for c in changes[:MAX_CHANGES]
    ]
    if len(changes) > MAX_CHANGES:
        kept.append(FieldChange(field=f"and {len(changes) - MAX_CHANGES} more"))
    return tuple(kept)


def _short(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    size = len(msgspec.json.encode(value))
    return value if size <= MAX_VALUE_BYTES else f"({size} bytes)"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
