"""Deployments: v2.41's wrapper of a workload (its answers are ours to decide)."""

from pydantic import Field

from controlplane.model.states import Importance
from controlplane.wire.base import Input, Name, Shape
from controlplane.wire.people import UserShape
from controlplane.wire.statistics import MetricsShape, PeriodShape


class DeploymentInput(Input):
    """Body of create."""

    name: Name
    workload_id: str
    description: str | None = None
    importance: Importance = Importance.LOW


class DeploymentPatch(Input):
    """Body of PATCH: what is absent or null stays."""

    name: Name | None = None
    description: str | None = None
    importance: Importance | None = None


class DeploymentFormatted(Shape):
    """One deployment; `status` is its workload's."""

    id: str
    name: str
    description: str
    importance: Importance
    workload_id: str
    artifact_id: str | None
    status: str
    endpoint: str
    creator: UserShape | None
    permissions: list[str]
    created_at: str
    updated_at: str


class DeploymentMetrics(MetricsShape):
    """Requests of the deployment's workload, by whichever URL they came."""

    queued_requests: int = Field(description="That wait in the gateway now.")
    refused_requests: int = Field(description="Answered by the gateway itself; part of the errors.")
    aborted_requests: int = Field(description="A side vanished; no errors.")
    cold_starts: int = Field(description="Requests that found no replica ready.")


class DeploymentStats(Shape):
    """Answer of `stats`."""

    period: PeriodShape
    metrics: DeploymentMetrics
