"""What to start for a proton: command, environment and limits, composed without any I/O."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controlplane.model.artifacts import Container, Resources
from controlplane.model.bundles import Bundle
from controlplane.model.sizing import bundle_resources, container_resources
from controlplane.model.workloads import Proton

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Variables of the autoscaler's own environment that a replica gets. Nothing else: settings,
tokens and store addresses of the installation are none of its business."""

REPLICA_MARK: Final = "TIDEGATE_REPLICA_ID"
HOME_MARK: Final = "TIDEGATE_REPLICA_HOME"
"""Marks by which a later run recognises the replicas of this installation."""

NO_GPUS: Final = {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
"""Which GPUs CUDA sees: none with an empty list; `void` is NVIDIA's container runtime's word."""

_EXPORTER: Final = "OTEL_EXPORTER_OTLP_"


class NothingToRunError(ValueError):
    """The proton has nothing that this installation can run; the message says what to add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a proton's replicas have in common."""

    container: Container
    argv: tuple[str, ...]
    resources: Resources


def launch_of(proton: Proton) -> Launch:
    """What to start for a proton.

    Raises:
        NothingToRunError: No primary container, or one without an entrypoint.
    """
    container = proton.spec.primary()
    if container is None:
        raise NothingToRunError(
            "The artifact has no primary container: mark the one that listens on HTTP with "
            '"primary": true, then stop and start the workload.'
        )
    if not container.entrypoint:
        image = f" ({container.image_uri})" if container.image_uri else ""
        raise NothingToRunError(
            "The artifact's primary container has no entrypoint. This installation runs local "
            f"processes: it starts `entrypoint`, and imageUri{image} is only recorded. Add the "
            'command as a list of arguments, for example "entrypoint": ["python", "-m", '
            '"my_service"], then stop and start the workload.'
        )
    return Launch(
        container=container,
        argv=container.entrypoint,
        resources=container_resources(proton.runtime.group(), container),
    )


def sized(launch: Launch, bundle: Bundle) -> Launch:
    """The same at the size of a bundle."""
    return replace(launch, resources=bundle_resources(bundle))


def otlp_variables(
    endpoint: str, key: str, *, workload_id: str, proton_id: str, replica_id: str
) -> dict[str, str]:
    """What an OpenTelemetry SDK needs to send to us; it reads these names by itself.

    Args:
        endpoint: Base URL; SDKs add `/v1/traces` and the like.
        key: May write telemetry of this workload, and nothing else.
        workload_id: Whose telemetry it will be.
        proton_id: Of the replica.
        replica_id: The replica.
    """
    entity = f"workload-{workload_id}"
    resource = {
        "workload_id": workload_id,
        "proton_id": proton_id,
        "replica_id": replica_id,
        "service.instance.id": replica_id,
    }
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": f"X-DataRobot-Api-Key={key},X-DataRobot-Entity-Id={entity}",
        "OTEL_SERVICE_NAME": entity,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{name}={value}" for name, value in resource.items()),
    }


def fitting_otlp(variables: Mapping[str, str], stated: Collection[str]) -> dict[str, str]:
    """Those that an artifact leaves to us.

    An endpoint of its own gets neither our key nor our protocol.

    Args:
        variables: From `otlp_variables`.
        stated: Names of the artifact's own variables.
    """
    elsewhere = any(name.startswith(_EXPORTER) and name.endswith("_ENDPOINT") for name in stated)
    return {
        name: value
        for name, value in variables.items()
        if name not in stated and not (elsewhere and name.startswith(_EXPORTER))
    }


def replica_environment(
    launch: Launch,
    *,
    inherited: Mapping[str, str],
    port: int,
    host: str,
    workload_id: str,
    replica_id: str,
    home: str,
    told: Mapping[str, str] | None = None,
    otlp: Mapping[str, str] | None = None,
    gpus: Sequence[str] | None = None,
) -> dict[str, str]:
    """The whole environment of a replica's process; later lines win over earlier ones.

    `told` are the values that the artifact only refers to; see `reconcilers.base.Secrets`.
    `PYTHONUNBUFFERED` makes the last words of a dying Python service reach its log. `HOST` and
    `PORT` are ours: a replica on another address would be reachable around the gateway. So are the
    ids of its GPUs, where it has some of its own; where GPUs are shared out and it has none, it
    sees none, unless its artifact says otherwise. None for `gpus`: nobody shares them out here.
    """
    environment = {name: inherited[name] for name in INHERITED if name in inherited}
    environment["PYTHONUNBUFFERED"] = "1"
    stated = {variable.name for variable in launch.container.environment if variable.name}
    environment |= fitting_otlp(otlp or {}, stated)
    environment |= told or {}
    if gpus is not None:
        environment |= NO_GPUS
    for variable in launch.container.environment:
        if variable.name and variable.value is not None:
            environment[variable.name] = variable.value
    if gpus:
        environment |= dict.fromkeys(NO_GPUS, ",".join(gpus))
    environment["PORT"] = str(port)
    environment["HOST"] = host
    environment["WORKLOAD_ID"] = workload_id
    environment[REPLICA_MARK] = replica_id
    environment[HOME_MARK] = home
    return environment
