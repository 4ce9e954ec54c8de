"""Artifacts and their repositories."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from controlplane.model.artifacts import Artifact, ArtifactSpec, Repository
from controlplane.wire.base import Flag, Input, Name, Shape, broken_rule, timestamp
from controlplane.wire.containers import ContainerGroupInput, ContainerGroupShape
from controlplane.wire.families import Family, artifact_status
from controlplane.wire.people import UserShape
from controlplane.wire.tags import TagShape, TagsInput, tag_shapes


def _modern_type(value: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    return "service" if value == "generic" else value


ArtifactType = Annotated[
    Literal["service", "nim", "agent", "mcp"],
    BeforeValidator(_modern_type, json_schema_input_type=str),
]
"""`generic` is v2.41's word for `service`."""

TypeWord = Annotated[str, AfterValidator(_modern_type)]
"""A type to look for, in the words of all generations."""

Status = Literal["draft", "locked", "registered"]


class NimStorage(Input):
    """Where a NIM artifact keeps its model files."""

    mode: Literal["dedicatedPvc", "nimCache"] = "dedicatedPvc"
    pvc_size: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(Gi|Mi|Ti)$")] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pvc_size is not None and self.mode != "dedicatedPvc":
            raise broken_rule("pvcSize goes with mode dedicatedPvc only", "pvcSize")
        return self


class SpecInput(Input):
    """An artifact's body. `type` is accepted and ignored: the artifact's own type counts."""

    type: str | None = None
    container_groups: Annotated[tuple[ContainerGroupInput, ...], Field(max_length=1)] = ()
    storage: NimStorage | None = None
    a2a_enabled: Flag | None = Field(
        None, validation_alias="a2aEnabled", serialization_alias="a2aEnabled"
    )
    template_id: str | None = None

    def to_model(self, base: ArtifactSpec | None = None) -> ArtifactSpec:
        """The record's form; what the body leaves out comes from `base`."""
        told, base = self.model_fields_set, base or ArtifactSpec()
        storage = None
        if self.storage is not None:
            storage = self.storage.model_dump(mode="json", exclude_none=True)
        return ArtifactSpec(
            container_groups=tuple(g.to_model() for g in self.container_groups)
            if "container_groups" in told
            else base.container_groups,
            storage=storage if "storage" in told else base.storage,
            a2a_enabled=self.a2a_enabled if "a2a_enabled" in told else base.a2a_enabled,
            template_id=self.template_id if "template_id" in told else base.template_id,
        )


class ArtifactInput(Input):
    """Body of create and of full replacement. New artifacts are drafts whatever `status` says."""

    name: Name
    description: str = ""
    type: ArtifactType = "service"
    status: Status | None = None
    artifact_repository_id: str | None = None
    tags: TagsInput | None = None
    spec: SpecInput

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.spec.storage is not None and self.type != "nim":
            raise broken_rule(
                "spec.storage goes with artifacts of type nim only", "spec", "storage"
            )
        if self.spec.a2a_enabled and self.type != "agent":
            raise broken_rule(
                "spec.a2aEnabled goes with artifacts of type agent only", "spec", "a2aEnabled"
            )
        return self


class ArtifactPatch(Input):
    """Body of PATCH: what is absent or null stays; `status: locked` (or `registered`) locks."""

    name: Name | None = None
    description: str | None = None
    status: Status | None = None
    tags: TagsInput | None = None
    spec: SpecInput | None = None


class CloneInput(Input):
    """Body of clone."""

    name: Name


class SpecShape(Shape):
    """An artifact's body in an answer."""

    type: str
    container_groups: list[ContainerGroupShape]
    storage: dict[str, Any] | None = None
    a2a_enabled: bool | None = Field(
        None, validation_alias="a2aEnabled", serialization_alias="a2aEnabled"
    )
    template_id: str | None = None

    @classmethod
    def of(cls, spec: ArtifactSpec, artifact_type: str) -> Self:
        """The answer's form of a spec."""
        return cls(
            type=artifact_type,
            container_groups=[ContainerGroupShape.of(g) for g in spec.container_groups],
            storage=spec.storage,
            a2a_enabled=spec.a2a_enabled,
            template_id=spec.template_id,
        )


class ArtifactFormatted(Shape):
    """One artifact."""

    id: str
    name: str
    description: str
    status: str
    type: str
    version: int | None
    artifact_repository_id: str | None
    spec: SpecShape
    creator: UserShape | None
    tags: tuple[TagShape, ...]
    permissions: list[str]
    created_at: str
    updated_at: str

    @classmethod
    def of(
        cls,
        artifact: Artifact,
        *,
        family: Family,
        creator: UserShape | None,
        permissions: list[str],
    ) -> Self:
        """The answer's form of an artifact."""
        return cls(
            id=artifact.id,
            name=artifact.name,
            description=artifact.description,
            status=artifact_status(artifact.status, family),
            type=artifact.type,
            version=artifact.version,
            artifact_repository_id=artifact.repository_id,
            spec=SpecShape.of(artifact.spec, artifact.type),
            creator=creator,
            tags=tag_shapes(artifact.tags),
            permissions=permissions,
            created_at=timestamp(artifact.created_at),
            updated_at=timestamp(artifact.updated_at),
        )


class ArtifactSummary(Shape):
    """What a workload's answer says about its artifact."""

    id: str
    name: str
    status: str
    type: str
    version: int | None
    artifact_repository_id: str | None

    @classmethod
    def of(cls, artifact: Artifact, family: Family) -> Self:
        """The short form of an artifact."""
        return cls(
            id=artifact.id,
            name=artifact.name,
            status=artifact_status(artifact.status, family),
            type=artifact.type,
            version=artifact.version,
            artifact_repository_id=artifact.repository_id,
        )


class BuildInput(Input):
    """Body of a build request: nothing, or which containers."""

    container_names: list[str] | None = None


class BuildFormatted(Shape):
    """One image build."""

    id: str
    name: str
    artifact_id: str
    status: Literal[
        "PENDING", "IN_PROGRESS", "BUILT", "COMPLETED", "FAILED", "CANCELLED", "UNKNOWN"
    ]
    creator: UserShape | None
    created_at: str
    updated_at: str


class RepositoryFormatted(Shape):
    """One line of artifact versions."""

    id: str
    name: str
    type: str
    last_version_number: int
    num_artifacts: int
    creator: UserShape | None
    tags: tuple[TagShape, ...]
    permissions: list[str]
    created_at: str
    updated_at: str

    @classmethod
    def of(
        cls,
        repository: Repository,
        *,
        artifacts: int,
        creator: UserShape | None,
        permissions: list[str],
    ) -> Self:
        """The answer's form of a repository that holds `artifacts` artifacts."""
        return cls(
            id=repository.id,
            name=repository.name,
            type=repository.type,
            last_version_number=repository.last_version,
            num_artifacts=artifacts,
            creator=creator,
            tags=tag_shapes(repository.tags),
            permissions=permissions,
            created_at=timestamp(repository.created_at),
            updated_at=timestamp(repository.updated_at),
        )
