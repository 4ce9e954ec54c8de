"""What must hold before a workload may run: limits, complete artifacts, sizes that fit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from controlplane.lifecycle.artifacts import DRAFT, check_complete
from controlplane.lifecycle.credentials import check_present
from controlplane.lifecycle.plans import ForbiddenError, StateError, UnfitError
from controlplane.lifecycle.underway import artifacts_in_use
from controlplane.model.artifacts import Artifact, ArtifactSpec
from controlplane.model.people import Credential
from controlplane.model.sizing import (
    INFERENCE_ERROR,
    NO_OFFER,
    Misfit,
    NoBundle,
    Offer,
    resolve,
)
from controlplane.model.states import Desired
from controlplane.model.workloads import ContainerResources, GroupRuntime, Runtime, Workload

METRICS: Final = (
    "httpRequestsConcurrency",
    "httpRequestsInFlight",
    "httpRequestsPerHour",
    "cpuAverageUtilization",
)
"""What every workload can scale on. NIM artifacts also scale on metrics of their containers."""

NIM: Final = "nim"

NAMELESS: Final = "default"
"""What a runtime calls a container that the artifact gives no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the installation allows. 0: no limit."""

    concurrent_workloads: int = 0
    workload_replicas: int = 0
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    """All credentials, by id."""
    draft_ttl_s: float = 0
    """How long a workload on a draft lives after its last start."""
    offer: Offer = NO_OFFER
    """Bundles and nodes."""


class InferenceError(UnfitError):
    """No bundle of the catalogue has what the allocations ask for."""


def check_startable(
    artifact: Artifact,
    runtime: Runtime,
    *,
    limits: Limits,
    others: Sequence[Workload],
    workload_id: str | None = None,
) -> None:
    """Everything that a start needs.

    Args:
        artifact: What shall run.
        runtime: How it shall run.
        limits: The installation's.
        others: All live workloads; the one to start may be among them.
        workload_id: The one to start; None while it is created.

    Raises:
        UnfitError: The artifact is incomplete, credentials that it needs are not there, the
            runtime does not fit it, or names bundles that there are not.
        InferenceError: No bundle has what it asks for.
        ForbiddenError: A limit would be broken.
        StateError: The artifact is a draft that backs another running workload.
    """
    check_complete(artifact)
    check_present(artifact.spec, limits.credentials.get)
    check_runtime(artifact.spec, runtime)
    check_metrics(artifact, runtime)
    check_replicas(runtime, limits)
    check_bundles(artifact.spec, runtime, limits.offer)
    running = [w for w in others if w.id != workload_id and w.desired is Desired.RUNNING]
    if limits.concurrent_workloads and len(running) >= limits.concurrent_workloads:
        raise ForbiddenError(
            f"Running workloads ({len(running) + 1}) exceed the maximum allowed"
            f" ({limits.concurrent_workloads})."
        )
    check_draft_is_free(artifact, running)


def check_draft_is_free(artifact: Artifact, running: Iterable[Workload]) -> None:
    """That a draft artifact backs no other running workload; locked ones may back any number.

    Raises:
        StateError: It does; the text names the workload.
    """
    if artifact.status != DRAFT:
        return
    for workload in running:
        if artifact.id in artifacts_in_use(workload):
            raise StateError(
                f"Draft artifact {artifact.id} backs the running workload {workload.id}:"
                " stop that one, or lock the artifact so that several workloads can use it."
            )


def check_runtime(spec: ArtifactSpec, runtime: Runtime) -> None:
    """That every group and container which a runtime names exists in the artifact.

    Raises:
        UnfitError: One does not; the text names it and what there is.
    """
    groups = {group.name: group for group in spec.container_groups}
    for wanted in runtime.container_groups:
        group = groups.get(wanted.name)
        if group is None:
            raise UnfitError(
                f"The artifact has no container group {wanted.name!r};"
                f" it has {', '.join(sorted(groups))}."
            )
        names = {container.name or NAMELESS for container in group.containers}
        for container in wanted.containers:
            if container.name not in names:
                raise UnfitError(
                    f"The artifact has no container named {container.name!r};"
                    f" it has {', '.join(sorted(names)) or 'none'}."
                )


def check_metrics(artifact: Artifact, runtime: Runtime) -> None:
    """That the runtime scales on what such an artifact has.

    Raises:
        UnfitError: It names a metric of the container's own, and the artifact is no NIM.
    """
    autoscaling = runtime.group().autoscaling
    if artifact.type == NIM or autoscaling is None:
        return
    shadow = autoscaling.shadow
    for policy in (*autoscaling.policies, *(shadow.policies if shadow is not None else ())):
        if policy.metric not in METRICS:
            raise UnfitError(
                f"scalingMetric {policy.metric!r} is for artifacts of type nim only, and this one"
                f" is of type {artifact.type}: use one of {', '.join(METRICS)}."
            )


def check_replicas(runtime: Runtime, limits: Limits) -> None:
    """That a runtime asks for no more replicas than allowed.

    Raises:
        ForbiddenError: It does: the contract's own sentence, and one that says what to do.
    """
    if not limits.workload_replicas:
        return
    group = runtime.group()
    field, asked = "replicaCount", group.replica_count or 1
    if group.autoscaling is not None and group.autoscaling.enabled:
        field, asked = "maxReplicaCount", group.autoscaling.most()
    if asked > limits.workload_replicas:
        raise ForbiddenError(
            f"Requested replicas ({asked}) exceeds the maximum allowed"
            f" ({limits.workload_replicas})."
            f" Lower {field}, or have api.max_workload_replicas raised."
        )


def check_bundles(spec: ArtifactSpec, runtime: Runtime, offer: Offer) -> None:
    """That the catalogue has the bundles which a runtime names, or one that fits what it states.

    Raises:
        UnfitError: It names one that there is not; the text says which there are.
        InferenceError: None has what its allocations ask for; the text names the reason.
    """
    found = resolve(_spoken_group(runtime, spec), offer)
    if isinstance(found, Misfit):
        if found.reason in {NoBundle.UNKNOWN, NoBundle.NOT_FOR_WORKLOADS}:
            raise UnfitError(f"resourceBundles: {found.sentence}")
        raise InferenceError(f"{INFERENCE_ERROR} ({found.reason}): {found.sentence}")


def effective_runtime(runtime: Runtime, spec: ArtifactSpec, offer: Offer = NO_OFFER) -> Runtime:
    """A runtime with everything said that a proton needs.

    One group, named as the artifact's; a replica count where nothing scales by itself (1, the
    contract's default); the sizes that old artifacts state inside their containers, where the
    runtime does not state its own; and the bundles that the catalogue has for it.
    """
    group = _spoken_group(runtime, spec)
    found = resolve(group, offer)
    # What was started before the catalogue changed is still shown; `check_bundles` refuses starts.
    return msgspec.structs.replace(
        runtime, container_groups=(group if isinstance(found, Misfit) else found,)
    )


def _spoken_group(runtime: Runtime, spec: ArtifactSpec) -> GroupRuntime:
    known = spec.container_groups[0] if spec.container_groups else None
    group = runtime.container_groups[0] if runtime.container_groups else None
    if group is None:
        group = GroupRuntime(name=known.name if known is not None else "default")
    scaled = group.autoscaling is not None and group.autoscaling.enabled
    if not scaled and group.replica_count is None:
        group = msgspec.structs.replace(group, replica_count=1)
    if known is not None and not group.containers and not group.resource_bundles:
        stated = tuple(
            ContainerResources(name=container.name or NAMELESS, resources=container.resources)
            for container in known.containers
            if container.resources is not None
        )
        group = msgspec.structs.replace(group, containers=stated)
    return group


def only_scaling_differs(old: Runtime, new: Runtime) -> bool:
    """Whether two runtimes differ at most in counts, autoscaling and concurrency limits.

    A catalogue that has changed since is no difference: new sizes come with new replicas.
    """
    return _without_scaling(old) == _without_scaling(new)


def _without_scaling(runtime: Runtime) -> Runtime:
    group = msgspec.structs.replace(
        runtime.group(), replica_count=None, autoscaling=None, concurrency_limit=None, bundles=()
    )
    return msgspec.structs.replace(runtime, container_groups=(group,))
