"""From records to answers: statuses, people, links, in the words of the request's family."""

from dataclasses import replace
from typing import Final

import msgspec

from controlplane.api.call import Call
from controlplane.lifecycle import access
from controlplane.lifecycle.expiry import expires_at
from controlplane.lifecycle.rules import NAMELESS, effective_runtime, only_scaling_differs
from controlplane.lifecycle.status import Status, proton_status, workload_status
from controlplane.model.artifacts import Artifact, ArtifactSpec, Repository
from controlplane.model.explain import with_names
from controlplane.model.people import User
from controlplane.model.sizing import resolved_to
from controlplane.model.states import AccessRole, ProtonRole, ProtonState
from controlplane.model.workloads import Deployment, Proton, Scale, Workload
from controlplane.wire.artifacts import ArtifactFormatted, ArtifactSummary, RepositoryFormatted
from controlplane.wire.base import maybe_timestamp, timestamp
from controlplane.wire.deployments import DeploymentFormatted
from controlplane.wire.families import workload_status as status_word
from controlplane.wire.people import UserShape
from controlplane.wire.protons import (
    OverallStatus,
    ProtonFormatted,
    ReplicaStatus,
    StatusSnapshot,
)
from controlplane.wire.replacements import ReplacementFormatted
from controlplane.wire.runtime import OldRuntimeShape, RuntimeShape, runtime_shape
from controlplane.wire.tags import tag_shapes
from controlplane.wire.traffic import TrafficShape
from controlplane.wire.workloads import Condition, StatusDetails, WorkloadFormatted

_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class Views:
    """Formats records for one request."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._services = call.services
        self._family = call.family

    # -- statuses -----------------------------------------------------------------------------

    def proton_status(self, proton: Proton) -> Status:
        """What a proton does now; of those that have its capacity, with names it may know."""
        found = proton_status(
            proton,
            scale=self._services.mirror.get(Scale, proton.id),
            replicas=self._services.replicas[proton.id].values(),
        )
        if found.granted_replicas is None:
            return found
        return replace(found, message=with_names(found.message, self._call.name_of))

    def workload_status(self, workload: Workload) -> Status:
        """What a workload does now."""
        active = self.active_proton(workload)
        return workload_status(workload, None if active is None else self.proton_status(active))

    def workload_state(self, workload: Workload) -> ProtonState:
        """The state alone: lists look at thousands."""
        active = self.active_proton(workload)
        if active is not None:
            return self._services.states.of(active)
        return workload_status(workload, None).state

    def workload_word(self, state: ProtonState) -> str:
        """A workload's state in the family's words."""
        return status_word(state, self._family)

    def deployment_state(self, deployment: Deployment) -> ProtonState:
        """The state of a deployment's workload."""
        workload = self._services.mirror.get(Workload, deployment.workload_id)
        return ProtonState.UNKNOWN if workload is None else self.workload_state(workload)

    def active_proton(self, workload: Workload) -> Proton | None:
        """The proton that carries a workload."""
        if workload.active_proton_id is None:
            return None
        return self._services.mirror.get(Proton, workload.active_proton_id)

    # -- answers ------------------------------------------------------------------------------

    def artifact(self, artifact: Artifact) -> ArtifactFormatted:
        """The answer for one artifact; consumers do not see what is inside."""
        if access.role_on(self._call.user, artifact) not in access.READERS:
            artifact = msgspec.structs.replace(artifact, spec=ArtifactSpec())
        return ArtifactFormatted.of(
            artifact,
            family=self._family,
            creator=self._person(artifact.creator_id),
            permissions=self._permissions(artifact),
        )

    def repository(self, repository: Repository) -> RepositoryFormatted:
        """The answer for one repository."""
        artifacts = self._services.artifacts[repository.id].values()
        return RepositoryFormatted.of(
            repository,
            artifacts=sum(artifact.deleted_at is None for artifact in artifacts),
            creator=self._person(repository.creator_id),
            permissions=self._permissions(repository),
        )

    def workload(self, workload: Workload) -> WorkloadFormatted:
        """The answer for one workload; consumers see its identity and endpoint only."""
        artifact = self._services.mirror.get(Artifact, workload.artifact_id)
        status = self.workload_status(workload)
        role = access.role_on(self._call.user, workload)
        full = role in access.READERS
        owners = [
            person
            for user_id, held in workload.roles.items()
            if held is AccessRole.OWNER and (person := self._person(user_id)) is not None
        ]
        return WorkloadFormatted(
            id=workload.id,
            name=workload.name,
            description=workload.description,
            status=self.workload_word(status.state),
            status_details=_details(status) if full else None,
            importance=workload.importance,
            type="service" if artifact is None else artifact.type,
            artifact_id=workload.artifact_id,
            artifact=None if artifact is None else ArtifactSummary.of(artifact, self._family),
            endpoint=self.endpoint("workloads", workload.id),
            proton_id=workload.active_proton_id,
            runtime=self.runtime(workload) if full else None,
            traffic=TrafficShape.of(workload.traffic) if full else None,
            replacement=self.replacement(workload) if full else None,
            use_case_id=workload.use_case_id,
            expires_at=maybe_timestamp(expires_at(workload, artifact)),
            creator=self._person(workload.creator_id),
            owners=owners,
            permissions=access.permissions(role),
            tags=tag_shapes(workload.tags),
            created_at=timestamp(workload.created_at),
            updated_at=timestamp(workload.updated_at),
        )

    def runtime(self, workload: Workload) -> OldRuntimeShape | RuntimeShape:
        """How a workload runs; the bundles are those of the proton that carries it."""
        artifact = self._services.mirror.get(Artifact, workload.artifact_id)
        runtime = workload.runtime
        if artifact is not None:
            runtime = effective_runtime(runtime, artifact.spec, self._services.offer())
        active = self.active_proton(workload)
        if active is not None and only_scaling_differs(active.runtime, runtime):
            sized = msgspec.structs.replace(runtime.group(), bundles=active.runtime.group().bundles)
            runtime = msgspec.structs.replace(runtime, container_groups=(sized,))
            runtime = resolved_to(runtime, self._bundle_of(active))
        return runtime_shape(runtime, self._family)

    def _bundle_of(self, proton: Proton) -> str | None:
        """Which of its candidates a proton's replicas have."""
        scale = self._services.mirror.get(Scale, proton.id)
        return None if scale is None else scale.bundle

    def replacement(self, workload: Workload) -> ReplacementFormatted | None:
        """A workload's replacement: under way, or the last one if it failed."""
        found = workload.replacement
        return None if found is None else ReplacementFormatted.of(found, self._family)

    def proton(self, proton: Proton) -> ProtonFormatted:
        """The answer for one proton."""
        status = self.proton_status(proton)
        containers = [c for group in proton.spec.container_groups for c in group.containers]
        endpoint = self.endpoint("workloads", proton.workload_id).removesuffix("/")
        return ProtonFormatted(
            id=proton.id,
            name=proton.name,
            status=status.state,
            status_details=_details(status),
            role=None if proton.role is ProtonRole.DRAINING else proton.role,
            weight=proton.weight,
            artifact_id=proton.artifact_id,
            workload_id=proton.workload_id,
            runtime=runtime_shape(
                resolved_to(proton.runtime, self._bundle_of(proton)), self._family
            ),
            endpoint=f"{endpoint}?protonId={proton.id}",
            running_since=maybe_timestamp(status.running_since),
            deployed_images={c.name or NAMELESS: c.image_uri for c in containers if c.image_uri},
            creator=self._person(proton.creator_id),
            created_at=timestamp(proton.created_at),
            updated_at=timestamp(proton.updated_at),
        )

    def snapshot(self, proton: Proton) -> StatusSnapshot | None:
        """All replicas of a proton; None before anything is known."""
        status = self.proton_status(proton)
        if not status.known:
            return None
        primary = proton.spec.primary()
        name = NAMELESS if primary is None else primary.name or NAMELESS
        image = None if primary is None else primary.image_uri
        replicas = sorted(
            self._services.replicas[proton.id].values(), key=lambda r: (r.created_at, r.id)
        )
        told = (
            f"Proton is {status.state}: {status.ready_replicas} of {len(replicas)} replicas ready"
        )
        return StatusSnapshot(
            overall_status=OverallStatus(
                state=status.state,
                summary=status.message or told,
                last_updated=maybe_timestamp(status.updated_at),
            ),
            replicas=[ReplicaStatus.of(r, container=name, image=image) for r in replicas],
            log_tail=list(status.log_tail) or None,
        )

    def deployment(self, deployment: Deployment) -> DeploymentFormatted:
        """The answer for one deployment."""
        workload = self._services.mirror.get(Workload, deployment.workload_id)
        return DeploymentFormatted(
            id=deployment.id,
            name=deployment.name,
            description=deployment.description,
            importance=deployment.importance,
            workload_id=deployment.workload_id,
            artifact_id=None if workload is None else workload.artifact_id,
            status=self.workload_word(self.deployment_state(deployment)),
            endpoint=self.endpoint("deployments", deployment.id),
            creator=self._person(deployment.creator_id),
            permissions=[] if workload is None else self._permissions(workload),
            created_at=timestamp(deployment.created_at),
            updated_at=timestamp(deployment.updated_at),
        )

    def endpoint(self, kind: str, record_id: str, *, inside: bool = False) -> str:
        """An invoke URL: there from creation, absolute, with a slash at its end.

        Args:
            kind: `workloads` or `deployments`.
            record_id: Whose.
            inside: For this process itself: nothing that a client says is in it.
        """
        settings = self._services.settings
        base = settings.api.gateway_url
        if not base:
            host = settings.gateway.host
            if host in _EVERY_ADDRESS:
                host = "127.0.0.1" if inside else self._call.request.url.hostname or "127.0.0.1"
            shown = f"[{host}]" if ":" in host else host
            tls = bool(settings.gateway.tls_cert_file)
            port = settings.gateway.tls_port if tls else settings.gateway.port
            base = f"{'https' if tls else 'http'}://{shown}:{port}"
        return f"{base.rstrip('/')}/api/v2/endpoints/{kind}/{record_id}/"

    def _person(self, user_id: str) -> UserShape | None:
        user = self._services.mirror.get(User, user_id)
        return None if user is None else UserShape.of(user)

    def _permissions(self, entity: Workload | Artifact | Repository) -> list[str]:
        return access.permissions(access.role_on(self._call.user, entity))


_SERVING: Final = frozenset({ProtonState.RUNNING, ProtonState.WARMING, ProtonState.DRAINING})
"""Protons whose replicas are ready, traffic or not."""


def _details(status: Status) -> StatusDetails | None:
    if not status.known and not status.message:
        return None
    running = status.state in _SERVING
    return StatusDetails(
        message=status.message,
        log_tail=list(status.log_tail) or None,
        conditions=[
            Condition(
                type="Ready",
                value=running,
                last_transition_time=maybe_timestamp(
                    status.running_since if running else status.updated_at
                ),
                reason=status.state,
                message=status.message or None,
            )
        ],
        reason=status.reason,
        wanted_replicas=status.wanted_replicas,
        granted_replicas=status.granted_replicas,
        ready_replicas=status.ready_replicas,
    )
