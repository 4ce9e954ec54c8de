"""What stands beside a workload: related entities, agent cards."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from controlplane.wire.base import Input, Shape

MOST_IDS = 20
"""Ids in one parameter of the agent card list, the contract's limit."""


class Related(Shape):
    """Something that a workload is connected with."""

    id: str
    type: Literal["artifact", "artifactRepository", "deployment", "workload"]
    name: str
    status: str | None = Field(description="Of an artifact, deployment or workload.")


class RelatedList(Shape):
    """All of them: there is no paging."""

    count: int
    data: list[Related]


def _split(values: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    if not isinstance(values, list):
        return values
    return [word for value in values for word in str(value).split(",") if word]


def _once(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))


Ids = Annotated[
    list[str],
    BeforeValidator(_split),
    Field(max_length=MOST_IDS, description="Between commas, or repeated."),
    AfterValidator(_once),
]


class AgentCardFilters(Input):
    """Which agent cards; without any ids those of all agents that run now."""

    workload_ids: Ids | None = None
    deployment_ids: Ids | None = None
    external_ids: Ids | None = Field(None, description="Nothing here has external ids.")


class AgentCardEntry(Shape):
    """An agent and its card."""

    id: str = Field(description="The workload's.")
    name: str
    workload_id: str | None = Field(description="Null where it was asked for by deployment.")
    deployment_id: str | None
    external_id: None = None
    agent_card: dict[str, Any] | None = Field(description="Null: none could be had, see `message`.")
    message: str = Field(description="Why there is no card; empty: there is one.")
