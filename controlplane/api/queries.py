"""Query parameters of the lists, in both families. Unknown ones are refused."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from controlplane.api.pages import Cursor, NewPage, OldPage
from controlplane.model.states import Importance
from controlplane.wire.artifacts import TypeWord
from controlplane.wire.base import Input

MAX_TAG_FILTERS: Final = 100


def _trimmed(text: str) -> str:
    return text.strip()


Search = Annotated[
    str,
    Field(
        max_length=100,
        description="In name, description and id, upper or lower case; spaces around count not.",
    ),
    AfterValidator(_trimmed),
]
_Ids = Annotated[list[str], Field(max_length=1000)]
_Words = Annotated[
    list[Annotated[str, AfterValidator(_trimmed)]], Field(max_length=MAX_TAG_FILTERS)
]
_Order = Literal[
    "name", "-name", "createdAt", "-createdAt", "updatedAt", "-updatedAt", "status", "-status"
]
_WorkloadOrder = Literal[_Order, "importance", "-importance"]
_RepositoryOrder = Literal["name", "-name", "createdAt", "-createdAt", "updatedAt", "-updatedAt"]

WorkloadStatus = Literal[
    "unknown",
    "submitted",
    "initializing",
    "provisioning",
    "launching",
    "running",
    "suspended",
    "interrupted",
    "warming",
    "draining",
    "stopping",
    "stopped",
    "errored",
    "terminated",
]
"""What clients may filter by: the words of all generations."""

ArtifactStatus = Literal["draft", "locked", "registered"]


class _Filters(Input):
    ids: _Ids = Field(default_factory=list)
    search: Search | None = None
    created_by: str | None = Field(None, description="The creator's user id.")


class _TagFilters(_Filters):
    tag_keys: _Words = Field(
        default_factory=list, description="Names of tags: one of these, or of `tagValues`."
    )
    tag_values: _Words = Field(
        default_factory=list, description="Values of tags: one of these, or of `tagKeys`."
    )


class WorkloadFilters(_TagFilters):
    """Which workloads: every parameter must fit, and of a repeated one any value."""

    status: list[WorkloadStatus] = Field(default_factory=list)
    importance: list[Importance] = Field(default_factory=list)
    artifact_id: str | None = None
    artifact_status: list[ArtifactStatus] = Field(default_factory=list)
    repository_id: str | None = None
    type: TypeWord | None = Field(None, description="The artifact's type.")
    enclave: _Words = Field(
        default_factory=list, description="Names of enclaves that the runtime asks for."
    )
    enclaves: _Words = Field(default_factory=list, description="The same as `enclave`.")


class _OldOrder(OldPage):
    sort: str

    @property
    def order_by(self) -> str:
        """`sort` under the name that the code uses."""
        return self.sort


class NewWorkloadQuery(WorkloadFilters, Cursor, NewPage):
    """Query of the workload list in the new family."""

    order_by: _WorkloadOrder = "createdAt"
    service_stats: bool = Field(False, description="Fill `requestStats`.")


class OldWorkloadQuery(WorkloadFilters, Cursor, _OldOrder):
    """Query of the workload list in the old family."""

    sort: _WorkloadOrder = "createdAt"
    service_stats: bool = Field(False, description="Fill `requestStats`.")


WorkloadQuery = NewWorkloadQuery | OldWorkloadQuery


class _ArtifactFilters(_TagFilters):
    type: TypeWord | None = None
    status: list[ArtifactStatus] = Field(default_factory=list)
    repository_id: str | None = None


class NewArtifactQuery(_ArtifactFilters, Cursor, NewPage):
    """Query of the artifact list in the new family."""

    order_by: _Order = "createdAt"


class OldArtifactQuery(_ArtifactFilters, Cursor, _OldOrder):
    """Query of the artifact list in the old family."""

    sort: _Order = "createdAt"


ArtifactQuery = NewArtifactQuery | OldArtifactQuery


class RepositoryQuery(_TagFilters, Cursor, NewPage):
    """Query of the repository list."""

    type: TypeWord | None = None
    order_by: _RepositoryOrder = "createdAt"


class _DeploymentFilters(_Filters):
    importance: list[Importance] = Field(default_factory=list)
    workload_id: str | None = None


class NewDeploymentQuery(_DeploymentFilters, Cursor, NewPage):
    """Query of the deployment list in the new family."""

    order_by: _WorkloadOrder = "createdAt"


class OldDeploymentQuery(_DeploymentFilters, Cursor, _OldOrder):
    """Query of the deployment list in the old family."""

    sort: _WorkloadOrder = "createdAt"


DeploymentQuery = NewDeploymentQuery | OldDeploymentQuery
