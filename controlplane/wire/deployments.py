"""Deployments: v2.41's wrapper of a workload (its answers are ours to decide)."""

from controlplane.model.states import Importance
from controlplane.wire.base import Input, Name, Shape
from controlplane.wire.people import UserShape


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


class StatsPeriod(Shape):
    """What the numbers cover. `start` null: since each gateway worker that reports now started."""

    start: str | None
    end: str | None


class RequestMetrics(Shape):
    """Requests of one workload over all gateway workers that report now."""

    total_requests: int
    requests_per_minute: float
    concurrent_requests: int
    queued_requests: int
    server_errors: int
    user_errors: int
    refused_requests: int
    aborted_requests: int
    total_error_rate: float
    server_error_rate: float
    user_error_rate: float
    cold_starts: int


class RequestStats(Shape):
    """Answer of `stats`."""

    period: StatsPeriod
    metrics: RequestMetrics
