"""Where a walk through a list goes on: cursors, and the page at one.

A cursor names the item at the page's edge, and what the list was ordered by.
"""

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from fastapi.exceptions import RequestValidationError

from controlplane.model.kinds import Record

R = TypeVar("R", bound=Record)

Key = str | int | float
"""What items are ordered by; ids decide between equals."""


class Edge(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The inside of a cursor."""

    order: str
    before: bool
    """The page ends before the item; else it begins behind it."""
    key: Key
    id: str
    walk: str | None = None
    """Name of the ids that were kept."""
    at: int = 0
    """Where among them the page begins or ends."""


class Cut(NamedTuple, Generic[R]):
    """One page of a list."""

    items: Sequence[R]
    start: int
    """Place of the first item."""
    stop: int
    """Place behind the last one."""
    before: bool
    """Whether there are items before it."""
    after: bool


class Rows(Generic[R]):
    """Items in order."""

    def __init__(self, found: Iterable[R], key: Callable[[R], Key], *, descending: bool) -> None:
        # Ids differ, so records are never compared.
        self._rows: list[tuple[Any, str, R]] = sorted((key(r), r.id, r) for r in found)
        self._descending = descending

    def __iter__(self) -> Iterator[R]:
        rows = reversed(self._rows) if self._descending else self._rows
        return (row[2] for row in rows)

    def cut(self, edge: Edge | None, *, offset: int, limit: int) -> Cut[R]:
        """The page at an offset, or at the edge of another one."""
        total = len(self._rows)
        if edge is None:
            start = offset
            stop = min(total, start + limit)
        elif edge.before:
            stop = self._place(edge, behind=False)
            start = max(0, stop - limit)
        else:
            start = self._place(edge, behind=True)
            stop = min(total, start + limit)
        if self._descending:
            rows = self._rows[max(0, total - stop) : max(0, total - start)][::-1]
        else:
            rows = self._rows[start:stop]
        items = [row[2] for row in rows]
        return Cut(items, start, stop, before=start > 0, after=bool(items) and stop < total)

    def _place(self, edge: Edge, *, behind: bool) -> int:
        """How many items come before the edge; with itself, if it is there and `behind`."""
        search = bisect_right if behind is not self._descending else bisect_left
        try:
            place = search(self._rows, (edge.key, edge.id), key=lambda row: row[:2])
        except TypeError as exc:
            raise no_cursor("it is not one of this order") from exc
        return len(self._rows) - place if self._descending else place


def cut_walk(ids: Sequence[str], found: Iterable[R], edge: Edge, *, limit: int) -> Cut[R]:
    """A page of the ids that were kept: those of them that still fit."""
    present = {record.id: record for record in found}
    items: list[R] = []
    at = max(0, min(edge.at, len(ids)))
    start = stop = at
    if edge.before:
        while start > 0 and len(items) < limit:
            start -= 1
            if ids[start] in present:
                items.append(present[ids[start]])
        items.reverse()
    else:
        while stop < len(ids) and len(items) < limit:
            if ids[stop] in present:
                items.append(present[ids[stop]])
            stop += 1
    return Cut(
        items,
        start,
        stop,
        before=any(ids[n] in present for n in range(start - 1, -1, -1)),
        after=any(ids[n] in present for n in range(stop, len(ids))),
    )


def encode(edge: Edge) -> str:
    """The cursor of an edge: opaque, and good in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(edge)).decode().rstrip("=")


def decode(cursor: str) -> Edge:
    """The edge of a cursor; raises `no_cursor`'s."""
    try:
        return msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=Edge
        )
    except (ValueError, msgspec.DecodeError) as exc:
        raise no_cursor("take it from `next` or `previous` as it is") from exc


def no_cursor(why: str) -> RequestValidationError:
    """The error about a cursor that cannot be used."""
    return RequestValidationError(
        [
            {
                "type": "value_error",
                "loc": ("query", "cursor"),
                "msg": f"The cursor cannot be used: {why}.",
            }
        ]
    )
