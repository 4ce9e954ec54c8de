"""The calls that are measured: what clients and pages do most, and what costs most with many."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from loadtests.api.contents import OWNER, workload_id

_ARTIFACT: Final = {
    "name": "made",
    "spec": {
        "containerGroups": [
            {"containers": [{"name": "main", "imageUri": "example/a:1", "port": 8000}]}
        ]
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str = "GET"
    path: str
    body: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One kind of request; `ask(size, turn)` is the turn's request at that many workloads."""

    name: str
    title: str
    ask: Callable[[int, int], Asked]
    status: int = 200
    budget_ms: float
    """Most CPU time of the API process per call at 10,000 workloads, milliseconds."""


def _spread(size: int, turn: int) -> str:
    """Another workload each turn."""
    return workload_id(1 + turn * 7919 % size)


def _list(query: str) -> Callable[[int, int], Asked]:
    return lambda size, turn: Asked(path=f"workloads/?{query}")


CALLS: Final = (
    Call(
        name="create",
        title="create with an inline artifact",
        ask=lambda size, turn: Asked(
            method="POST", path="workloads/", body={"name": f"made {turn}", "artifact": _ARTIFACT}
        ),
        status=201,
        budget_ms=25,
    ),
    Call(
        name="get",
        title="get one",
        ask=lambda size, turn: Asked(path=f"workloads/{_spread(size, turn)}/"),
        budget_ms=8,
    ),
    Call(
        name="patch",
        title="change a description",
        ask=lambda size, turn: Asked(
            method="PATCH",
            path=f"workloads/{_spread(size, turn)}/",
            body={"description": f"turn {turn}"},
        ),
        budget_ms=15,
    ),
    Call(name="list", title="list, first page of 10", ask=_list("limit=10"), budget_ms=60),
    Call(name="list-100", title="list, first page of 100", ask=_list("limit=100"), budget_ms=120),
    Call(
        name="list-deep",
        title="list, last page of 100",
        ask=lambda size, turn: Asked(path=f"workloads/?limit=100&offset={max(0, size - 100)}"),
        budget_ms=120,
    ),
    Call(
        name="by-name",
        title="list by name, first page of 10",
        ask=_list("limit=10&orderBy=-name"),
        budget_ms=80,
    ),
    Call(
        name="search",
        title="search in name, description and id",
        ask=lambda size, turn: Asked(path=f"workloads/?limit=10&search=service+{1 + turn % size}"),
        budget_ms=80,
    ),
    Call(
        name="by-status",
        title="list those that are suspended, page of 10",
        ask=_list("limit=10&status=suspended"),
        budget_ms=250,
    ),
    Call(
        name="stats",
        title="list with serviceStats, page of 10",
        ask=_list("limit=10&serviceStats=true"),
        budget_ms=100,
    ),
    Call(
        name="overview",
        title="statistics of all workloads",
        ask=lambda size, turn: Asked(path="workloads/stats/"),
        budget_ms=500,
    ),
    Call(
        name="artifacts",
        title="list artifacts of a person, page of 10",
        ask=lambda size, turn: Asked(path=f"artifacts/?limit=10&createdBy={OWNER}"),
        budget_ms=60,
    ),
)
BY_NAME: Final = {call.name: call for call in CALLS}
