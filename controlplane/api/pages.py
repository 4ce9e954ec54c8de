"""Lists: query parameters of both families, filters, ordering, and the envelope with its links."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from pydantic import Field

from controlplane.model.states import IMPORTANCE_ORDER, Importance, ProtonState
from controlplane.wire.base import Input, Shape

T = TypeVar("T")

OLD_LIMIT: Final = 100
NEW_LIMIT: Final = 10

_Offset = Annotated[int, Field(ge=0, le=2**53)]
_Limit = Annotated[int, Field(ge=1, le=100)]
_Search = Annotated[str, Field(max_length=100, description="In name, description and id.")]
_Ids = Annotated[list[str], Field(max_length=1000)]
_Order = Annotated[str, Field(pattern="^-?(name|createdAt|updatedAt|status)$")]
_WorkloadOrder = Annotated[str, Field(pattern="^-?(name|createdAt|updatedAt|status|importance)$")]

WorkloadStatus = Literal[
    "unknown",
    "submitted",
    "initializing",
    "provisioning",
    "launching",
    "running",
    "suspended",
    "interrupted",
    "stopping",
    "stopped",
    "errored",
    "terminated",
]
"""What clients may filter by: the words of both families."""

STATUS_ORDER: Final = (
    ProtonState.TERMINATED,
    ProtonState.STOPPED,
    ProtonState.STOPPING,
    ProtonState.SUSPENDED,
    ProtonState.SUBMITTED,
    ProtonState.PROVISIONING,
    ProtonState.LAUNCHING,
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


class _Filters(Input):
    ids: _Ids = Field(default_factory=list)
    search: _Search | None = None
    created_by: str | None = None


class _WorkloadFilters(_Filters):
    status: list[WorkloadStatus] = Field(default_factory=list)
    importance: list[Importance] = Field(default_factory=list)
    artifact_id: str | None = None
    artifact_status: list[Literal["draft", "locked", "registered"]] = Field(default_factory=list)
    repository_id: str | None = None
    type: str | None = None


class NewWorkloadQuery(_WorkloadFilters, NewPage):
    """Query of the workload list in the new family."""

    order_by: _WorkloadOrder = "createdAt"


class OldWorkloadQuery(_WorkloadFilters, OldPage):
    """Query of the workload list in the old family."""

    sort: _WorkloadOrder = "createdAt"

    @property
    def order_by(self) -> str:
        """`sort` under the name that the code uses."""
        return self.sort


WorkloadQuery = NewWorkloadQuery | OldWorkloadQuery


class _ArtifactFilters(_Filters):
    type: str | None = None
    status: list[Literal["draft", "locked", "registered"]] = Field(default_factory=list)
    repository_id: str | None = None


class NewArtifactQuery(_ArtifactFilters, NewPage):
    """Query of the artifact list in the new family."""

    order_by: _Order = "createdAt"


class OldArtifactQuery(_ArtifactFilters, OldPage):
    """Query of the artifact list in the old family."""

    sort: _Order = "createdAt"

    @property
    def order_by(self) -> str:
        """`sort` under the name that the code uses."""
        return self.sort


ArtifactQuery = NewArtifactQuery | OldArtifactQuery


class RepositoryQuery(_Filters, NewPage):
    """Query of the repository list."""

    type: str | None = None
    order_by: Annotated[str, Field(pattern="^-?(name|createdAt|updatedAt)$")] = "createdAt"


class _DeploymentFilters(_Filters):
    importance: list[Importance] = Field(default_factory=list)
    workload_id: str | None = None


class NewDeploymentQuery(_DeploymentFilters, NewPage):
    """Query of the deployment list in the new family."""

    order_by: _WorkloadOrder = "createdAt"


class OldDeploymentQuery(_DeploymentFilters, OldPage):
    """Query of the deployment list in the old family."""

    sort: _WorkloadOrder = "createdAt"

    @property
    def order_by(self) -> str:
        """`sort` under the name that the code uses."""
        return self.sort


DeploymentQuery = NewDeploymentQuery | OldDeploymentQuery


class Page(Shape, Generic[T]):
    """A list's envelope."""

    total_count: int
    count: int = Field(description="Items on this page.")
    next: str | None
    previous: str | None
    data: list[T]


def matches(text: str | None, *, name: str, description: str, record_id: str) -> bool:
    """Whether a search finds a record: part of name, description or id, upper or lower case."""
    if not text:
        return True
    wanted = text.casefold()
    return any(wanted in field.casefold() for field in (name, description, record_id))


def ordered(
    items: Iterable[T], order: str, *, keys: Callable[[T, str], Any], record_id: Callable[[T], str]
) -> list[T]:
    """Sort by a parameter such as `-createdAt`; ids decide between equals: pages never overlap."""
    descending = order.startswith("-")
    field = order.removeprefix("-")
    return sorted(items, key=lambda item: (keys(item, field), record_id(item)), reverse=descending)


def importance_rank(importance: Importance) -> int:
    """Least important first."""
    return IMPORTANCE_ORDER.index(importance)


def status_rank(state: ProtonState) -> int:
    """Place of a state in `orderBy=status`."""
    return STATUS_ORDER.index(state)


def envelope(
    request: Request, data: Sequence[T], *, total: int, offset: int, limit: int
) -> dict[str, Any]:
    """Fields of a `Page`; links are absolute, on the host that the client asked, as it asked.

    Args:
        request: Whose other query parameters the links keep.
        data: The items of this page.
        total: Items on all pages.
        offset: Place of the first item of this page.
        limit: Items per page.
    """
    following = offset + len(data)
    return {
        "total_count": total,
        "count": len(data),
        "next": _link(request, following, limit) if data and following < total else None,
        "previous": _link(request, max(0, offset - limit), limit) if offset > 0 else None,
        "data": list(data),
    }


def cut(items: Sequence[T], *, offset: int, limit: int) -> Sequence[T]:
    """The items of one page."""
    return items[offset : offset + limit]


def _link(request: Request, offset: int, limit: int) -> str:
    kept = [
        (name, value)
        for name, value in parse_qsl(request.url.query, keep_blank_values=True)
        if name not in {"offset", "limit"}
    ]
    query = urlencode([*kept, ("offset", offset), ("limit", limit)])
    return str(request.url.replace(path=request.state.path_as_sent, query=query))
