"""Lists: filters, order, the envelope, and links that hold still while records change.

A list's links carry a `cursor` beside `offset` and `limit`: the item at the page's edge. So a walk
neither skips nor repeats an item, whatever is created or deleted before it meanwhile. Where the
order itself may change under the walk (`name`, `status`, `updatedAt`, `importance`), the ids are
kept as they were on its first page, see `store.walks`: every item that is there throughout comes
exactly once, with what it is now, and new ones do not come. When nobody remembers that page any
more, or the store is away, the item at the edge says where to go on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from pydantic import Field

from controlplane.api.call import Call
from controlplane.api.cursors import Edge, Key, Rows, cut_walk, decode, encode, no_cursor
from controlplane.model.kinds import Record, Tag
from controlplane.model.states import IMPORTANCE_ORDER, Importance, ProtonState
from controlplane.wire.base import Input, Shape

T = TypeVar("T")
R = TypeVar("R", bound=Record)

NAME_KEY_CHARS: Final = 200
OLD_LIMIT: Final = 100
NEW_LIMIT: Final = 10

_Offset = Annotated[int, Field(ge=0, le=2**53)]
_Limit = Annotated[int, Field(ge=1, le=100)]

STATUS_ORDER: Final = (
    ProtonState.TERMINATED,
    ProtonState.STOPPED,
    ProtonState.STOPPING,
    ProtonState.SUSPENDED,
    ProtonState.SUBMITTED,
    ProtonState.PROVISIONING,
    ProtonState.LAUNCHING,
    ProtonState.INITIALIZING,
    ProtonState.INTERRUPTED,
    ProtonState.WARMING,
    ProtonState.DRAINING,
    ProtonState.RUNNING,
    ProtonState.UNKNOWN,
    ProtonState.ERRORED,
)
"""Ascending `orderBy=status`: from nothing running to running, trouble last."""


class NewPage(Input):
    """Paging in the new family."""

    offset: _Offset = 0
    limit: _Limit = NEW_LIMIT


class OldPage(Input):
    """Paging in the old family."""

    offset: _Offset = 0
    limit: _Limit = OLD_LIMIT


class Cursor(Input):
    """Where a walk goes on."""

    cursor: str | None = Field(
        None,
        max_length=4096,
        description="Opaque, from `next` or `previous`; `offset` then does not count.",
    )


class Page(Shape, Generic[T]):
    """A list's envelope."""

    total_count: int
    count: int = Field(description="Items on this page.")
    next: str | None
    previous: str | None
    data: list[T]


class Walked(Protocol):
    """The query of a list that can be walked through."""

    @property
    def offset(self) -> int:
        """Items before the page."""

    @property
    def limit(self) -> int:
        """Most items on it."""

    @property
    def order_by(self) -> str:
        """A key of the list's `Sorting`, with `-` in front for descending."""

    @property
    def cursor(self) -> str | None:
        """From a link."""


@dataclass(frozen=True, kw_only=True)
class Sorting(Generic[R]):
    """How the items of a list can be ordered."""

    keys: Mapping[str, Callable[[R], Key]]
    """By name in `orderBy`."""
    fixed: frozenset[str] = frozenset({"createdAt"})
    """Keys that never change while an item exists."""


def matches(text: str | None, *, name: str, description: str, record_id: str) -> bool:
    """Whether a search finds a record: part of name, description or id, upper or lower case."""
    if not text:
        return True
    wanted = text.casefold()
    return wanted in name.casefold() or wanted in description.casefold() or wanted in record_id


def has_tag(tags: Iterable[Tag], *, names: Sequence[str], values: Sequence[str]) -> bool:
    """Whether one of the tags has one of the names or one of the values; without any: yes."""
    if not names and not values:
        return True
    return any(tag.name in names or tag.value in values for tag in tags)


def ordered(
    items: Iterable[T], order: str, *, keys: Callable[[T, str], Any], record_id: Callable[[T], str]
) -> list[T]:
    """Sort by a parameter such as `-createdAt`; ids decide between equals: pages never overlap."""
    field = order.removeprefix("-")
    return sorted(
        items, key=lambda item: (keys(item, field), record_id(item)), reverse=order != field
    )


def name_key(name: str) -> str:
    """Names in order, upper and lower case alike; so much of a long one as a link can carry."""
    return name.casefold()[:NAME_KEY_CHARS]


def importance_rank(importance: Importance) -> int:
    """Least important first."""
    return IMPORTANCE_ORDER.index(importance)


def status_rank(state: ProtonState) -> int:
    """Place of a state in `orderBy=status`."""
    return STATUS_ORDER.index(state)


async def page_of(
    call: Call,
    query: Walked,
    found: Sequence[R],
    *,
    sorting: Sorting[R],
    view: Callable[[R], T],
) -> dict[str, Any]:
    """Fields of a `Page`.

    Args:
        call: The request.
        query: Which page.
        found: All items that fit, in any order.
        sorting: How they can be ordered.
        view: Formats one item; called for those of the page only.

    Raises:
        RequestValidationError: The cursor is none of this list's.
    """
    edge = None if query.cursor is None else decode(query.cursor)
    field = query.order_by.removeprefix("-")
    if edge is not None and edge.order != query.order_by:
        raise no_cursor(f"it belongs to orderBy {edge.order}, not {query.order_by}")
    walks = call.services.walks
    ids = await walks.ids(edge.walk) if edge is not None and edge.walk is not None else None
    if ids is not None and edge is not None:
        cut = cut_walk(ids, found, edge, limit=query.limit)
        walk = edge.walk
    else:
        rows = Rows(found, sorting.keys[field], descending=query.order_by.startswith("-"))
        cut = rows.cut(edge, offset=query.offset, limit=query.limit)
        walk = None
        if field not in sorting.fixed and (cut.before or cut.after):
            walk = await walks.keep([record.id for record in rows])

    def edge_link(offset: int, edges: tuple[R, int] | None, *, before: bool) -> str:
        if edges is None:
            return link(call.request, offset, query.limit)
        record, at = edges
        found_edge = Edge(
            order=query.order_by,
            before=before,
            key=sorting.keys[field](record),
            id=record.id,
            walk=walk,
            at=at,
        )
        return link(call.request, offset, query.limit, more={"cursor": encode(found_edge)})

    items = cut.items
    first = (items[0], cut.start) if items else None
    last = (items[-1], cut.stop) if items else None
    return {
        "total_count": len(found),
        "count": len(items),
        "next": edge_link(cut.stop, last, before=False) if cut.after else None,
        "previous": edge_link(max(0, cut.start - query.limit), first, before=True)
        if cut.before
        else None,
        "data": [view(item) for item in items],
    }


def envelope(
    request: Request,
    data: Sequence[T],
    *,
    total: int,
    offset: int,
    limit: int,
    places: int | None = None,
) -> dict[str, Any]:
    """Fields of a `Page` without a cursor; links are absolute, on the host that the client asked.

    Args:
        request: Whose other query parameters the links keep.
        data: The items of this page.
        total: Items on all pages.
        offset: Place of the first item of this page.
        limit: Items per page.
        places: Of this page, where they are more than the items: some cannot be shown.
    """
    places = len(data) if places is None else places
    following = offset + places
    return {
        "total_count": total,
        "count": len(data),
        "next": link(request, following, limit) if places and following < total else None,
        "previous": link(request, max(0, offset - limit), limit) if offset > 0 else None,
        "data": list(data),
    }


def cut(items: Sequence[T], *, offset: int, limit: int) -> Sequence[T]:
    """The items of one page of a list without a cursor."""
    return items[offset : offset + limit]


def link(
    request: Request, offset: int, limit: int, *, more: Mapping[str, str] | None = None
) -> str:
    """Another page of the list that was asked for, on the host that the client asked.

    Args:
        request: Whose other query parameters the link keeps.
        offset: Place of the page's first item.
        limit: Most items on it.
        more: Further parameters.
    """
    more = more or {}
    kept = [
        (name, value)
        for name, value in parse_qsl(request.url.query, keep_blank_values=True)
        if name not in {"offset", "limit", "cursor", *more}
    ]
    query = urlencode([*kept, ("offset", offset), ("limit", limit), *more.items()])
    return str(request.url.replace(path=request.state.path_as_sent, query=query))
